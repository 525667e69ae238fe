"""The traffic of a status: how much there is now, and the plot of the last hour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

#: JSON: ``traffic`` of a status.
Traffic = Mapping[str, Any]

_HOUR_SECONDS: Final = 3600
#: Levels of a plot, from nothing to the peak: one character a time.
BLOCKS: Final = "▁▂▃▄▅▆▇█"
ASCII_LEVELS: Final = "_.:-=+*#"


@dataclass(frozen=True, slots=True)
class Plot:
    """The plot of one kind of traffic.

    Attributes:
        text: One character for each part of the hour, the last one for now.
        peak: The most in a second, over a slot of the traffic: ten seconds, which is less than such a part.
    """

    text: str
    peak: float


def find_rate(name: str, traffic: Traffic, before: Traffic, seconds: float) -> float:
    """Return the amount in a second now.

    Args:
        name: ``up``, ``down`` or ``requests``.
        traffic: The traffic now.
        before: The traffic some seconds ago; empty: unknown.
        seconds: How long ago that was.
    """
    amounts: Sequence[int] = traffic[name]
    if not before or seconds <= 0:
        return sum(amounts[-1:]) / float(traffic["seconds"])
    # The slot that was the last one then may have grown, and others have come.
    ended = round((traffic["end"] - before["end"]) / traffic["seconds"])
    grown: int = sum(amounts[-1 - ended :]) - sum(before[name][-1:])
    return max(0, grown) / seconds


def draw_plot(name: str, traffic: Traffic, now: float, cells: int, levels: str) -> Plot:
    """Return the plot of the last hour.

    Args:
        name: ``up``, ``down`` or ``requests``.
        traffic: The traffic.
        now: Unix seconds.
        cells: The most characters.
        levels: The characters, from nothing to the peak.
    """
    slot_seconds = traffic["seconds"]
    slots = _HOUR_SECONDS // slot_seconds
    size = -(-slots // max(1, cells))  # slots for each character, rounded up
    count = slots // size
    silent = max(0, int(now - traffic["end"]) // slot_seconds + 1) if now > traffic["end"] else 0
    amounts = [0] * slots + list(traffic[name]) + [0] * silent
    parts = [sum(part) for part in _split(amounts[-count * size :], size)]
    highest = max(parts)
    text = "".join(levels[_find_level(part, highest, len(levels))] for part in parts)
    return Plot(text, max(amounts[-count * size :]) / slot_seconds)


def _split(amounts: Sequence[int], size: int) -> list[Sequence[int]]:
    return [amounts[start : start + size] for start in range(0, len(amounts), size)]


def _find_level(amount: int, peak: int, levels: int) -> int:
    """Return the level of an amount: 0 means nothing at all."""
    return 0 if not amount else 1 + min(levels - 2, amount * (levels - 1) // peak)
