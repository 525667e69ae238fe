"""The most that a report has of each thing: the report of one worker, and the sum of all workers.

`px.core.problems` has the limit of problems.
"""

from __future__ import annotations

from typing import Final

#: Requests and tunnels under way.
MAX_ACTIVE: Final = 200
#: Slots of ten seconds with traffic: those of an hour.
MAX_SLOTS: Final = 360
