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

MILLISECONDS, ANSWER, RESIDENT = "ms to listening", "ms to an answer", "MB resident"
TWO_WORKERS = f"{PX}, 2 workers"


def _prepare(lab: Lab) -> Mapping[str, Measure]:
    def measure(name: str, *options: str) -> Measure:
        def run() -> dict[str, float]:
            peer = PEERS[name]
            place = lab.place(best_route(peer, NTLM))
            with Running(peer, place, options) as running:
                resident = running.memory().rss
                to_answer = running.seconds_to_answer()
                if options:  # a worker is there by now
                    resident = running.memory().rss
                    check(holds=processes(running.pid) > 1, text="it is one process")
                return {
                    MILLISECONDS: running.seconds_to_listen * 1e3,
                    ANSWER: to_answer * 1e3,
                    RESIDENT: resident / 1e6,
                }

        return run

    measures = {
        name: measure(name) for name in (PX, ORIGINAL, CNTLM, SQUID, TINYPROXY, GO) if PEERS[name].exists
    }
    return {**measures, TWO_WORKERS: measure(PX, "--workers=2")}


START = Row(
    "start",
    "Start, and memory before the first login",
    "Until the port accepts a connection, and until it answers. Memory is resident (RSS), of all processes.",
    (
        Metric(MILLISECONDS, less_is_better=True),
        Metric(ANSWER, less_is_better=True),
        Metric(RESIDENT, 1, less_is_better=True),
    ),
    _prepare,
    (
        most_target(PX, ANSWER, 150, digits=0),
        most_target(TWO_WORKERS, ANSWER, 150, digits=0),
        most_target(PX, RESIDENT, 30, digits=1),
    ),
    rounds=7,
)
