"""What an upstream does differently for single targets.

An upstream may deny a target by a rule, ask for another scheme there than elsewhere (an override page that
wants Basic), or let a target through without any login. Px remembers that for a bounded number of targets,
until it ends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

#: Targets remembered for each kind of exception; the oldest is forgotten first.
MAX_TARGETS = 256
#: How long Px does not ask again for a denied target: after the first denial, the second, and so on.
DENIED_SECONDS = (5.0, 10.0, 20.0, 60.0)

_Value = TypeVar("_Value")


class TargetMemory:
    """The exceptions of one upstream.

    Args:
        now: Monotonic seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._denials: dict[str, tuple[int, float]] = {}  # denials in a row, and when the last one ends
        self._offers: dict[str, frozenset[str]] = {}
        self._free: dict[str, None] = {}
        self._avoided_until: dict[str, float] = {}

    def deny(self, target: str) -> float:
        """Note that a rule denies a target; return how many seconds the denial lasts."""
        count = self._denials.get(target, (0, 0.0))[0]
        seconds = DENIED_SECONDS[min(count, len(DENIED_SECONDS) - 1)]
        _remember(self._denials, target, (count + 1, self._now() + seconds))
        return seconds

    def denied_for(self, target: str) -> float:
        """Return how many more seconds a denial lasts; 0 or less: there is no denial now."""
        return self._denials[target][1] - self._now() if target in self._denials else 0.0

    def receive_acceptance(self, target: str) -> None:
        """Note that a login was accepted for a target: its next denial is a first one again."""
        self._denials.pop(target, None)
        self._avoided_until.clear()

    def avoid(self, target: str, seconds: float) -> None:
        """Send no more logins for a target for a while, after a refusal there."""
        _remember(self._avoided_until, target, self._now() + seconds)

    def is_avoided(self, target: str) -> bool:
        """Whether Px sends no login for this target now."""
        return self._avoided_until.get(target, 0.0) > self._now()

    def offer_at(self, target: str) -> frozenset[str] | None:
        """Return the schemes that were last offered for exactly this target; None: not known."""
        return self._offers.get(target)

    def learn_offer(self, target: str, schemes: frozenset[str]) -> None:
        """Note the schemes that a 407 for a target offers."""
        _remember(self._offers, target, schemes)

    def learn_free(self, target: str) -> None:
        """Note that a request for a target was answered without a login."""
        if target not in self._free:
            _remember(self._free, target, None)

    def learn_closed(self, target: str) -> None:
        """Note that a target wants a login."""
        self._free.pop(target, None)

    def is_free(self, target: str) -> bool:
        """Whether a request for this target needs no login."""
        return target in self._free

    def __repr__(self) -> str:
        return f"<TargetMemory denied={len(self._denials)} free={len(self._free)}>"


def _remember(memory: dict[str, _Value], target: str, value: _Value) -> None:
    """Store a value as the newest one, and forget the oldest if there are too many."""
    memory.pop(target, None)
    memory[target] = value
    if len(memory) > MAX_TARGETS:
        del memory[next(iter(memory))]
