"""Interleaved rounds: each measures every subject once, in a random order, so that drift hits all alike."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from bench import process_cost
from bench.figures import Figures, Measurement
from bench.tools import MeasureError

Measure = Callable[[], Measurement]


def run_rounds(
    subjects: Mapping[str, Measure], count: int, chance: random.Random, say: Callable[[str], object]
) -> Figures:
    """Measure all subjects `count` times.

    Args:
        subjects: What measures each.
        count: Of rounds.
        chance: Draws the orders.
        say: Called with a line about each measurement.
    """
    figures = Figures(began=datetime.now(UTC).isoformat(timespec="minutes"))
    before, began, load = _cpu_by_others(), time.monotonic(), os.getloadavg()[0]
    for number in range(count):
        order = list(subjects)
        chance.shuffle(order)
        for subject in order:
            try:
                measurement = subjects[subject]()
            except MeasureError as error:
                figures.fail(subject, str(error))
                say(f"  {number + 1}/{count} {subject}: FAILED: {error}")
                continue
            figures.add(subject, measurement)
            shown = "  ".join(f"{name} {value:.4g}" for name, value in measurement.items())
            say(f"  {number + 1}/{count} {subject}: {shown}")
    cores, seconds = os.cpu_count() or 1, time.monotonic() - began
    figures.foreign = max(0.0, (_cpu_by_others() - before) / (cores * seconds))
    figures.load = (load, os.getloadavg()[0])
    figures.rounds = {subject: figures.rounds[subject] for subject in subjects}
    return figures


def _cpu_by_others() -> float:
    """CPU seconds of this machine that neither this process nor one of its descendants has used."""
    return process_cost.machine_cpu_seconds() - process_cost.cpu_seconds(os.getpid())
