"""Answers the 407s of an upstream.

An upstream names the logins that it takes in ``Proxy-Authenticate`` (RFC 9110 11.7); Px answers by the
strongest method that it can use (`px.core.login.method`). `UpstreamLogin` is what Px remembers of one
upstream and one identity. With it, only the first request to an upstream has to wait for a 407.
`LoginAttempt` takes one request through. What a 407 means depends only on what was sent last on that
connection (`px.core.login.handshake`):

=====================  ===============================  =========================================
sent last              a 407 means                      then
=====================  ===============================  =========================================
nothing                the upstream wants a login       first token of the strongest method
any token              other schemes are offered: this  the request without a token, on a fresh
                       is a new challenge               connection, to learn what is wanted here
a token, not final     its challenge has the next       next token, on the same connection
                       no challenge: not this method    next method, on a fresh connection
Digest, older nonce    that nonce is used up            the new nonce, no refusal
a final token          refused                          a verdict: see `px.core.login.permit`
=====================  ===============================  =========================================

If the answer to the request without a token offers the old scheme after all, the token was refused; see
`px.core.login.tokenless_request`. When a target is answered without a token, later requests for that target
go without one.
"""

from __future__ import annotations

from collections.abc import Sequence

from px.core.auth.challenge import Challenge, parse_challenges
from px.core.errors import LoginError, LoginRefusedError, LoginUnusableError
from px.core.login.gate import LoginGate
from px.core.login.handshake import Handshake
from px.core.login.method import Method
from px.core.login.method_choice import LoginChoice
from px.core.login.permit import LoginPermit
from px.core.login.report import check_target
from px.core.login.request_line import RequestLine
from px.core.login.tokenless_request import TokenlessRequest, UnjudgedToken
from px.core.login.upstream_state import DECLINED_SECONDS, REFUSED_SECONDS, UNUSABLE_SECONDS, UpstreamLogin

#: Why a handshake cannot go on, as clauses.
STOPS = "the upstream did not go on with it"
CLOSES = "the upstream closes the connection in the middle of the handshake"
#: No login takes more 407s than this; an upstream that sends more is broken.
MAX_CHALLENGES = 12


