"""Texts that every view of a status has: ``px --status``, ``px --top`` and the status page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

#: The states of `px.routing.health.UpstreamHealth.state_of` and their texts. Where workers disagree,
#: the later state in this order counts.
STATE_TEXTS: Final = {"ready": "not used yet", "in use": "in use", "down": "unreachable"}
_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def format_duration(seconds: float) -> str:
    """Return a duration in its two largest units, as ``2 h 5 min``."""
    return " ".join(list(_split(round(seconds)))[:2])


def format_age(seconds: float) -> str:
    """Return a duration in its largest unit, rounded down, as ``3 min``."""
    return next(_split(int(seconds)))


def _split(seconds: int) -> Iterator[str]:
    rest, has_larger = max(0, seconds), False
    for size, unit in _UNITS:
        amount, rest = divmod(rest, size)
        has_larger = has_larger or amount > 0
        if has_larger or size == 1:
            yield f"{amount} {unit}"
