"""The routes of a request, and a race of connects to several upstreams, of which the first may be dead.

The race does with upstreams what RFC 8305 does with the addresses of a host. A request need not wait for a
whole timeout because the first upstream is a black hole: after a delay, or at once when a connect fails, the
next connect starts while the others continue, and the first to succeed is taken.

Only the upstreams before the first direct route take part: a direct route is for the case that all upstreams
before it have failed, not that they are slow. And only TCP and TLS count, which depend on the upstream
itself: the time a SOCKS upstream takes to reach an origin says nothing about the upstream.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from itertools import takewhile

from px.core.errors import UnreachableError
from px.core.rules.route import Route, Via
from px.upstream.connections.connection import Connection, Hop
from px.upstream.connections.dial import close_late
from px.upstream.connections.hop_dialer import HopDialer

#: More than TCP and TLS take to the other side of the world. A slower connect continues, but may be
#: overtaken.
START_DELAY_SECONDS = 1.0


class OvertakenError(UnreachableError):
    """Another upstream was connected first."""


class DialRace:
    """The routes of one request, and the connects for it.

    Args:
        dialer: Makes the connects.
        hop_of: Returns the hop of a route.
        routes: The routes to try, in order.
        delay_seconds: The delay before the next connect starts.
    """

    def __init__(
        self,
        dialer: HopDialer,
        hop_of: Callable[[Route], Hop],
        routes: Sequence[Route],
        delay_seconds: float,
    ) -> None:
        self._dialer = dialer
        self._hop_of = hop_of
        self._delay_seconds = delay_seconds
        #: The routes not tried yet. An overtaken route is put back.
        self.routes = deque(routes)
        self._route = self.routes[0]
        self._running: dict[Route, asyncio.Task[Connection]] = {}
        self._failed: dict[Route, BaseException] = {}
        self._won: Route | None = None

    def take_route(self) -> Route:
        """Return the route to try now."""
        self._route = self.routes.popleft()
        return self._route

    async def dial(self, hop: Hop) -> Connection:
        """Return a new connection to the hop of the current route.

        Raises:
            OvertakenError: Another upstream is connected; the next route leads through it.
            UnreachableError: No connection could be made.
            TargetError: The SOCKS upstream before the hop reports that the hop cannot be reached.
        """
        if self._route == self._won:
            return await self._dialer.dial(hop)
        connection = await self._connect(hop)
        self._won = self._route
        self.close()
        return await self._dialer.reach(connection)

    async def _connect(self, hop: Hop) -> Connection:
        if (error := self._failed.pop(self._route, None)) is not None:
            raise error
        own = self._start(self._route)
        waiting = deque(route for route in takewhile(_is_upstream, self.routes) if not self._is_known(route))
        while not own.done():
            delay = self._delay_seconds if waiting else None
            running = self._running.values()
            await asyncio.wait(running, timeout=delay, return_when=asyncio.FIRST_COMPLETED)
            if own.done():
                break
            if (winner := self._find_winner()) is not None:
                raise self._overtake(winner, hop)
            if waiting:
                self._start(waiting.popleft())
        del self._running[self._route]
        return own.result()

    def _is_known(self, route: Route) -> bool:
        return route in self._running or route in self._failed

    def _start(self, route: Route) -> asyncio.Task[Connection]:
        if route not in self._running:
            self._running[route] = asyncio.create_task(self._connect_by(route))
        return self._running[route]

    async def _connect_by(self, route: Route) -> Connection:
        return await self._dialer.connect(self._hop_of(route))

    def _find_winner(self) -> Route | None:
        """Return a route whose connection is ready; note the routes that have failed."""
        for route, task in list(self._running.items()):
            if task.done():
                error = task.exception()
                if error is None:
                    return route
                del self._running[route]
                self._failed[route] = error
        return None

    def _overtake(self, winner: Route, hop: Hop) -> OvertakenError:
        """Put the winner first, and the current route second."""
        self.routes.remove(winner)
        self.routes.extendleft((self._route, winner))
        return OvertakenError(f"The {hop.name} does not answer yet; {winner} does.")

    def close(self) -> None:
        """Cancel all connects except those whose connection has been returned."""
        for task in self._running.values():
            task.cancel()
            task.add_done_callback(close_late)
        self._running.clear()

    def __repr__(self) -> str:
        return f"<DialRace routes={[str(route) for route in self.routes]} won={self._won}>"


def _is_upstream(route: Route) -> bool:
    return isinstance(route, Via)
