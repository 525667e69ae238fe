"""Finds out when a dead upstream is back: connects to it again and again, and sends nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from px.core.errors import ExhaustedError, UnreachableError
from px.core.rules.route import UpstreamAddress
from px.routing.health import UpstreamHealth
from px.upstream.connections.connection import Connection, Hop

#: How often Px looks whether a dead upstream is due for a probe.
TICK_SECONDS: Final = 0.5

_LOGGER = logging.getLogger("px.app")


class UpstreamProbes:
    """Probes dead upstreams; must be made inside the event loop.

    Args:
        dial: Connects to a hop.
        hop_of: Returns the hop of an upstream.
        now: Returns monotonic seconds.

    Attributes:
        health: Which upstreams are dead, from requests and from probes.
    """

    def __init__(
        self,
        dial: Callable[[Hop], Awaitable[Connection]],
        hop_of: Callable[[UpstreamAddress], Hop],
        now: Callable[[], float],
    ) -> None:
        self._dial = dial
        self._hop_of = hop_of
        self._some_are_dead = asyncio.Event()
        self.health = UpstreamHealth(now, self._some_are_dead.set)

    async def run(self) -> None:
        """Probe dead upstreams until cancelled; nothing runs while all are alive."""
        while await self._some_are_dead.wait():
            self._some_are_dead.clear()
            while self.health.dead:
                await asyncio.sleep(TICK_SECONDS)
                await asyncio.gather(*(self._probe(upstream) for upstream in self.health.due_probes()))

    async def _probe(self, upstream: UpstreamAddress) -> None:
        try:
            connection = await self._dial(self._hop_of(upstream))
        except UnreachableError as error:
            _LOGGER.debug("probe: %s", error.cause)
            self.health.report(upstream, is_reachable=False)
        except (OSError, ExhaustedError) as error:  # a fault of this computer: no descriptor, no thread
            _LOGGER.warning("probe of %s: %s", upstream, error)
        else:
            connection.close()
            self.health.revive(upstream)
            _LOGGER.info("%s accepts connections again", upstream)

    def __repr__(self) -> str:
        return f"<UpstreamProbes {self.health!r}>"
