"""One stream of many bytes through a tunnel."""

from __future__ import annotations

from collections.abc import Mapping

from bench.figures import Metric, Target, most_target, ratio_target
from bench.lab import Lab, Row
from bench.peers import CNTLM, DIRECT, GO, NONE, ORIGINAL, PX, SQUID, TINYPROXY, Running
from bench.rounds import Measure
from bench.tools import run_load

SPEED, CPU = "MB/s", "CPU s/GB"
_GB = 1_000_000_000
#: About how long a run takes: long enough that neither its start nor a tick of the CPU clock counts.
_RUN_SECONDS = 1.2
_STALL_SECONDS = 10.0


def _prepare(lab: Lab) -> Mapping[str, Measure]:
    origin = lab.origin.port

    def measure(_: str, running: Running | None) -> Measure:
        proxy = running.port if running else 0
        trial = run_load("bulk", proxy, origin, 1, _STALL_SECONDS, 200_000_000)
        wanted = int(min(4 * _GB, max(_GB // 4, trial.bytes / trial.seconds * _RUN_SECONDS)))

        def run() -> dict[str, float]:
            before = running.cpu_seconds() if running else 0.0
            load = run_load("bulk", proxy, origin, 1, _STALL_SECONDS, wanted)
            found = {SPEED: load.bytes / load.seconds / 1e6}
            if running:
                found[CPU] = (running.cpu_seconds() - before) / (load.bytes / _GB)
            return found

        return run

    return lab.each((NONE, PX, GO, SQUID, CNTLM, TINYPROXY, ORIGINAL), DIRECT, measure)


_TARGETS: tuple[Target, ...] = (
    ratio_target(PX, GO, SPEED, 1.25),
    ratio_target(PX, CNTLM, SPEED, 3.5),
    ratio_target(PX, NONE, SPEED, 0.38),
    most_target(PX, CPU, 0.40),
)

BULK = Row(
    "bulk",
    "CONNECT bulk, one stream",
    "One tunnel, about 1.2 s of bytes through it; counted to the byte.",
    (Metric(SPEED), Metric(CPU, 2, less_is_better=True)),
    _prepare,
    _TARGETS,
    rounds=5,
)
