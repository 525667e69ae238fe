"""Idle tunnels: how many a proxy can hold, and what each costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench import process_cost
from bench.figures import Figures, Metric, Target, least_target, most_target
from bench.lab import Lab, Row, check
from bench.peers import CNTLM, DIRECT, GO, ORIGINAL, PEERS, PX, SQUID, TINYPROXY, Running
from bench.rounds import Measure
from bench.tools import Holder

HELD, WORKING, EACH, FILES = "held", "that work", "KB each", "files each"
FIRST, LAST = "KB each up to 2,000", "KB each beyond 4,000"
STEPS = (2000, 4000, 8000)
#: The others are asked for less: threads and time.
_STEPS_OF_OTHERS = (2000,)
_STALL_SECONDS = 4.0


def _prepare(lab: Lab) -> Mapping[str, Measure]:
    def measure(name: str, steps: Sequence[int]) -> Measure:
        def run() -> dict[str, float]:
            options = ["--idle=300"] if name == PX else []
            with Running(PEERS[name], lab.place(DIRECT), options) as running:
                return _hold(running, lab.origin.port, steps)

        return run

    others = [name for name in (TINYPROXY, GO, SQUID, CNTLM, ORIGINAL) if PEERS[name].exists]
    return {PX: measure(PX, STEPS), **{name: measure(name, _STEPS_OF_OTHERS) for name in others}}


def _hold(running: Running, origin: int, steps: Sequence[int]) -> dict[str, float]:
    with Holder(running.port, origin, steps[-1], _STALL_SECONDS) as holder:
        first = holder.hold(1)  # what a peer makes once, at its start or for its first tunnel, is not of each
        sizes = [(first, running.memory().pss)]
        files = process_cost.descriptors(running.pid)
        for step in steps:
            held = holder.hold(step)
            sizes.append((held, running.memory().pss))
            if held < step:
                break
        held, files = sizes[-1][0], process_cost.descriptors(running.pid) - files
        answered = holder.ask_all()
    check(holds=held > first, text="no tunnel could be opened")
    found = {HELD: held, WORKING: answered, EACH: _slope(sizes[0], sizes[-1]), FILES: files / (held - first)}
    if held == STEPS[-1]:
        found |= {FIRST: _slope(*sizes[:2]), LAST: _slope(*sizes[-2:])}
    return found


def _slope(first: tuple[int, int], second: tuple[int, int]) -> float:
    return (second[1] - first[1]) / 1024 / (second[0] - first[0])


def _flatness(figures: Figures) -> float | None:
    first, last = figures.median(PX, FIRST), figures.median(PX, LAST)
    return last / first if first and last else None


IDLE = Row(
    "idle",
    "Idle tunnels, direct",
    "Px is asked for 8,000, the others for 2,000; then every one is asked for 100 bytes. Memory is PSS,"
    " without what the kernel keeps and what the first tunnel takes. The hard limit of open files is that of"
    " the machine (above).",
    (
        Metric(HELD),
        Metric(WORKING),
        Metric(EACH, 2, less_is_better=True),
        Metric(FILES, 1, less_is_better=True),
        Metric(FIRST, 2, less_is_better=True),
        Metric(LAST, 2, less_is_better=True),
    ),
    _prepare,
    (
        least_target(PX, WORKING, STEPS[-1], digits=0),
        most_target(PX, EACH, 3),
        Target("the last 4,000 take at most 1.2 x what the first 2,000 take", _flatness, 1.2, is_most=True),
    ),
    rounds=1,
)
