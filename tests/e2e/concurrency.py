"""Starting a Px, and clients that run at the same time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

_Result = TypeVar("_Result")
_SECONDS = 60.0


def at_once(calls: Sequence[Callable[[], _Result]]) -> list[_Result]:
    """Make all calls at the same moment, each in a thread; return the results in order."""
    start = Barrier(len(calls))

    def run(call: Callable[[], _Result]) -> _Result:
        start.wait(_SECONDS)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))