class LoginAttempt:
    """Takes one request past the login of one upstream; always `close` it at the end.

    The caller asks `first_credentials` for each connection that it uses, sends them, and reports what came:
    `receive_407`, `receive_answer`, or `receive_break` when the connection ended without an answer.
    """

    def __init__(
        self,
        login: UpstreamLogin,
        request: RequestLine,
        gate: LoginGate,
        *,
        verifies_after: Sequence[Method] | None = None,
    ) -> None:
        self.login = login
        #: Whether a final token of this attempt was accepted.
        self.is_accepted = False
        self._is_verification = verifies_after is not None
        self._target = request.target
        self._handshake = Handshake(login, request)
        self._challenges = 0
        self._breaks = 0
        self._logged_in_by: Method | None = None  # how an earlier request logged this connection in
        self._choice = LoginChoice(login, request.target)
        if verifies_after is not None:
            self._choice.prefer_others(verifies_after)
        self._permit = LoginPermit(
            login, request.target, gate, self._choice, is_verification=self._is_verification
        )
        self._tokenless = TokenlessRequest(
            login.subject, is_wanted=self._is_verification and not login.is_verification_known
        )

    @property
    def method(self) -> Method | None:
        """The method of what was sent last on this connection; None: no token was sent."""
        return self._handshake.method

    @property
    def awaits_verdict(self) -> bool:
        """Whether a final token is out whose answer tells if the secret is right."""
        return self._handshake.is_final and not self.login.guard.is_accepted_lately(self.login.source)

    @property
    def may_reach_origin(self) -> bool:
        """Whether the origin may answer what was sent last; else only the upstream can."""
        return self._handshake.may_reach_origin

    @property
    def is_upstream_known(self) -> bool:
        """Whether Px knows that the upstream is there, and what it wants for this target."""
        return self.login.is_contacted and not self._tokenless.was_silent

    def want_new_nonce(self) -> None:
        """Use no nonce that may be old: Digest waits for a 407 to this request."""
        self._handshake.digest.takes_old_nonces = False

    def check_target(self) -> None:
        """Return unless a login for the target was lately refused; asked before a connection is taken.

        Raises:
            ForbiddenError: The upstream denies the target.
            LoginRefusedError: Only another target can tell if the secret is right.
        """
        if not self._is_verification:
            check_target(self.login, self._target)

    def check_login_allowed(self) -> None:
        """Return unless the request needs a login that may not be sent; called before a connection is opened.

        Raises:
            LoginBlockedError: The budget of the account is used up.
            VerificationWantedError: A token was refused or lost.
        """
        if self.login.methods(self._target) and not self._needs_no_login:
            self._permit.check()

    @property
    def _needs_no_login(self) -> bool:
        return not self._is_verification and self.login.targets.is_free(self._target)

    async def first_credentials(
        self, logged_in_by: Method | None, channel_bindings: bytes | None
    ) -> bytes | None:
        """Return the credentials for the first message on a connection; None: send it without.

        Args:
            logged_in_by: The method by which an earlier request logged this connection in.
            channel_bindings: Of the connection, when it is TLS.

        Raises:
            LoginError: No method can be used, or no token may be sent now.
            ForbiddenError: The upstream denies this target.
        """
        self._handshake.forget()
        self._logged_in_by = logged_in_by
        if self._tokenless.is_wanted or self._needs_no_login:
            return None
        if logged_in_by and not self._wants_token_again(logged_in_by):
            return None
        # Not contacted yet, or nothing fits: then the next 407 may offer something else.
        methods = self.login.methods(self._target)
        if not methods:
            return None
        if not self._challenges and self._permit.waits_to_be_asked(methods[0]):
            self._permit.check()
            return None
        return await self._begin(channel_bindings) or None

    def _wants_token_again(self, logged_in_by: Method) -> bool:
        """Whether a request needs a token although its connection is logged in."""
        if logged_in_by is Method.KERBEROS and self.login.wants_token_each_request:
            return True
        own_offer = self.login.targets.offer_at(self._target)
        if own_offer is None or logged_in_by.scheme in own_offer:
            return False
        return not any(method.is_bound_to_connection for method in self._choice.left()[:1])

    async def receive_407(
        self,
        values: Sequence[bytes],
        channel_bindings: bytes | None,
        *,
        can_continue: bool,
        trouble: str = CLOSES,
    ) -> bytes | None:
        """Return the credentials to send next on the same connection; None: begin again on a fresh one.

        Args:
            values: Of ``Proxy-Authenticate``.
            channel_bindings: Of the connection, when it is TLS.
            can_continue: Whether the connection can be used after this 407.
            trouble: Why it cannot, as a clause; empty: the upstream is not to blame.

        Raises:
            LoginError: The login has failed.
            ForbiddenError: The upstream denies this target.
        """
        challenges = parse_challenges(values)
        self._challenges += 1
        if self._challenges > MAX_CHALLENGES:
            raise LoginError(f"{self.login.subject} asks for a login again and again.")
        self.login.is_open = False
        self.login.targets.learn_closed(self._target)
        sent = self._handshake
        if sent.method is None:
            return await self._answer_first_407(challenges, channel_bindings, can_continue=can_continue)
        if all(challenge.scheme != sent.method.scheme for challenge in challenges):
            self._receive_other_offer(sent.method)
            return None
        if sent.method is Method.DIGEST and not sent.digest.is_fresh:
            return self._answer_new_nonce(challenges, can_continue=can_continue)
        if sent.is_final:
            self._receive_refusal(sent.method)
            return None
        return await self._answer_challenge(
            sent.method, challenges, can_continue=can_continue, trouble=trouble
        )

    async def _answer_first_407(
        self, challenges: list[Challenge], channel_bindings: bytes | None, *, can_continue: bool
    ) -> bytes | None:
        schemes = frozenset(challenge.scheme for challenge in challenges)
        if self._logged_in_by is not None and self._logged_in_by.scheme not in schemes:
            self._tokenless.is_wanted = True
            return None
        self._tokenless.is_wanted = False
        self.login.is_slow = self.login.is_slow or self._tokenless.was_silent
        if self._logged_in_by is None:
            self.login.learn_offer(self._target, schemes, is_own=self._is_verification)
        self._handshake.digest.receive_challenge(challenges)
        if (token := self._tokenless.take_token()) is not None:
            self._judge(token, schemes)
        # Squid takes no second NTLM login on a connection, but it takes another Kerberos token.
        if can_continue and self._logged_in_by in (None, Method.KERBEROS):
            return await self._begin(channel_bindings)
        if not self._choice.left():
            raise self._choice.make_error()
        return None

    def _receive_other_offer(self, method: Method) -> None:
        """Note that the upstream answered a token by a 407 that does not offer its scheme.

        Raises:
            LoginError: Asking again without a token is of no use.
        """
        token, self._handshake.is_final = UnjudgedToken(method, self._handshake.is_final), False
        if self._is_verification:  # the upstream may not take this kind of request
            self._permit.receive_lost_verdict(token)
            raise LoginUnusableError(f"{self.login.subject} does not verify a login by such a request.")
        self._tokenless.ask_about(token)

    def _judge(self, token: UnjudgedToken, schemes: frozenset[str]) -> None:
        """Decide what became of a token, by the schemes that the upstream offers without one.

        Raises:
            LoginError: The token was refused.
        """
        if token.method.scheme not in schemes:
            self._permit.receive_lost_verdict(token)
        elif token.is_final:
            self._receive_refusal(token.method)
        elif self._tokenless.declines_again(token.method):
            self.login.mark_unusable(token.method, DECLINED_SECONDS)
            is_failure = token.method is not Method.NEGOTIATE_NTLM
            self._choice.rule_out(token.method, STOPS, is_failure=is_failure)

    def _answer_new_nonce(self, challenges: list[Challenge], *, can_continue: bool) -> bytes | None:
        digest = self._handshake.digest
        digest.receive_challenge(challenges)
        if not digest.is_fresh:
            self._choice.rule_out(Method.DIGEST, "the upstream withdrew it")
            return None
        if not can_continue:
            return None
        self._permit.note_final_token()
        return self._handshake.answer_new_nonce()

    async def _answer_challenge(
        self, method: Method, challenges: list[Challenge], *, can_continue: bool, trouble: str
    ) -> bytes | None:
        """Return the token that follows one that was not final; None: the upstream does not go on."""
        token, is_bare = self._handshake.find_token(challenges)
        if not token:
            # That NTLM may go inside Negotiate is a guess of Px: "no" to that is an answer, not a failure.
            is_failure = not (method is Method.NEGOTIATE_NTLM and is_bare)
            self.login.mark_unusable(method, DECLINED_SECONDS)
            self._choice.rule_out(method, STOPS, is_failure=is_failure)
            return None
        if not can_continue:
            if trouble:
                self._choice.rule_out(method, trouble, is_failure=True)
            return None
        if not self._permit.may_go_on():
            return None
        try:
            credentials = await self._handshake.go_on(token)
        except LoginUnusableError as error:
            self._choice.rule_out(method, error.cause, error.hint, is_failure=True)
            return None
        except LoginRefusedError:  # the platform knows without asking the upstream
            self._receive_refusal(method)
            return None
        self._note_sent()
        return credentials

    async def _begin(self, channel_bindings: bytes | None) -> bytes:
        """Return the first credentials of the strongest method that has some."""
        await self._permit.take()
        while methods := self._choice.left():
            method = methods[0]
            self._permit.ask_for_verification()
            try:
                credentials = await self._handshake.begin(
                    method,
                    channel_bindings,
                    is_challenged=self._challenges > 0,
                    is_accepted_lately=self._permit.was_accepted_lately,
                )
            except LoginUnusableError as error:
                self.login.mark_unusable(method, UNUSABLE_SECONDS)
                self._choice.rule_out(method, error.cause, error.hint)
            except LoginRefusedError as error:  # by the KDC
                await self._permit.receive_refusal_by_kdc(method, error)
            else:
                self._note_sent()
                self._permit.check()  # only now it is known whose tickets the token is made of
                return credentials
        raise self._choice.make_error()

    def _note_sent(self) -> None:
        if self._handshake.is_final:
            self._permit.note_final_token()

    def receive_answer(self, authentication_info: bytes | None = None) -> Method | None:
        """An answer came that is not a 407; return the method that has logged the connection in, if any.

        Args:
            authentication_info: Of ``Proxy-Authentication-Info``: Digest's next nonce (RFC 7616 3.5).
        """
        login, method, is_final = self.login, self._handshake.method, self._handshake.is_final
        if method is Method.DIGEST and authentication_info is not None:
            self._handshake.digest.receive_next_nonce(authentication_info)
        if method is None:
            login.is_open = login.is_open or login.offered is None
        if not (is_final or self._logged_in_by or self._is_verification):
            login.targets.learn_free(self._target)
        elif is_final and method is not None:
            self._receive_acceptance(method)
        self._handshake.forget()
        self.close()
        return method if method and is_final and method.is_bound_to_connection else None

    def _receive_acceptance(self, method: Method) -> None:
        if method is Method.KERBEROS and self._logged_in_by and self._challenges:
            self.login.wants_token_each_request = True
        for refused in self._choice.refused:
            self.login.mark_unusable(refused, REFUSED_SECONDS)
        self._permit.receive_acceptance(method, was_asked_for=self._challenges > 0)
        self.is_accepted = True

    def receive_no_verdict(self) -> None:
        """A final token was sent, and nobody waited for the answer of the upstream."""
        if self._handshake.method is not None:
            self._permit.receive_lost_verdict(UnjudgedToken(self._handshake.method, self._handshake.is_final))

    @property
    def began_unasked(self) -> bool:
        """Whether the login was begun without a 407, at an upstream that answers soon or not at all."""
        return not (self.may_reach_origin or self._challenges or self.login.is_slow)

    def receive_silence(self) -> bool:
        """The first token of a login was not answered; return whether to go on, over a fresh connection.

        An upstream may fall silent at a login for a target that needs none: the next message goes without.
        """
        return not (self.may_reach_origin or self._challenges) and self._tokenless.ask_after_silence()

    def receive_break(self) -> None:
        """The connection ended without an answer."""
        self.receive_no_verdict()
        method = self._handshake.method
        if self._handshake.has_session and method is not None:
            # Once may be chance, or belong to an earlier 407. Twice is how this upstream behaves.
            self._breaks += 1
            if self._breaks > 1 and method is not Method.KERBEROS:
                self._choice.rule_out(method, CLOSES, is_failure=True)
        self._handshake.digest.give_back()
        self._handshake.forget()

    def close(self) -> None:
        """Give back what the attempt has taken. Safe to call again."""
        if (token := self._tokenless.take_token()) is not None:
            self._permit.receive_lost_verdict(token)
        self._handshake.digest.give_back()
        self._permit.give_back()

    def _receive_refusal(self, method: Method) -> None:
        self._handshake.is_final = False  # that was the verdict
        if method is Method.DIGEST:
            self._handshake.digest.drop()
        self._permit.receive_refusal(method)

    def __repr__(self) -> str:
        return f"<LoginAttempt {self._handshake!r} challenges={self._challenges}>"
