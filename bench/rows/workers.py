"""What two workers cost: CPU time of a start and of a reload, and memory once both have logged in."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from bench.figures import Metric, most_target
from bench.lab import Lab, Row
from bench.peers import NTLM, PEERS, PX, Running
from bench.process_cost import processes
from bench.rounds import Measure
from bench.tools import Holder, MeasureError

START, RELOAD = "CPU ms of a start", "CPU ms of a reload"
BEFORE, AFTER, PROCESSES = "MB before a login", "MB after NTLM logins", "processes"
TWO_WORKERS = f"{PX}, 2 workers"
_SECONDS = 30.0
#: Each with a login; at once, so that both workers get some.
_TUNNELS = 40
_STALL_SECONDS = 4.0

_Workers = list[dict[str, Any]]


def _prepare(lab: Lab) -> Mapping[str, Measure]:
    def run() -> dict[str, float]:
        with Running(PEERS[PX], lab.place(NTLM), ["--workers=2"]) as running:
            running.seconds_to_answer()
            old = {worker["pid"] for worker in _wait(running, _are_two)}
            start, before = running.cpu_seconds(), running.memory().pss
            with Holder(running.port, lab.origin.port, _TUNNELS, _STALL_SECONDS) as holder:
                holder.hold(_TUNNELS)
                _wait(running, lambda workers: all(worker["open_tunnels"] for worker in workers))
                after = running.memory().pss
            began = running.cpu_seconds()
            running.command("--reload")
            _wait(running, lambda workers: _are_two(workers) and old.isdisjoint(w["pid"] for w in workers))
            return {
                START: start * 1e3,
                RELOAD: (running.cpu_seconds() - began) * 1e3,
                BEFORE: before / 1e6,
                AFTER: after / 1e6,
                PROCESSES: processes(running.pid),
            }

    return {TWO_WORKERS: run}


def _are_two(workers: _Workers) -> bool:
    return len([worker for worker in workers if worker["pid"]]) == 2  # noqa: PLR2004


def _wait(running: Running, is_so: Callable[[_Workers], bool]) -> _Workers:
    """Ask Px for its workers until they are as they should be; return them."""
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        workers: _Workers = json.loads(running.command("--status", "--json"))["workers"]
        if is_so(workers):
            return workers
        time.sleep(0.1)
    raise MeasureError("the workers are not as they should be")


WORKERS = Row(
    "workers",
    "Two workers, which is the default",
    "Memory is PSS of all processes of Px; at the second figure 40 tunnels are open, each with an NTLM"
    " login. A reload starts new workers and ends the old ones.",
    (
        Metric(START, less_is_better=True),
        Metric(RELOAD, less_is_better=True),
        Metric(BEFORE, 1, less_is_better=True),
        Metric(AFTER, 1, less_is_better=True),
        Metric(PROCESSES),
    ),
    _prepare,
    (most_target(TWO_WORKERS, AFTER, 40, digits=1),),
    rounds=5,
)
