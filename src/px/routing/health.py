"""Which upstreams work: the last working one comes first, dead ones come last until a probe reaches them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from px.core.rules.route import Route, UpstreamAddress, Via

FIRST_PROBE_SECONDS = 1.0
MAX_PROBE_SECONDS = 60.0
#: If no request has asked for a dead upstream in this time, Px forgets it and treats it as new the next time.
FORGET_SECONDS = 600.0
#: A PAC script may name any number of upstreams.
MAX_DEAD = 64


@dataclass
class _Death:
    """An upstream that could not be reached, and when a request last asked for it."""

    next_probe: float
    interval: float
    asked_at: float


class UpstreamHealth:
    """The order in which upstreams are tried.

    Args:
        now: Monotonic seconds.
        on_death: Called when an upstream could not be reached, so that the caller starts to probe it.
    """

    def __init__(self, now: Callable[[], float], on_death: Callable[[], None]) -> None:
        self._now = now
        self._on_death = on_death
        self._dead: dict[UpstreamAddress, _Death] = {}
        self._last_good: UpstreamAddress | None = None

    def order(self, upstreams: Sequence[UpstreamAddress]) -> list[UpstreamAddress]:
        """Return the upstreams, the one that worked last first, dead ones at the end."""
        if self._dead:
            self._note_asked(upstreams)
        return sorted(upstreams, key=self._rank)

    def order_listed(self, routes: Sequence[Route]) -> list[Route]:
        """Return routes in the order of a PAC script, with dead upstreams at the end."""
        if self._dead:
            self._note_asked(route.upstream for route in routes if isinstance(route, Via))
        return sorted(routes, key=lambda route: isinstance(route, Via) and route.upstream in self._dead)

    def _note_asked(self, upstreams: Iterable[UpstreamAddress]) -> None:
        for upstream in upstreams:
            if death := self._dead.get(upstream):
                death.asked_at = self._now()

    def _rank(self, upstream: UpstreamAddress) -> int:
        if upstream in self._dead:
            return 2
        return 0 if upstream == self._last_good else 1

    def report(self, upstream: UpstreamAddress, *, is_reachable: bool) -> None:
        """Record whether an upstream could be reached."""
        if is_reachable:
            self._dead.pop(upstream, None)
            self._last_good = upstream
            return
        death, now = self._dead.get(upstream), self._now()
        if death is not None and now < death.next_probe:
            return  # requests that fail at the same time count as one failure
        interval = min(2 * death.interval, MAX_PROBE_SECONDS) if death else FIRST_PROBE_SECONDS
        if death is None and len(self._dead) >= MAX_DEAD:
            del self._dead[next(iter(self._dead))]
        self._dead[upstream] = _Death(now + interval, interval, death.asked_at if death else now)
        self._on_death()

    def revive(self, upstream: UpstreamAddress) -> None:
        """Record that a probe reached an upstream: Px tries it again, after the upstream that works now."""
        self._dead.pop(upstream, None)

    def forget(self) -> None:
        """Treat every upstream as new, because the network has changed."""
        self._dead.clear()
        self._last_good = None

    def due_probes(self) -> list[UpstreamAddress]:
        """Return the dead upstreams whose time for a probe has come."""
        now = self._now()
        asked = {upstream: d for upstream, d in self._dead.items() if now < d.asked_at + FORGET_SECONDS}
        self._dead = asked
        return [upstream for upstream, death in asked.items() if death.next_probe <= now]

    def state_of(self, upstream: UpstreamAddress) -> Literal["down", "in use", "ready"]:
        """Return the state of an upstream, for people."""
        if upstream in self._dead:
            return "down"
        return "in use" if upstream == self._last_good else "ready"

    def explain(self, upstream: UpstreamAddress) -> str:
        """Return why an upstream has its state, for people."""
        if (death := self._dead.get(upstream)) is not None:
            seconds = max(0.0, death.next_probe - self._now())
            return f"Px could not connect to it, and tries again in {seconds:.0f} s."
        if upstream == self._last_good:
            return "It served the last request. Px stays with it while it can be reached."
        if self._last_good is not None:
            return f"{self._last_good} serves."
        return "Px has sent no request yet."

    @property
    def dead(self) -> Collection[UpstreamAddress]:
        """The upstreams that could not be reached when last tried."""
        return self._dead.keys()

    def __repr__(self) -> str:
        return f"<UpstreamHealth good={self._last_good} dead={[str(each) for each in self._dead]}>"
