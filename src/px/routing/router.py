"""Decides how a request leaves: directly where a noproxy rule matches, else as its guide says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from px.core.errors import ForbiddenError, UnreachableError
from px.core.head import RequestHead
from px.core.hostrules import HostRules
from px.core.route import Direct, Route, UpstreamAddress, Via
from px.core.target import Authority
from px.routing.health import UpstreamHealth

#: How long a rule about addresses may hold up a request (SPEC 3); then it goes upstream.
LOOK_UP_SECONDS = 1.0

Resolve = Callable[[str], Awaitable[Sequence[str]]]


class Guide(Protocol):
    """Knows the routes of what noproxy does not name."""

    @property
    def is_lost(self) -> bool:
        """Whether it knows no way at all, so that all is refused."""

    async def routes_for(self, request: RequestHead) -> Sequence[Route]:
        """Return the routes to try, in order; at least one.

        Raises:
            ForbiddenError: There is none.
            PacError: It could not be found out.
        """


class Router:
    """Routes of requests.

    Args:
        noproxy: What is reached directly.
        guide: Of all else.
        resolve: Addresses of a host; raises UnreachableError.
        health: Of the upstreams.
    """

    def __init__(self, noproxy: HostRules, guide: Guide, resolve: Resolve, health: UpstreamHealth) -> None:
        self._noproxy = noproxy
        self._guide = guide
        self._resolve = resolve
        self._health = health
        self.network = 0

    def begin_anew(self) -> None:
        """Take every upstream for new: this computer is in another network. Changes `network`."""
        self.network += 1
        self._health.forget()

    async def routes_for(self, request: RequestHead) -> Sequence[Route]:
        """Return the routes to try, in order; at least one.

        Raises:
            ForbiddenError: No rule matches and there is no upstream.
            UnreachableError: The name had to be resolved, could not be, and there is no upstream.
            PacError: The PAC script failed.
        """
        if self._noproxy and (why := await self.find_rule(request.authority)):
            return (Direct(why),)
        return await self._guide.routes_for(request)

    async def find_rule(self, target: Authority) -> str:
        """Return why noproxy has a target reached directly; empty: it has not.

        Raises:
            UnreachableError: The name had to be resolved, could not be, and there is no upstream.
        """
        rules = self._noproxy
        if why := find_name_rule(rules, target, "noproxy"):
            return why
        if not rules.needs_addresses:
            return ""
        try:
            async with asyncio.timeout(None if self._guide.is_lost else LOOK_UP_SECONDS):
                addresses = await self._resolve(target.host)
        except (UnreachableError, TimeoutError):
            if not self._guide.is_lost:
                return ""
            raise
        matching = next((address for address in addresses if rules.matches_address(address)), None)
        return f"noproxy names its address {matching}" if matching else ""

    def report(self, route: Route, *, is_reachable: bool) -> None:
        """Learn whether the hop of a route could be reached."""
        if isinstance(route, Via):
            self._health.report(route.upstream, is_reachable=is_reachable)

    def __repr__(self) -> str:
        return f"<Router noproxy={bool(self._noproxy)} {self._guide!r}>"


def find_name_rule(rules: HostRules, target: Authority, who: str) -> str:
    """Return why rules name a target, without looking its addresses up; empty: they do not.

    Args:
        rules: Of what is reached directly.
        target: Where a request goes.
        who: Whose rules they are, for people.
    """
    if rules.matches_everything:
        return f"{who} names everything"
    return f"{who} names {target.host}" if rules.matches_name(target.host, target.port) else ""


class NamedUpstreams:
    """The guide where the user names the upstreams; or none, and then all is refused.

    Args:
        upstreams: In the user's order.
        health: Of them.
    """

    def __init__(self, upstreams: Sequence[UpstreamAddress], health: UpstreamHealth) -> None:
        self._upstreams = upstreams
        self._health = health
        self.is_lost = not upstreams

    async def routes_for(self, request: RequestHead) -> Sequence[Route]:
        """Return the routes to try. See `Guide`."""
        if self.is_lost:
            raise forbid(request)
        return [Via(upstream) for upstream in self._health.order(self._upstreams)]

    def __repr__(self) -> str:
        return f"<NamedUpstreams {[str(each) for each in self._upstreams]}>"


def forbid(request: RequestHead) -> ForbiddenError:
    """Return the error of a request that nobody knows a way for."""
    return ForbiddenError(
        f"No rule of --noproxy matches {request.authority.host}, and there is no upstream to send it to.",
        "Name the upstream with --proxy=HOST:PORT, or add the host to --noproxy.",
    )
