"""From the command to the open port, and what is resident then."""

from __future__ import annotations

from collections.abc import Mapping

from bench.figures import Metric, most_target
from bench.lab import Lab, Row, check
from bench.peers import (
    CNTLM,
    GO,
    NTLM,
    ORIGINAL,
    PEERS,
    PX,
    SQUID,
    TINYPROXY,
    Running,
    best_route,
)
from bench.process_cost import processes
from bench.rounds import Measure

MILLISECONDS, RESIDENT = "ms to listening", "MB resident"
TWO_WORKERS = f"{PX}, 2 workers"


def _prepare(lab: Lab) -> Mapping[str, Measure]:
    def measure(name: str, *options: str) -> Measure:
        def run() -> dict[str, float]:
            peer = PEERS[name]
            place = lab.place(best_route(peer, NTLM))
            with Running(peer, place, options) as running:
                workers = 2 if name == PX and options else 1
                check(holds=processes(running.pid) >= workers, text="it is one process")
                return {
                    MILLISECONDS: running.seconds_to_listen * 1e3,
                    RESIDENT: running.memory().rss / 1e6,
                }

        return run

    measures = {
        name: measure(name) for name in (PX, ORIGINAL, CNTLM, SQUID, TINYPROXY, GO) if PEERS[name].exists
    }
    return {**measures, TWO_WORKERS: measure(PX, "--workers=2")}


START = Row(
    "start",
    "Start, and memory before the first login",
    "Until the port accepts a connection. Memory is resident (RSS), of all processes.",
    (Metric(MILLISECONDS, less_is_better=True), Metric(RESIDENT, 1, less_is_better=True)),
    _prepare,
    (most_target(PX, MILLISECONDS, 150, digits=0), most_target(PX, RESIDENT, 30, digits=1)),
    rounds=7,
)
