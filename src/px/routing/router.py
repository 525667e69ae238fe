"""Chooses the routes of a request: direct if a noproxy rule matches, else those of the route provider."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from px.core.errors import ForbiddenError, UnreachableError
from px.core.http.request_head import RequestHead
from px.core.http.target import Authority
from px.core.rules.host_rules import HostRules
from px.core.rules.route import Direct, Route, UpstreamAddress, Via, upstreams_for
from px.routing.health import UpstreamHealth

#: How long an address rule may delay a request while the name is resolved; then the request goes upstream.
LOOK_UP_SECONDS = 1.0

Resolve = Callable[[str], Awaitable[Sequence[str]]]


class RouteProvider(Protocol):
    """Provides the routes of requests that match no noproxy rule."""

    @property
    def has_no_route(self) -> bool:
        """Whether the provider has no route at all, so that Px refuses every request."""

    async def routes_for(self, request: RequestHead, *, is_from_here: bool = False) -> Sequence[Route]:
        """Return the routes to try, in order; at least one.

        Args:
            request: The request.
            is_from_here: Whether the client is a program on this computer. A client on another computer must
                not reach the loopback services and the local link of this one.

        Raises:
            ForbiddenError: No route exists.
            PacError: The PAC script failed.
        """


class Router:
    """Chooses the routes of requests.

    Args:
        noproxy: The targets that Px reaches directly.
        route_provider: Provides the routes to all other targets.
        resolve: Returns the addresses of a host; raises UnreachableError.
        health: The health of the upstreams.
    """

    def __init__(
        self, noproxy: HostRules, route_provider: RouteProvider, resolve: Resolve, health: UpstreamHealth
    ) -> None:
        self._noproxy = noproxy
        self._route_provider = route_provider
        self._resolve = resolve
        self._health = health
        self.network = 0

    def start_new_network(self) -> None:
        """Treat every upstream as new, because this computer is in another network. Changes `network`."""
        self.network += 1
        self._health.forget()

    async def routes_for(self, request: RequestHead, *, is_from_here: bool = False) -> Sequence[Route]:
        """Return the routes to try, in order; at least one. See `RouteProvider`.

        Raises:
            ForbiddenError: No rule matches, and no upstream is known.
            UnreachableError: A rule needed the name's address, resolving it failed, and no upstream is known.
            PacError: The PAC script failed.
        """
        if self._noproxy and (why := await self.find_rule(request.authority)):
            return (Direct(why),)
        return await self._route_provider.routes_for(request, is_from_here=is_from_here)

    async def find_rule(self, target: Authority) -> str:
        """Return why a target is reached directly by a noproxy rule; empty if no rule matches.

        Raises:
            UnreachableError: A rule needed the name's address, resolving it failed, and no upstream is known.
        """
        rules = self._noproxy
        if why := find_name_rule(rules, target, "noproxy"):
            return why
        if not rules.needs_addresses:
            return ""
        try:
            async with asyncio.timeout(None if self._route_provider.has_no_route else LOOK_UP_SECONDS):
                addresses = await self._resolve(target.host)
        except (UnreachableError, TimeoutError):
            if not self._route_provider.has_no_route:
                return ""
            raise
        matching = next((address for address in addresses if rules.matches_address(address)), None)
        return f"noproxy names its address {matching}" if matching else ""

    def report(self, route: Route, *, is_reachable: bool) -> None:
        """Record whether the hop of a route could be reached."""
        if isinstance(route, Via):
            self._health.report(route.upstream, is_reachable=is_reachable)

    def __repr__(self) -> str:
        return f"<Router noproxy={bool(self._noproxy)} {self._route_provider!r}>"


def find_name_rule(rules: HostRules, target: Authority, source: str) -> str:
    """Return why a target matches rules without looking up its addresses; empty if it does not match.

    Args:
        rules: The rules for direct targets.
        target: The target of a request.
        source: The place that has these rules, for people.
    """
    if rules.matches_everything:
        return f"{source} names everything"
    return f"{source} names {target.host}" if rules.matches_name(target.host, target.port) else ""


class NamedUpstreams:
    """Routes through the upstreams that the user names; without any, Px refuses every request.

    Args:
        upstreams: The upstreams, in the user's order.
        health: The health of these upstreams.
    """

    def __init__(self, upstreams: Sequence[UpstreamAddress], health: UpstreamHealth) -> None:
        self._upstreams = upstreams
        self._for_http, self._for_https = (upstreams_for(upstreams, scheme) for scheme in ("http", "https"))
        self._health = health
        self.has_no_route = not upstreams

    async def routes_for(
        self,
        request: RequestHead,
        *,
        is_from_here: bool = False,  # noqa: ARG002 - the user's own upstreams are for all clients
    ) -> Sequence[Route]:
        """Return the routes to try. See `RouteProvider`."""
        if self.has_no_route:
            raise forbid(request)
        named = self._for_https if request.method == b"CONNECT" else self._for_http
        if not named:  # Windows' settings, for instance, may name an upstream for one scheme only
            return [Direct("no upstream is named for such URLs")]
        return [Via(upstream) for upstream in self._health.order(named)]

    def __repr__(self) -> str:
        return f"<NamedUpstreams {[str(each) for each in self._upstreams]}>"


def forbid(request: RequestHead) -> ForbiddenError:
    """Return the error for a request that has no route."""
    return ForbiddenError(
        f"No rule of --noproxy matches {request.authority.host}, and there is no upstream to send it to.",
        "Name the upstream with --proxy=HOST:PORT, or add the host to --noproxy.",
    )
