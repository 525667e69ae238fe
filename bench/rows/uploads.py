"""Uploads of a gigabyte, and the memory they take."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bench import process_cost
from bench.figures import Metric, most_target, ratio_target
from bench.lab import Lab, Row
from bench.peers import CNTLM, DIRECT, GO, NONE, ORIGINAL, PX, SQUID, TINYPROXY, Running
from bench.rounds import Measure
from bench.tools import upload

SPEED, CPU, GROWTH = "MB/s", "CPU s/GB", "MB of memory more"
_BYTES = 1_000_000_000
#: The original Px takes a time that grows with the square of the size.
_BYTES_OF_ORIGINAL = 10_000_000


def _prepare(kind: str) -> Callable[[Lab], Mapping[str, Measure]]:
    def measure(name: str, running: Running | None, origin: int) -> Measure:
        size = _BYTES_OF_ORIGINAL if name == ORIGINAL else _BYTES

        def run() -> dict[str, float]:
            if running is None:
                sent = upload(kind, 0, origin, size)
                return {SPEED: sent.bytes / sent.seconds / 1e6}
            process_cost.forget_peak(running.pid)
            cpu, resident = running.cpu_seconds(), running.memory().rss
            sent = upload(kind, running.port, origin, size)
            return {
                SPEED: sent.bytes / sent.seconds / 1e6,
                CPU: (running.cpu_seconds() - cpu) / (sent.bytes / 1e9),
                GROWTH: (running.memory().peak_rss - resident) / 1e6,
            }

        return run

    peers = (NONE, PX, TINYPROXY, GO, SQUID, CNTLM, ORIGINAL)
    return lambda lab: lab.each(peers, DIRECT, lambda name, running: measure(name, running, lab.origin.port))


_METRICS = (Metric(SPEED), Metric(CPU, 2, less_is_better=True), Metric(GROWTH, 1, less_is_better=True))
_TARGETS = (ratio_target(PX, TINYPROXY, SPEED, 1), most_target(PX, GROWTH, 5, digits=1))

UPLOAD = Row(
    "upload",
    "Plain upload of 1 GB with a Content-Length, direct",
    "A POST; the origin says how much it got. Memory: how far the peak rose above what was resident before."
    " The original Px gets 10 MB only: its time grows with the square of the size.",
    _METRICS,
    _prepare("length"),
    _TARGETS,
)
UPLOAD_CHUNKED = Row(
    "upload-chunked",
    "Plain chunked upload of 1 GB, direct",
    "As before, in chunks of 64 KiB.",
    _METRICS,
    _prepare("chunked"),
    _TARGETS,
)
