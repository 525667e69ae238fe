"""Many streams on a machine that is busy with other things: all of them have to arrive, whole."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from bench.figures import Metric, least_target
from bench.lab import Lab, Row
from bench.peers import DIRECT, GO, ORIGINAL, PX, Running
from bench.rounds import Measure
from bench.tools import run_check

WHOLE, SPEED = "whole streams", "MB/s"
_STREAMS, _BYTES, _BUSY = 100, 40_000_000, 3
_STALL_SECONDS = 30.0
#: The busy processes end by themselves, even if this process is killed.
_BUSY_LOOP = "import time\nend = time.monotonic() + 200\nwhile time.monotonic() < end: pass"


@contextmanager
def _busy_machine() -> Iterator[None]:
    loops = [subprocess.Popen([sys.executable, "-c", _BUSY_LOOP]) for _ in range(_BUSY)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def _prepare(lab: Lab) -> Mapping[str, Measure]:
    def measure(_: str, running: Running | None) -> Measure:
        assert running is not None  # no row without a proxy here

        def run() -> dict[str, float]:
            with _busy_machine():
                load = run_check(running.port, lab.origin.port, _STREAMS, _STALL_SECONDS, _BYTES)
            return {WHOLE: load.done, SPEED: load.bytes / load.seconds / 1e6}

        return run

    return lab.each((PX, GO, ORIGINAL), DIRECT, measure)


STREAMS = Row(
    "streams",
    "100 streams of 40 MB at once, while three busy loops hold both cores",
    "Each byte is compared with what the origin sends.",
    (Metric(WHOLE), Metric(SPEED)),
    _prepare,
    (least_target(PX, WHOLE, _STREAMS, digits=0),),
    rounds=1,
)
