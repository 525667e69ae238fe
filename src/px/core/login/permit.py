"""Whether a login may send its tokens now, and what their verdicts mean for the secret.

Some proxies answer 407 where a rule denies the target. So if the secret was accepted before, Px takes
the first refusal for a denial of the target: the client gets a 403, and so does every request for that target
while the denial lasts (`px.core.login.target_memory`). A second refusal, with no accepted login between,
counts against the secret, in whichever process it happens, but a token without a charge only if it was sent
after the first refusal, or if nothing verifies the secret. Any other refusal counts against the secret at
once (`px.core.login.lockout`).

After a refusal that counts against the secret, the next token goes with a verification.
`VerificationWantedError` asks `px.upstream.exchanger` for a login that reaches no origin
(`px.upstream.verification`), so that Px does not take a rule about targets for a wrong password. The
verification uses another method if there is one, but never Basic, which would show in clear the password that
was just refused. A verification also goes first when the verdict on another login takes long. If no
verification brings a verdict, the next request for another target does.
"""

from __future__ import annotations

from collections.abc import Sequence

from px.core.errors import LoginError, LoginRefusedError
from px.core.login.gate import GatedLogin, LoginGate
from px.core.login.lockout_report import RETRY_AFTER_SECONDS
from px.core.login.method import Method
from px.core.login.method_choice import LoginChoice
from px.core.login.report import make_denied_error, make_refused_error, make_undecided_error
from px.core.login.token_budget import REFUSAL_BLOCK_SECONDS, UNASKED
from px.core.login.tokenless_request import UnjudgedToken
from px.core.login.upstream_state import UpstreamLogin


class VerificationWantedError(LoginRefusedError):
    """The secret is uncertain after a refusal: the next token must go with a verification.

    Attributes:
        refused: Methods by which the upstream refused this request; empty: the request sent no token.
    """

    def __init__(self, error: LoginRefusedError, refused: Sequence[Method]) -> None:
        super().__init__(error.cause, error.hint)
        self.refused = tuple(refused)

    def settled_by(self, error: LoginError) -> LoginError:
        """Return the error for the client after a failed verification: its own refusal, if it had one."""
        return LoginRefusedError(self.cause, self.hint) if self.refused else error


class SlowVerdictError(VerificationWantedError):
    """The verdict on another login takes long: a verification tells sooner whether the secret is right."""

    def __init__(self, login: UpstreamLogin) -> None:
        super().__init__(make_undecided_error(login), ())


