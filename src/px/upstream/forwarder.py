"""Sends a request on its way: the routes in order, the next one when a hop cannot be reached."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from functools import lru_cache, partial
from typing import Protocol

from px.core.errors import ClientError, LoginError, PxError, TargetError, UnreachableError
from px.core.http.request_head import RequestHead
from px.core.http.response_head import parse_response
from px.core.http.target import Authority
from px.core.rules.route import Direct, Route, UpstreamAddress, Via
from px.upstream.connections.connection import Connection, Hop
from px.upstream.connections.dial_race import START_DELAY_SECONDS, DialRace, OvertakenError
from px.upstream.connections.hop_dialer import HopDialer
from px.upstream.connections.pool import Pool
from px.upstream.exchanger import Exchanger
from px.upstream.message import Answer, Dial, Request, RouteAttempt
from px.upstream.prewarmed import PrewarmedConnections


class Router(Protocol):
    """Finds the routes of a request; implemented in `px.routing`."""

    async def routes_for(self, request: RequestHead, *, is_from_here: bool) -> Sequence[Route]:
        """Return the routes to try, in order; at least one.

        Args:
            request: To send.
            is_from_here: Whether its client is a program of this computer.

        Raises:
            ForbiddenError: No route is allowed.
            UnreachableError: A name look-up that decides about the route failed.
        """

    def report(self, route: Route, *, is_reachable: bool) -> None:
        """Learn whether the hop of a route could be reached."""

    @property
    def network(self) -> int:
        """Number of the network that this computer is in; each change of network gives a new number."""


class Forwarder:
    """Sends requests to hops: all of them leave Px here.

    Args:
        router: Finds the routes of requests.
        exchanger: Exchanges a request with one hop.
        pool: The kept connections.
        hop_of: Returns the hop of an upstream.
        dialer: Connects to hops; used directly where several upstreams may serve a request.
        max_prewarmed: Most connections to one upstream that are logged in before a request needs them.
    """

    def __init__(
        self,
        router: Router,
        exchanger: Exchanger,
        pool: Pool,
        hop_of: Callable[[UpstreamAddress], Hop],
        dialer: HopDialer,
        max_prewarmed: int,
    ) -> None:
        self._router = router
        self._exchanger = exchanger
        self._pool = pool
        self._hop_of = hop_of
        self._dialer = dialer
        self._prewarmed = PrewarmedConnections(exchanger.io_loop, pool, exchanger.log_in_ahead, max_prewarmed)
        self._start_delay_seconds = min(START_DELAY_SECONDS, exchanger.socktimeout / 2)

    async def send(self, request: Request) -> Answer:
        """Return the answer of the first hop that can be reached.

        Raises:
            PxError: As `Exchanger.exchange`; of several routes the last one's.
        """
        network = self._router.network
        try:
            try:
                return await self._send(request)
            except UnreachableError:
                if network == self._router.network or not request.body.can_replay:
                    raise
            request.trace.note("this computer is in another network now: once more")
            return await self._send(request)
        except PxError as error:
            error.target = request.head.authority.host
            raise

    async def _send(self, request: Request) -> Answer:
        routes = await self._router.routes_for(request.head, is_from_here=request.is_from_here)
        request.trace.receive_routes(routes)
        if len(routes) == 1:
            return await self._try(routes[0], self._exchanger.dial, request)
        hop_of = partial(self._next_hop, request)
        with closing(DialRace(self._dialer, hop_of, routes, self._start_delay_seconds)) as race:
            return await self._try_each(race, request)

    async def _try_each(self, race: DialRace, request: Request) -> Answer:
        io_loop = self._exchanger.io_loop
        latest = float("inf")
        failure: UnreachableError | None = None
        while race.routes:
            if failure is not None and (io_loop.now() > latest or not request.body.can_replay):
                break
            route = race.take_route()
            dial = race.dial if isinstance(route, Via) else self._exchanger.dial
            try:
                return await self._try(route, dial, request)
            except OvertakenError as error:
                failure = error
                request.trace.lose_route(error)
                request.trace.receive_routes(race.routes)
            except UnreachableError as error:
                failure = error
                if race.routes:
                    request.trace.lose_route(error)
                # The time for the other routes begins here: a kept connection may have taken long to fail.
                latest = min(latest, io_loop.now() + self._exchanger.socktimeout)
        assert failure is not None  # noqa: S101 - there is at least one route
        raise failure

    async def _try(self, route: Route, dial: Dial, request: Request) -> Answer:
        """Send a request by one route, and report what that tells of its upstream."""
        request.trace.take_route(route)
        try:
            hop = self._next_hop(request, route)
            if request.head.method == b"CONNECT" and not hop.is_upstream:
                answer = Answer(await dial(hop), _TUNNEL_OPEN)
                request.trace.take_connection(hop.name, is_kept=False)
            else:
                answer = await self._exchanger.exchange(RouteAttempt(hop, dial), request)
        except UnreachableError as error:
            if isinstance(route, Direct) and route.trouble:
                error.hint = f"{error.hint} Px tried it directly: {route.trouble}".strip()
            error.hop = str(route)
            self._router.report(route, is_reachable=False)
            raise
        except PxError as error:
            error.hop = str(route)
            if isinstance(error, TargetError | LoginError):
                self._router.report(route, is_reachable=True)
            raise
        self._router.report(route, is_reachable=True)
        if hop.is_upstream and request.head.method == b"CONNECT" and answer.opens_tunnel(b"CONNECT"):
            self._prewarmed.note_tunnel(answer.connection, request)
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
        """Close the connections that are kept, and stop opening new ones ahead of need."""
        self._prewarmed.forget()
        self._pool.clear()


_TUNNELLED = ("https", "ws", "wss")
_TUNNEL_OPEN = parse_response(b"HTTP/1.1 200 Connection established\r\n\r\n", b"CONNECT")


def _origin_hop(request: Request, by: UpstreamAddress | None = None) -> Hop:
    """Return the origin as a hop, reached through a SOCKS upstream or directly."""
    authority = request.head.authority
    if request.head.needs_http_proxy:
        scheme = request.head.scheme.decode("ascii")
        raise ClientError(
            f"Px does not speak {scheme} itself, and {authority.host} is reached without an HTTP upstream.",
            f"For {scheme}, use a client that opens a tunnel (CONNECT), as all common ones do."
            if scheme in _TUNNELLED
            else f"An HTTP proxy that speaks {scheme} (--proxy) can get it, or a program that uses no proxy.",
            status=501,
        )
    return _hop_at(authority, by)


@lru_cache(maxsize=1024)  # most requests are for the same few origins
def _hop_at(authority: Authority, by: UpstreamAddress | None) -> Hop:
    way = (
        f"{by} {by.username}" if by else "direct"
    )  # a SOCKS upstream may let different users reach different origins
    return Hop(
        name=f"origin {authority}" + (f" by {by}" if by else ""),
        key=f"{way} {authority}",
        host=authority.host,
        port=authority.port,
        by=by,
    )
