"""Parses Keep-Alive: how long a hop keeps an idle connection, ``Keep-Alive: timeout=5, max=100``."""

from __future__ import annotations

import re
from collections.abc import Sequence

_TIMEOUT = re.compile(rb"""(?i)(?:^|[,;\s])timeout\s*=\s*["']?([0-9]{1,9})(?![0-9])""")


def parse_keep_alive(values: Sequence[bytes]) -> int | None:
    """Return the seconds after which the sender closes an idle connection; None if it does not say.

    Args:
        values: The values of the fields Keep-Alive of an answer.
    """
    found = [int(seconds) for value in values for seconds in _TIMEOUT.findall(value)]
    return min(found, default=None)
