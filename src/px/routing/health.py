"""Which upstream is up: the one that works is kept, dead ones come last until a probe finds them alive."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from px.core.route import Route, UpstreamAddress, Via

FIRST_PROBE_SECONDS = 1.0
MAX_PROBE_SECONDS = 60.0


@dataclass
class _Death:
    """An upstream that could not be reached."""

    next_probe: float
    interval: float


class UpstreamHealth:
    """The order in which upstreams are tried.

    Args:
        now: Monotonic seconds.
        on_death: Called when an upstream could not be reached: somebody has to probe it.
    """

    def __init__(self, now: Callable[[], float], on_death: Callable[[], None]) -> None:
        self._now = now
        self._on_death = on_death
        self._dead: dict[UpstreamAddress, _Death] = {}
        self._last_good: UpstreamAddress | None = None

    def order(self, upstreams: Sequence[UpstreamAddress]) -> list[UpstreamAddress]:
        """Return the upstreams, the one that worked last first, dead ones at the end."""
        return sorted(upstreams, key=self._rank)

    def order_listed(self, routes: Sequence[Route]) -> list[Route]:
        """Return routes in the order of a PAC script, with dead upstreams at the end."""
        return sorted(routes, key=lambda route: isinstance(route, Via) and route.upstream in self._dead)

    def _rank(self, upstream: UpstreamAddress) -> int:
        if upstream in self._dead:
            return 2
        return 0 if upstream == self._last_good else 1

    def report(self, upstream: UpstreamAddress, *, is_reachable: bool) -> None:
        """Learn whether an upstream could be reached."""
        if is_reachable:
            self._dead.pop(upstream, None)
            self._last_good = upstream
            return
        death = self._dead.get(upstream)
        if death is not None and self._now() < death.next_probe:
            return  # many requests fail at once: that is one failure
        interval = min(2 * death.interval, MAX_PROBE_SECONDS) if death else FIRST_PROBE_SECONDS
        self._dead[upstream] = _Death(self._now() + interval, interval)
        self._on_death()

    def revive(self, upstream: UpstreamAddress) -> None:
        """A probe reached an upstream: it is tried again, but does not replace the one that works."""
        self._dead.pop(upstream, None)

    def forget(self) -> None:
        """Take every upstream for new: the network has changed."""
        self._dead.clear()
        self._last_good = None

    def due_probes(self) -> list[UpstreamAddress]:
        """Return the dead upstreams whose time for a probe has come."""
        now = self._now()
        return [upstream for upstream, death in self._dead.items() if death.next_probe <= now]

    def state_of(self, upstream: UpstreamAddress) -> Literal["down", "in use", "ready"]:
        """Return how an upstream stands, for people."""
        if upstream in self._dead:
            return "down"
        return "in use" if upstream == self._last_good else "ready"

    @property
    def dead(self) -> Collection[UpstreamAddress]:
        """The upstreams that could not be reached when last tried."""
        return self._dead.keys()

    def __repr__(self) -> str:
        return f"<UpstreamHealth good={self._last_good} dead={[str(each) for each in self._dead]}>"
