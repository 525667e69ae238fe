"""The routes of a request, and connects to upstreams of which the first may be dead.

What RFC 8305 does with the addresses of a host, done with upstreams. Nobody has to wait for a whole timeout
because the first upstream is a black hole: after a delay, or at once when a connect fails, the next one
starts while the others go on, and the first that stands is taken.

Only upstreams take part, up to the first direct route: that one is for when all before it have failed, not
for when they are slow. And only what depends on the upstream itself counts (TCP, TLS): how long a SOCKS
upstream takes to reach an origin says nothing about the upstream.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from itertools import takewhile

from px.core.errors import UnreachableError
from px.core.route import Route, Via
from px.net.connection import Connection, Hop
from px.net.dial import close_late
from px.net.hop_dialer import HopDialer

#: More than TCP and TLS take to the other side of the world. Who takes longer goes on, and may be overtaken.
START_DELAY_SECONDS = 1.0


class OvertakenError(UnreachableError):
    """Another upstream stood first."""


class DialRace:
    """The routes of one request, and the connects for it.

    Args:
        dialer: Makes them.
        hop_of: The hop of a route.
        routes: To try, in order.
        delay_seconds: After which the next connect starts.
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
        #: Those not tried yet. One that was overtaken is among them again.
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
        """Return a new connection to the hop of the route that is tried now.

        Raises:
            OvertakenError: Another upstream stands; the next route is the one through it.
            UnreachableError: There is none to be had.
            TargetError: The SOCKS upstream before the hop says so.
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
        """Return a route whose connection stands; put those aside that have failed."""
        for route, task in list(self._running.items()):
            if task.done():
                error = task.exception()
                if error is None:
                    return route
                del self._running[route]
                self._failed[route] = error
        return None

    def _overtake(self, winner: Route, hop: Hop) -> OvertakenError:
        """Make another route the next one, and the one that is tried now the one after that."""
        self.routes.remove(winner)
        self.routes.extendleft((self._route, winner))
        return OvertakenError(f"The {hop.name} does not answer yet; {winner} does.")

    def close(self) -> None:
        """Give up all connects but those whose connection was handed out."""
        for task in self._running.values():
            task.cancel()
            task.add_done_callback(close_late)
        self._running.clear()

    def __repr__(self) -> str:
        return f"<DialRace routes={[str(route) for route in self.routes]} won={self._won}>"


def _is_upstream(route: Route) -> bool:
    return isinstance(route, Via)
