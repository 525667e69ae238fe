"""Who logs in at an upstream, and whether that succeeds: identity, ticket, login."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from px.checks.step import Step, Verdict, stopwatch
from px.checks.step_teller import StepTeller
from px.core.auth.secret_store import SecretStoreError
from px.core.errors import LoginError, LoginUnusableError, PxError
from px.core.login.method import Method
from px.core.login.method_choice import LoginChoice
from px.system.login.keyring import Keyring
from px.system.login.ticket_renewal import ask_kdc
from px.system.process.waiting import waiting_for

if TYPE_CHECKING:
    from px.app.px import PxParts
    from px.core.auth.token_source import Ticket
    from px.core.http.request_head import RequestHead
    from px.core.login.upstream_state import UpstreamLogin
    from px.upstream.connections.connection import Hop

#: The command of a hint that needs a keyring.
_NEEDS_KEYRING: Final = "px --password"
_WITHOUT_KEYRING: Final = "Set PX_PASSWORD in the environment, and give --username; no keyring works here."
_KEYRING_SECONDS: Final = 5.0


class LoginCheck:
    """Logs in at one upstream, once.

    Args:
        parts: Of a running Px that allows one login to fail.
        hop: The upstream.
        login: The login there.
        schemes: The schemes that the upstream offers.
        request: The request that wants the login.
        teller: Takes the steps.

    Attributes:
        is_done: Whether the upstream has accepted the login.
        failed: The name of the step that failed; empty: none has.
        wants_password: Whether it failed because Px has no password; then nothing was sent to the upstream.
    """

    def __init__(
        self,
        parts: PxParts,
        hop: Hop,
        login: UpstreamLogin,
        schemes: frozenset[str],
        request: RequestHead,
        teller: StepTeller,
    ) -> None:
        self._parts = parts
        self._hop = hop
        self._login = login
        self._schemes = schemes
        self._target = request.authority.to_bytes().decode("ascii")
        self._teller = teller
        self.is_done, self.failed, self.wants_password = False, "", False

    async def run(self) -> None:
        """Get a ticket where one is needed, and log in."""
        login = self._login
        login.learn_offer(self._target, self._schemes)
        methods = login.methods(self._target)
        if not methods:
            await self._fail("Identity", LoginChoice(login, self._target).make_error())
            return
        self._teller.tell(Step("Identity", Verdict.OK, self._describe_identity(methods)))
        if methods[0] is Method.KERBEROS:
            await self._check_ticket(methods)
        if not self.failed:
            await self._log_in()

    def _describe_identity(self, methods: Sequence[Method]) -> str:
        source = self._login.source
        secret = f", with the password from {source.secret_place}" if source.secret_place else ""
        ways = ", else ".join(method.value for method in methods)
        return f"{source.identity.name}{secret}; Px logs in by {ways}"

    async def _check_ticket(self, methods: Sequence[Method]) -> None:
        """Get a ticket for the upstream, and throw the token away."""
        hop, source, elapsed = self._hop, self._login.source, stopwatch()
        gate = self._parts.hops.login_gates.for_account(source.identity.account)

        async def ask() -> None:
            await source.open_session(Method.KERBEROS.mechanism, hop.host, None).step(None)

        try:
            with waiting_for(_name_kdc(source.identity.name)):
                await ask_kdc(source, self._login.guard, gate, ask)
        except LoginError as error:
            others = [method.value for method in methods if method is not Method.KERBEROS]
            if isinstance(error, LoginUnusableError) and others:
                detail = f"{error.cause.rstrip('.')}, so Px goes on to {others[0]}"
                step = Step("Ticket", Verdict.WARNING, detail, error.hint, elapsed())
                self._teller.tell_doubtful(step, error.cause)
            else:
                await self._fail("Ticket", error, elapsed())
        else:
            detail = f"there is one for HTTP/{hop.host}{_describe_ticket(source.ticket)}"
            self._teller.tell(Step("Ticket", Verdict.OK, detail, "", elapsed()))

    async def _log_in(self) -> None:
        login, elapsed = self._login, stopwatch()
        try:
            with waiting_for(f"the login at {login.upstream}"):
                await self._parts.exchanger.verify_login(self._hop, login)
        except LoginError as error:
            await self._fail("Login", error, elapsed())
        except PxError:
            detail = "the upstream answers no request of Px's own: the GET shows the login"
            self._teller.tell(Step("Login", Verdict.SKIPPED, detail, "", elapsed()))
        else:
            self.is_done = True
            by = f" by {login.accepted_method.value}" if login.accepted_method else ""
            detail = f"as {login.source.identity.name}{by} at {login.upstream}"
            self._teller.tell(Step("Login", Verdict.OK, detail, "", elapsed()))

    async def _fail(self, name: str, error: LoginError, seconds: float | None = None) -> None:
        self.failed = name
        source = self._login.source
        has_password = source.identity.is_named and source.secret_place
        self.wants_password = isinstance(error, LoginUnusableError) and not has_password
        hint = error.hint
        if _NEEDS_KEYRING in hint and not await asyncio.to_thread(_has_keyring):
            hint = _WITHOUT_KEYRING
        self._teller.tell(Step(name, Verdict.FAILED, f"{error.cause.rstrip('.')}.", hint, seconds))


def _has_keyring() -> bool:
    try:
        return bool(Keyring(_KEYRING_SECONDS).name)
    except SecretStoreError:
        return False


def _describe_ticket(ticket: Ticket | None) -> str:
    """Return whose ticket it is and when it expires, as the end of a sentence; empty if nobody tells."""
    return f", by the ticket of {format_ticket(ticket)}" if ticket is not None else ""


def format_ticket(ticket: Ticket) -> str:
    """Return whose ticket it is, and until when it is valid."""
    expires = time.localtime(ticket.expires_at)
    form = "%H:%M" if expires[:3] == time.localtime()[:3] else "%Y-%m-%d %H:%M"
    return f"{ticket.principal} until {time.strftime(form, expires)}"


def _name_kdc(principal: str) -> str:
    _, has_realm, realm = principal.rpartition("@")
    return f"the KDC of {realm}" if has_realm else "the Kerberos KDC"
