"""A trial of settings for ``px --setup``: the walk of a doctor, of which a person sees the offers only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from px.checks.fresh_px import running_fresh_px
from px.checks.login_checks import format_ticket
from px.checks.login_test import OTHER_SITE, PxUnderTest
from px.checks.step import Step, Verdict, format_seconds
from px.checks.walk import Walk
from px.core.login.method import Method
from px.core.rules.route import Direct
from px.system.state.installation import state_directory

if TYPE_CHECKING:
    from px.checks.target import SiteRequests
    from px.cli.setup.screen import Screen
    from px.config.settings import Settings

_OFFERS: Final = "Offers"
_TICKET: Final = "Ticket"
_REQUESTS: Final = ("GET", "CONNECT")


class Trial:
    """A trial.

    Args:
        screen: Shows what the upstream offers.
        known: What the user knows of the proxy already.
        is_repeated: Whether the user knows the offers, too.

    Attributes:
        wants_password: Whether Px needs a password that it does not have.
        why: The reason why a ticket does not do instead; empty if the upstream takes none.
        login: Who has logged in, how; empty before that.
    """

    def __init__(self, screen: Screen, known: str, *, is_repeated: bool) -> None:
        self.wants_password, self.why = False, ""
        self.login = ""
        self._screen = screen
        self._known = known
        self._is_repeated = is_repeated
        self._steps: list[Step] = []
        self._walk: Walk | None = None

    async def run(self, settings: Settings, requests: SiteRequests) -> None:
        """Send the requests through a Px with these settings; at most one login fails."""
        async with running_fresh_px(settings, state_directory()) as (px, address):
            tested = PxUnderTest("", address, px.report)
            self._walk = Walk(settings, px.parts, tested, requests, self._tell)
            await self._walk.run()
            self.login = self._describe_login(self._walk)
        check = self._walk.login_check
        if check is not None and check.wants_password:
            self.wants_password = True
            self.why = next((step.detail for step in self.failures if step.name == _TICKET), "")

    def _tell(self, step: Step) -> None:
        self._steps.append(step)
        if step.name == _OFFERS and step.verdict is Verdict.OK and not self._is_repeated:
            assert self._walk is not None  # noqa: S101 - it has told the step
            route = str(self._walk.route)
            self._screen.show(_OFFERS, step.detail if route in self._known else f"{step.detail}, at {route}")

    @property
    def is_good(self) -> bool:
        """Whether both requests have succeeded."""
        good = [step.name for step in self._steps if step.verdict is Verdict.OK]
        return all(name in good for name in _REQUESTS)

    @property
    def is_stopped_by_site(self) -> bool:
        """Whether the upstream has accepted a login, and only answers that Px has passed on are bad."""
        is_logged_in = bool(self._walk and self._walk.login_check and self._walk.login_check.is_done)
        return is_logged_in and all(step.fix == OTHER_SITE for step in self.failures)

    @property
    def failures(self) -> list[Step]:
        """The steps that failed."""
        return [step for step in self._steps if step.verdict is Verdict.FAILED]

    @property
    def warnings(self) -> list[str]:
        """What is wrong, although the requests succeed."""
        doubtful = (Verdict.WARNING, Verdict.FAILED)
        return [f"{each.detail}. {each.fix}".strip() for each in self._steps if each.verdict in doubtful]

    @property
    def answers(self) -> list[str]:
        """The answers to the requests."""
        return [
            f"{step.name} {step.detail} ({format_seconds(step.seconds or 0)})"
            for step in self._steps
            if step.name in _REQUESTS
        ]

    @staticmethod
    def _describe_login(walk: Walk) -> str:
        if isinstance(walk.route, Direct) or walk.hop is None or walk.hop.login is None:
            return "none is needed"
        login = walk.hop.login
        method = login.accepted_method
        if method is None or not login.has_logged_in:
            return "none is needed"
        source = login.source
        if source.ticket is not None and method is Method.KERBEROS:
            return f"ticket {format_ticket(source.ticket)}, by {method.value}"
        secret = f"password from {source.secret_place}" if source.secret_place else "no password needed"
        return f"as {source.identity.name}, {secret}, by {method.value}"
