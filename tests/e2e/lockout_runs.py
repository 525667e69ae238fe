"""The attacks that could lock an account: the number of runs, the load on the computer, and the cost.

The normal suite runs each attack once. `make lockout` runs each one `RUNS` times, while a process keeps
each processor busy.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator

#: The number of runs of each attack.
RUNS = int(os.environ.get("LOCKOUT_RUNS", "1"))
#: The number of wrong logins of each run, by test.
FIGURES: defaultdict[str, list[int]] = defaultdict(list)

_BUSY = "import os; parent = os.getppid()\nwhile os.getppid() == parent: pass"  # also ends with the tests


def note_figure(count: int) -> None:
    """Note how many wrong logins the running test has cost."""
    test = os.environ["PYTEST_CURRENT_TEST"].rpartition("::")[2]
    FIGURES[re.sub(r"-?\brun\d+\b|\[\]| \(call\)$", "", test)].append(count)


@contextlib.contextmanager
def busy_processors() -> Iterator[None]:
    """Keep each processor busy."""
    busy = [subprocess.Popen([sys.executable, "-c", _BUSY]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()
