"""``px --doctor``: follows a request from a program to the site, and says at each step whether it works."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from px.checks.fresh_px import running_fresh_px
from px.checks.login_checks import LoginCheck
from px.checks.login_test import PxUnderTest, send_requests, tell_logins
from px.checks.own_checks import check_clients, check_config, check_password, check_port, check_source
from px.checks.program_checks import ProgramCheck
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """The Px that the doctor examines.

    Attributes:
        settings: The settings, with all secrets.
        state: The state directory.
        config_file: The px.ini in use, or None.
        warnings: What Px says about the configuration.
        password_warnings: What Px says about the keyring.
        environ: The environment of this shell.
        port: The step of the port, where a Px of this user has it; None: none has.
        running: The running Px, if the requests are to go through it; None: the doctor starts one.
    """

    settings: Settings
    state: Path
    config_file: Path | None
    warnings: Sequence[str] = ()
    password_warnings: Sequence[str] = ()
    environ: Mapping[str, str]
    port: Step | None = None
    running: PxUnderTest | None = None


async def examine(patient: Patient, requests: SiteRequests, tell: Tell) -> None:
    """Tell the steps in the order in which a request meets what they check; at most one login fails.

    Args:
        patient: The Px.
        requests: To send at the end.
        tell: Takes the steps.
    """
    settings = patient.settings
    tell(check_config(patient.config_file, patient.warnings))
    tell(patient.port or check_port(settings))
    programs = ProgramCheck(settings, patient.environ, requests.connect.authority)
    for step in await asyncio.to_thread(list, programs.run()):
        tell(step)
    if patient.running is None and (clients := check_clients(settings)) is not None:
        tell(clients)
    password = check_password(settings, patient.password_warnings)
    if password is not None and patient.running is None:
        tell(password)
    failure = await asyncio.to_thread(check_source, settings)
    if failure is not None:
        tell(failure)
        return
    async with running_fresh_px(settings, patient.state) as (px, address):
        tested = patient.running or PxUnderTest("", address, px.report)
        await _Walk(patient, px.parts, tested, requests, tell).run()


class _Walk:
    """The steps from the route of a request to its answer.

    Args:
        patient: The Px.
        parts: Of a Px with the same settings.
        tested: The Px that the requests go through.
        requests: To send.
        tell: Takes the steps.
    """

    def __init__(
        self, patient: Patient, parts: PxParts, tested: PxUnderTest, requests: SiteRequests, tell: Tell
    ) -> None:
        self._patient = patient
        self._parts = parts
        self._tested = tested
        self._requests = requests
        self._teller = StepTeller(tell)
        self._tell = self._teller.tell
        self._is_logged_in = False

    async def run(self) -> None:
        """Go as far as the steps succeed."""
        try:
            await self._walk()
        finally:
            self._teller.settle()

    async def _walk(self) -> None:
        routes = await check_routes(self._patient.settings, self._parts, self._requests.get, self._teller)
        failed = await self._check_upstreams(routes) if routes else "the way to the upstream"
        if failed:
            self._tell(make_skipped("GET", failed))
            self._tell(make_skipped("CONNECT", failed))
            return
        is_passed_on = await send_requests(self._tested, self._requests, self._tell)
        if is_passed_on and not self._is_logged_in:
            tell_logins(self._tested, self._tell)

    async def _check_upstreams(self, routes: Sequence[Route]) -> str:
        """Check the upstreams in their order, up to one that works; return what failed, or nothing.

        The failure of an upstream that is not the last one is a warning: Px goes on to the next.
        """
        for route in routes:
            if isinstance(route, Direct):
                return ""
            tell = self._tell if route is routes[-1] else self._tell_mildly
            hop = self._parts.hops.hop_of(route.upstream)
            check = UpstreamCheck(self._parts, hop, self._requests.get, tell)
            if await check.connect():
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
        if hop.login is None or offer.schemes is None or self._patient.running is not None:
            return ""
        login_check = LoginCheck(self._parts, hop, hop.login, offer.schemes, self._requests.get, self._teller)
        await login_check.run()
        self._is_logged_in = login_check.is_done
        return login_check.failed
