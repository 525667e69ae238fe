"""The way of a request from its route to its answer, walked step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from px.checks.login_checks import LoginCheck
from px.checks.login_test import PxUnderTest, send_requests, tell_logins
from px.checks.route_checks import check_routes
from px.checks.step import Step, Tell, Verdict, make_skipped
from px.checks.step_teller import StepTeller
from px.checks.upstream_checks import UpstreamCheck
from px.core.rules.route import Direct, Route

if TYPE_CHECKING:
    from px.app.px import PxParts
    from px.checks.target import SiteRequests
    from px.config.settings import Settings
    from px.upstream.connections.connection import Hop


class Walk:
    """The steps from the route of a request to its answer; at most one login fails.

    Args:
        settings: The settings of Px.
        parts: Of a Px with these settings.
        tested: The Px that the requests go through.
        requests: To send.
        tell: Takes the steps.
        logs_in: Whether to log in before the requests do.

    Attributes:
        route: The route that works; None: none does, or the walk has not come so far.
        hop: The upstream of that route; None without one.
        login_check: The login there; None without one.
    """

    def __init__(
        self,
        settings: Settings,
        parts: PxParts,
        tested: PxUnderTest,
        requests: SiteRequests,
        tell: Tell,
        *,
        logs_in: bool = True,
    ) -> None:
        self._settings = settings
        self._parts = parts
        self._tested = tested
        self._requests = requests
        self._teller = StepTeller(tell)
        self._tell = self._teller.tell
        self._logs_in = logs_in
        self.route: Route | None = None
        self.hop: Hop | None = None
        self.login_check: LoginCheck | None = None

    async def run(self) -> None:
        """Go as far as the steps succeed."""
        try:
            await self._walk()
        finally:
            self._teller.settle()

    async def _walk(self) -> None:
        routes = await check_routes(self._settings, self._parts, self._requests.get, self._teller)
        failed = await self._check_upstreams(routes) if routes else "the way to the upstream"
        if failed:
            self._tell(make_skipped("GET", failed))
            self._tell(make_skipped("CONNECT", failed))
            return
        is_passed_on = await send_requests(self._tested, self._requests, self._tell)
        if is_passed_on and not (self.login_check and self.login_check.is_done):
            tell_logins(self._tested, self._tell)

    async def _check_upstreams(self, routes: Sequence[Route]) -> str:
        """Check the upstreams in their order, up to one that works; return what failed, or nothing.

        The failure of an upstream that is not the last one is a warning: Px goes on to the next.
        """
        for route in routes:
            if isinstance(route, Direct):
                self.route = route
                return ""
            tell = self._tell if route is routes[-1] else self._tell_mildly
            hop = self._parts.hops.hop_of(route.upstream)
            check = UpstreamCheck(self._parts, hop, self._requests.get, tell)
            if await check.connect():
                self.route, self.hop = route, hop
                return "" if route.upstream.is_socks else await self._check_login(hop, check)
        return "the connection"

    def _tell_mildly(self, step: Step) -> None:
        is_failed = step.verdict is Verdict.FAILED
        self._tell(replace(step, verdict=Verdict.WARNING) if is_failed else step)

    async def _check_login(self, hop: Hop, check: UpstreamCheck) -> str:
        """Ask an upstream what it offers, and log in; return what failed, or nothing."""
        offer = await check.ask()
        if offer is None:
            return "the first answer"
        if hop.login is None or offer.schemes is None or not self._logs_in:
            return ""
        self.login_check = LoginCheck(
            self._parts, hop, hop.login, offer.schemes, self._requests.get, self._teller
        )
        await self.login_check.run()
        return self.login_check.failed
