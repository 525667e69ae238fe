"""Decides how a request leaves: directly where a noproxy rule matches, else through the upstreams."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from px.core.errors import ForbiddenError, UnreachableError
from px.core.hostrules import HostRules
from px.core.route import Direct, Route, UpstreamAddress, Via
from px.core.target import Authority
from px.routing.health import UpstreamHealth

#: How long a rule about addresses may hold up a request (SPEC 3); then it goes upstream.
LOOK_UP_SECONDS = 1.0

Resolve = Callable[[str], Awaitable[Sequence[str]]]


class Router:
    """Routes of requests.

    Args:
        upstreams: In the user's order; empty: what noproxy does not match is refused.
        noproxy: What is reached directly.
        resolve: Addresses of a host; raises UnreachableError.
        health: Of the upstreams.
    """

    def __init__(
        self,
        upstreams: Sequence[UpstreamAddress],
        noproxy: HostRules,
        resolve: Resolve,
        health: UpstreamHealth,
    ) -> None:
        self._upstreams = upstreams
        self._noproxy = noproxy
        self._resolve = resolve
        self._health = health

    async def routes_for(self, target: Authority) -> Sequence[Route]:
        """Return the routes to try, in order; at least one.

        Raises:
            ForbiddenError: No rule matches and there is no upstream.
            UnreachableError: The name had to be resolved, could not be, and there is no upstream.
        """
        if self._noproxy and (why := await self._find_rule(target)):
            return (Direct(why),)
        if not self._upstreams:
            raise ForbiddenError(
                f"No rule of --noproxy matches {target.host}, and there is no upstream to send it to.",
                "Name the upstream with --proxy=HOST:PORT, or add the host to --noproxy.",
            )
        return [Via(upstream) for upstream in self._health.order(self._upstreams)]

    async def _find_rule(self, target: Authority) -> str:
        """Return why a target is reached directly; empty: it is not."""
        rules = self._noproxy
        if rules.matches_everything:
            return "noproxy names everything"
        if rules.matches_name(target.host, target.port):
            return f"noproxy names {target.host}"
        if not rules.needs_addresses:
            return ""
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS if self._upstreams else None):
                addresses = await self._resolve(target.host)
        except (UnreachableError, TimeoutError):
            if self._upstreams:
                return ""
            raise
        matching = next((address for address in addresses if rules.matches_address(address)), None)
        return f"noproxy names its address {matching}" if matching else ""

    def report(self, route: Route, *, is_reachable: bool) -> None:
        """Learn whether the hop of a route could be reached."""
        if isinstance(route, Via):
            self._health.report(route.upstream, is_reachable=is_reachable)

    def __repr__(self) -> str:
        return f"<Router upstreams={[str(each) for each in self._upstreams]} noproxy={bool(self._noproxy)}>"