class LoginPermit:
    """Lets one login send tokens when the lock-out memory allows that; `give_back` it at the end.

    Args:
        login: At which upstream, as whom.
        target: What the request asks for there.
        gate: Lets one login in at a time.
        choice: Methods that were refused to this login.
        is_verification: The login is a verification: no rule about targets explains a refusal.
    """

    def __init__(
        self,
        login: UpstreamLogin,
        target: str,
        gate: LoginGate,
        choice: LoginChoice,
        *,
        is_verification: bool,
    ) -> None:
        self._login = login
        self._guard, self._source = login.guard, login.source
        self._target = target
        self._gate = gate
        self._choice = choice
        self._is_verification = is_verification
        #: Whether the secret was accepted lately, as the login on this connection began.
        self.was_accepted_lately = False
        self._is_out = False  # a final token whose verdict is not known
        self._sent_at = 0.0  # when the last final token was sent, by the guard's clock
        self._kdc_error: LoginRefusedError | None = None

    def check(self) -> None:
        """Return unless no token may be sent.

        Raises:
            LoginBlockedError: The budget of the account is used up.
            VerificationWantedError: A token was refused or lost.
        """
        self._guard.check(self._source, self._gate.charge)
        self.ask_for_verification()

    async def take(self) -> None:
        """Wait until a token may be sent for the target.

        Raises:
            LoginBlockedError: The budget of the account is used up.
            ForbiddenError: The upstream denies the target.
        """
        login, target = self._login, self._target
        self._guard.check(self._source, self._gate.charge)  # a block says more than the denial of one target
        if login.targets.denied_for(target) > 0 and not self._is_verification:
            raise make_denied_error(login, target)
        while True:
            await self._enter_gate()
            self._guard.check(self._source, self._gate.charge)
            if self._guard.is_target_denied(self._source, target):  # seen by another process
                raise make_denied_error(login, target)
            if self._gate.is_inside:
                return
            self.ask_for_verification()  # otherwise the block has ended just now, or a verdict has come

    async def _enter_gate(self) -> None:
        login, guard, source = self._login, self._guard, self._source
        gated = GatedLogin.for_source(
            guard, source, self._wants_verification, is_verification=self._is_verification
        )
        is_alone = await self._gate.enter(gated)
        self.was_accepted_lately = guard.is_accepted_lately(source)
        if not (is_alone or self._is_verification) and login.can_verify:
            # No slow origin delays the verdict on a verification.
            raise SlowVerdictError(login)

    def waits_to_be_asked(self, method: Method) -> bool:
        """Whether a login by this method waits until the upstream asks for it.

        After a failure only the acceptance of a token that the upstream asked for tells that the secret is
        right. NTLM needs a challenge anyway.
        """
        has_failed = self._guard.has_failed(self._source)
        return has_failed and not method.is_challenged and not self._is_verification

    def may_go_on(self) -> bool:
        """Return whether a login may go on with its final token, after the upstream's challenge has come."""
        return self._gate.may_go_on()

    def note_final_token(self) -> None:
        """Note that a final token goes out; the caller reports its verdict, or that nobody saw one."""
        self._is_out, self._sent_at = True, self._guard.now()
        self._gate.note_sent()

    def receive_acceptance(self, method: Method, *, was_asked_for: bool) -> None:
        """Note that the final token was accepted.

        Args:
            method: Of the token.
            was_asked_for: Whether the upstream asked this request for a login; otherwise it may let the
                target through whatever the token is. Every verification is asked for.
        """
        self._is_out = False
        was_asked_for = was_asked_for or self._is_verification
        sent_at = self._sent_at if was_asked_for else UNASKED
        self._login.receive_acceptance(method, self._target, self._gate.spend(), sent_at)
        self._gate.leave(is_accepted=was_asked_for or self._guard.is_accepted_lately(self._source))

    def give_back(self) -> None:
        """Leave the gate, so that the next login can enter. Safe to call again."""
        if self._is_out:
            self._lose_verdict()
        self._gate.leave()

    def receive_refusal(self, method: Method) -> None:
        """Note that the upstream refused a final token; return if another method may be tried.

        Raises:
            ForbiddenError: The refusal is taken for a denial of the target.
            LoginError: No other method may be tried now.
        """
        login, target = self._login, self._target
        self._is_out, charge = False, self._gate.spend()
        if not self._is_verification:
            # Where nothing verifies the secret, two denied targets in a row must not look like a wrong one:
            # the first refusal is free, and each later one counts, whenever its token was sent.
            stays_charged = not self.was_accepted_lately or (charge is not None and login.can_verify)
            is_denial = login.deny(target, charge, is_charged=stays_charged)
            if is_denial or (login.can_verify and not stays_charged):
                raise make_denied_error(login, target)
        self._guard.receive_refusal(self._source, login.subject, method.value, charge)
        self._choice.refuse(method, "the upstream refused it")
        if not self._is_verification:
            login.targets.avoid(target, REFUSAL_BLOCK_SECONDS)
        # NTLM after NTLM in Negotiate would be the same login under another name, and one more refusal.
        others = [each for each in self._choice.left() if each.mechanism != method.mechanism]
        if others or self._guard.was_accepted(self._source):
            self.ask_for_verification()
        if not others or self._guard.is_limit_reached:
            # No rule about targets can deny a verification, which asks for none.
            raise make_refused_error(login, self._choice.refused, "" if self._is_verification else target)
        self._guard.check(self._source)

    async def receive_refusal_by_kdc(self, method: Method, error: LoginRefusedError) -> None:
        """Note that a KDC refused the password; return when another method may send a token.

        Raises:
            LoginError: No token may be sent now.
        """
        self._guard.receive_refusal(self._source, "The Kerberos KDC", method.value, self._gate.spend())
        self._choice.refuse(method, error.cause)
        self._kdc_error = LoginRefusedError(f"{error.cause}.", error.hint, retry_after=RETRY_AFTER_SECONDS)
        if self._guard.is_blocked(self._source):
            raise self._kdc_error  # the KDC says more than the block: locked, expired, wrong
        self.check()
        await self.take()

    def receive_lost_verdict(self, token: UnjudgedToken) -> None:
        """Note that nobody saw the verdict on a token; a secret that was accepted lately stays certain."""
        if token.is_final:
            self._lose_verdict()

    def _lose_verdict(self) -> None:
        self._is_out, charge = False, self._gate.spend()
        if charge is not None or not self._guard.is_accepted_lately(self._source):
            self._guard.receive_no_verdict(self._source, self._login.subject, charge)

    def ask_for_verification(self) -> None:
        """Return unless the next token has to go with a verification.

        Raises:
            VerificationWantedError: A token was refused or lost, and this upstream can verify.
        """
        if self._wants_verification() and not self._guard.is_blocked(self._source):
            raise VerificationWantedError(self._explain_uncertain(), self._choice.refused)

    def _wants_verification(self) -> bool:
        has_lost_trust = self._guard.has_lost_trust(self._source)
        return has_lost_trust and not self._is_verification and self._login.can_verify

    def _explain_uncertain(self) -> LoginRefusedError:
        if self._kdc_error is not None:
            return self._kdc_error
        login, refused = self._login, self._choice.refused
        by = [method.value for method in refused] or [self._guard.refused_method(self._source)]
        if any(by):
            return make_refused_error(login, refused, self._target, by=by)
        name = self._source.identity.name
        if self._guard.is_denied(self._source):
            return LoginRefusedError(f"{login.subject} refused the last login of {name}, for another target.")
        return LoginRefusedError(f"{login.subject} neither accepted nor refused the last login of {name}.")

    def __repr__(self) -> str:
        return f"<LoginPermit at {self._login.upstream} for {self._target}>"
