"""Sends a request on its way: the routes in order, the next one when a hop cannot be reached."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from functools import lru_cache, partial
from typing import Protocol

from px.core.errors import ClientError, LoginError, TargetError, UnreachableError
from px.core.head import RequestHead, parse_response
from px.core.route import Direct, Route, UpstreamAddress, Via
from px.core.target import Authority
from px.net.connection import Connection, Hop
from px.net.dial_race import START_DELAY_SECONDS, DialRace, OvertakenError
from px.net.exchanger import Exchanger
from px.net.hop_dialer import HopDialer
from px.net.message import Answer, OnInterim, Request
from px.net.pool import Pool
from px.net.spare_logins import SpareLogins


class Router(Protocol):
    """Tells where a request goes; implemented in `px.routing`."""

    async def routes_for(self, request: RequestHead) -> Sequence[Route]:
        """Return the routes to try, in order; at least one.

        Raises:
            ForbiddenError: There is none.
            UnreachableError: A look-up that decides failed.
        """

    def report(self, route: Route, *, is_reachable: bool) -> None:
        """Learn whether the hop of a route could be reached."""

    @property
    def network(self) -> int:
        """Number of the network that this computer is in: another one after each change."""


class Outbound:
    """Where all requests leave Px.

    Args:
        router: Of the requests.
        exchanger: Talks to one hop.
        pool: Of kept connections.
        hop_of: The hop of an upstream.
        dialer: Of the connects where there are several upstreams.
        max_spares: How many connections to one upstream may be logged in ahead.
    """

    def __init__(
        self,
        router: Router,
        exchanger: Exchanger,
        pool: Pool,
        hop_of: Callable[[UpstreamAddress], Hop],
        dialer: HopDialer,
        max_spares: int,
    ) -> None:
        self._router = router
        self._exchanger = exchanger
        self._pool = pool
        self._hop_of = hop_of
        self._dialer = dialer
        self._spares = SpareLogins(exchanger.io_loop, pool, exchanger.log_in_ahead, max_spares)
        self._start_delay_seconds = min(START_DELAY_SECONDS, exchanger.socktimeout / 2)

    async def send(self, request: Request, on_interim: OnInterim, bound: Connection | None = None) -> Answer:
        """Return the answer of the first hop that can be reached.

        Args:
            request: To send.
            on_interim: Called with each 1xx that is the client's.
            bound: The connection that belongs to this client alone, used where it goes the same way.

        Raises:
            PxError: As `Exchanger.exchange`; of several routes the last one's.
        """
        network = self._router.network
        try:
            return await self._send(request, on_interim, bound)
        except UnreachableError:
            if network == self._router.network or not request.body.can_replay:
                raise
        if request.journey is not None:
            request.journey.note("this computer is in another network now: once more")
        return await self._send(request, on_interim, bound)

    async def _send(self, request: Request, on_interim: OnInterim, bound: Connection | None) -> Answer:
        routes = await self._router.routes_for(request.head)
        if request.journey is not None:
            request.journey.receive_routes(routes)
        if len(routes) == 1:
            return await self._try(routes[0], request, on_interim, bound)
        hop_of = partial(self._next_hop, request)
        with closing(DialRace(self._dialer, hop_of, routes, self._start_delay_seconds)) as race:
            return await self._try_each(race, request, on_interim, bound)

    async def _try_each(
        self, race: DialRace, request: Request, on_interim: OnInterim, bound: Connection | None
    ) -> Answer:
        io_loop = self._exchanger.io_loop
        latest = float("inf")
        failure: UnreachableError | None = None
        while race.routes:
            if failure is not None and (io_loop.now() > latest or not request.body.can_replay):
                break
            route = race.take_route()
            request.dial = race.dial if isinstance(route, Via) else None
            try:
                return await self._try(route, request, on_interim, bound)
            except OvertakenError as error:
                failure = error
                if request.journey is not None:
                    request.journey.receive_routes(race.routes)
            except UnreachableError as error:
                failure = error
                # Time counts from here on: a kept connection may have taken long to die.
                latest = min(latest, io_loop.now() + self._exchanger.socktimeout)
        assert failure is not None  # noqa: S101 - there is at least one route
        raise failure

    async def _try(
        self, route: Route, request: Request, on_interim: OnInterim, bound: Connection | None
    ) -> Answer:
        """Send a request by one route, and report what that tells of its upstream."""
        try:
            answer = await self._send_by(route, request, on_interim, bound)
        except UnreachableError as error:
            if isinstance(route, Direct) and route.trouble:
                error.mend = f"{error.mend} Px tried it directly: {route.trouble}".strip()
            if request.journey is not None:
                request.journey.lose_route(error)
            self._router.report(route, is_reachable=False)
            raise
        except (TargetError, LoginError):
            self._router.report(route, is_reachable=True)
            raise
        self._router.report(route, is_reachable=True)
        return answer

    async def _send_by(
        self, route: Route, request: Request, on_interim: OnInterim, bound: Connection | None
    ) -> Answer:
        journey = request.journey
        if journey is not None:
            journey.take_route(route)
        hop = self._next_hop(request, route)
        if request.head.method == b"CONNECT" and not hop.is_upstream:
            connection = await (request.dial or self._exchanger.dial)(hop)
            if journey is not None:
                journey.take_connection(hop.name, is_kept=False)
            return Answer(connection, _TUNNEL_OPEN)
        if bound is not None and bound.hop.key != hop.key:
            bound = None
        answer = await self._exchanger.exchange(hop, request, on_interim, bound)
        if request.head.method == b"CONNECT" and answer.opens_tunnel(b"CONNECT"):
            self._spares.note_tunnel(answer.connection, request)
        return answer

    def _next_hop(self, request: Request, route: Route) -> Hop:
        """Return the next hop that speaks HTTP, or is to be sent the bytes of a tunnel."""
        if isinstance(route, Direct):
            return _origin_hop(request)
        return (
            _origin_hop(request, route.upstream) if route.upstream.is_socks else self._hop_of(route.upstream)
        )

    def keep(self, connection: Connection) -> None:
        """Keep a connection for the next request."""
        self._pool.put(connection)

    def forget_connections(self) -> None:
        """Close what is kept, and what is being opened ahead of need."""
        self._spares.forget()
        self._pool.clear()


_TUNNEL_OPEN = parse_response(b"HTTP/1.1 200 Connection established\r\n\r\n", b"CONNECT")


def _origin_hop(request: Request, by: UpstreamAddress | None = None) -> Hop:
    """Return the origin as a hop, reached through a SOCKS upstream or directly."""
    authority = request.head.authority
    if request.head.method != b"CONNECT" and request.head.scheme != b"http":
        scheme = request.head.scheme.decode("ascii")
        raise ClientError(
            f"Px does not speak {scheme} itself, and {authority.host} is reached without an HTTP upstream.",
            "For https, use a client that opens a tunnel (CONNECT), as all common ones do.",
            status=501,
        )
    return _hop_at(authority, by)


@lru_cache(maxsize=1024)  # few are asked for, again and again
def _hop_at(authority: Authority, by: UpstreamAddress | None) -> Hop:
    way = f"{by} {by.username}" if by else "direct"  # what one user was let through to is not another's
    return Hop(
        name=f"origin {authority}" + (f" by {by}" if by else ""),
        key=f"{way} {authority}",
        host=authority.host,
        port=authority.port,
        by=by,
    )
