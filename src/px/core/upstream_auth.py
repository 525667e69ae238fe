"""Answers the 407s of an upstream.

An upstream says what logins it takes in ``Proxy-Authenticate`` (RFC 9110 11.7). Px has five methods to
answer, strongest first:

==================  ===========  =================  ==========================================
method              on the wire  bound to           tokens
==================  ===========  =================  ==========================================
KERBEROS            Negotiate    the connection     one, final
NEGOTIATE_NTLM      Negotiate    the connection     two: type 1, challenge, type 3 (final)
NTLM                NTLM         the connection     two: type 1, challenge, type 3 (final)
DIGEST              Digest       each request       one a request, final; needs a nonce first
BASIC               Basic        each request       one a request, final
==================  ===========  =================  ==========================================

`UpstreamLogin` is what Px remembers of one upstream and one identity, so that no request after the first
contact waits for a 407 that could be foreseen. `LoginAttempt` takes one request through. What a 407 means
depends only on what was sent last on that connection:

=====================  ===============================  =========================================
sent last              a 407 means                      then
=====================  ===============================  =========================================
nothing                the upstream wants a login       first token of the strongest method
a token, not final     its challenge holds the next     next token, on the same connection
                       no challenge: not this method    next method, on a fresh connection
Digest, older nonce    that nonce is used up            the new nonce, no refusal
a final token          refused                          a verdict (below)
=====================  ===============================  =========================================

A verdict: an identity that has logged in before is not in doubt, the target is. Some proxies answer 407 where
a rule denies. The client gets a 403, and so does who asks for that target within `DENIED_SECONDS`; only a
second refusal with no login between counts, in whatever process, and only if its token was sent after the
first. Any other refusal counts for the identity (`px.core.lockout`). The token after one that counts must
settle the doubt: `ProofWantedError` asks `px.net.exchanger` for a login that reaches no origin, so that no
rule about targets can be taken for a wrong password, by another method if there is one; but never by Basic:
it would show in clear the password that was just refused. The same login goes first when the verdict on
another one is long in coming.
"""

from __future__ import annotations

from collections.abc import Sequence

from px.core.challenge import Challenge, format_basic, format_token, is_stale, parse_challenges
from px.core.digest_login import DigestLogin
from px.core.errors import LoginError, LoginRefusedError, LoginUnusableError
from px.core.login_parts import Doubt, LoginTurn, ProofWantedError, RequestLine
from px.core.token_source import TokenSession
from px.core.upstream_login import (
    DECLINED_SECONDS,
    REFUSED_SECONDS,
    UNUSABLE_SECONDS,
    Method,
    UpstreamLogin,
)

#: No login takes more 407s than this; an upstream that goes on is broken.
MAX_CHALLENGES = 12


class LoginAttempt:
    """Takes one request past the login of one upstream; `close` it at the end, whatever happened.

    The caller asks `first_credentials` for each connection it uses, sends them, and reports what came:
    `receive_407`, `receive_answer`, or `receive_break` when the connection ended without an answer.
    """

    def __init__(
        self,
        login: UpstreamLogin,
        request: RequestLine,
        turn: LoginTurn,
        *,
        verifies_after: Sequence[Method] | None = None,
    ) -> None:
        self.login = login
        #: Whether a final token of this attempt was accepted.
        self.is_accepted = False
        self._is_verification = verifies_after is not None
        self._request = request
        self._turn = turn
        self._method: Method | None = None  # of the token sent last on this connection
        self._session: TokenSession | None = None
        self._digest = DigestLogin(login.nonces, login.source, request, login.make_cnonce)
        self._is_final = False
        self._was_proven = False  # the secret, when the login on this connection began
        self._challenges = 0
        self._breaks = 0
        self._warm_by: Method | None = None  # what had logged in this connection before this request
        self._spent: dict[Method, str] = {}  # methods this attempt is through with, and why
        self._mends: list[str] = []  # what can be done about that
        self._refused: list[Method] = []
        if verifies_after is not None:
            self._prefer_other_methods(verifies_after)

    def _prefer_other_methods(self, refused: Sequence[Method]) -> None:
        """Do not settle a doubt by the method that raised it, if there is another one."""
        login = self.login
        blamed = login.guard.refused_method(login.source)
        refused = refused or [method for method in login.methods() if method.value == blamed]
        if self._left_methods(without=refused):
            self._refused = list(refused)
            self._spent = dict.fromkeys(refused, "the upstream refused it")

    @property
    def method(self) -> Method | None:
        """The method of what was sent last on this connection; None for nothing."""
        return self._method

    @property
    def awaits_verdict(self) -> bool:
        """Whether a final token is out whose answer says if the secret is good."""
        return self._is_final and not self.login.guard.is_proven(self.login.source)

    @property
    def may_reach_origin(self) -> bool:
        """Whether what was sent last may be answered by the origin; else only the upstream can answer."""
        return self._is_final or self._session is None

    def check_target(self) -> None:
        """Return unless the upstream lately denied the target; asked before a connection is taken.

        Raises:
            ForbiddenError: It did.
        """
        if self.login.is_denied(self._request.target):
            raise self.login.say_denied(self._request.target)

    def check_identity(self) -> None:
        """Return unless a login will be needed and none may be sent; asked before a connection is opened.

        Raises:
            LoginBlockedError: Too many were refused.
            ProofWantedError: One was refused.
        """
        if self.login.methods():
            self.login.guard.check(self.login.source)
            self._ask_for_proof()

    async def first_credentials(
        self, logged_in_by: Method | None, channel_bindings: bytes | None
    ) -> bytes | None:
        """Return the credentials for the first message on a connection; None: send it without.

        Args:
            logged_in_by: The method by which an earlier request logged this connection in.
            channel_bindings: Of the connection, when it is TLS.

        Raises:
            LoginError: No method can be used, or Px holds back.
            ForbiddenError: The upstream denies this target.
        """
        self._forget_connection()
        login = self.login
        self._warm_by = logged_in_by
        if logged_in_by and not (logged_in_by is Method.KERBEROS and login.wants_token_each_request):
            return None
        if not login.methods():  # unmet, or nothing fits: its next 407 may offer something else
            return None
        return await self._begin(channel_bindings) or None

    async def receive_407(
        self,
        values: Sequence[bytes],
        channel_bindings: bytes | None,
        *,
        can_continue: bool,
    ) -> bytes | None:
        """Return the credentials to send next on the same connection; None: begin again on a fresh one.

        Args:
            values: Of ``Proxy-Authenticate``.
            channel_bindings: Of the connection, when it is TLS.
            can_continue: Whether the connection stays open after this 407.

        Raises:
            LoginError: The login has failed.
            ForbiddenError: The upstream denies this target.
        """
        challenges = parse_challenges(values)
        self._challenges += 1
        if self._challenges > MAX_CHALLENGES:
            raise LoginError(f"{self.login.subject} asks for a login again and again.")
        self.login.is_open = False
        if not any(challenge.token for challenge in challenges):  # in a handshake only its scheme is named
            self.login.offered = frozenset(challenge.scheme for challenge in challenges)
        if self._method is None:
            return await self._answer_first_407(challenges, channel_bindings, can_continue=can_continue)
        if self._method is Method.DIGEST and (not self._digest.is_fresh or is_stale(challenges)):
            return self._answer_new_nonce(challenges, can_continue=can_continue)
        if self._is_final:
            self._receive_refusal()
            return None
        return await self._answer_challenge(challenges, can_continue=can_continue)

    async def _answer_first_407(
        self, challenges: list[Challenge], channel_bindings: bytes | None, *, can_continue: bool
    ) -> bytes | None:
        self._digest.receive_challenge(challenges)
        # Squid takes no second NTLM login on a connection; a Kerberos token it does.
        if can_continue and self._warm_by in (None, Method.KERBEROS):
            return await self._begin(channel_bindings)
        if not self._left_methods():
            raise self.login.say_failure(self._refused, self._spent, self._mends)
        return None

    def _answer_new_nonce(self, challenges: list[Challenge], *, can_continue: bool) -> bytes | None:
        self._digest.receive_challenge(challenges)
        if not self._digest.is_fresh:
            self._spend(Method.DIGEST, "the upstream withdrew it")
            return None
        if not can_continue:
            return None
        self._is_final = True
        return self._digest.format()

    async def _answer_challenge(self, challenges: list[Challenge], *, can_continue: bool) -> bytes | None:
        """A token was sent that is not final: the next one, if the upstream plays on."""
        method = self._method
        assert method is not None  # noqa: S101 - the table above
        assert self._session is not None  # noqa: S101
        token = next((each.token for each in challenges if each.scheme == method.scheme and each.token), None)
        if token is None:
            self.login.mark_unusable(method, DECLINED_SECONDS)
            self._spend(method, "the upstream did not go on with it")
            return None
        if not can_continue:
            self._spend(method, "the upstream closes the connection in the middle of the handshake")
            return None
        try:
            answer = await self._session.step(token)
        except LoginUnusableError as error:
            self._spend(method, error.cause, error.mend)
            return None
        except LoginRefusedError:  # the platform knows without asking the upstream
            self._receive_refusal()
            return None
        self._is_final = self._session.is_complete
        return format_token(method.wire_name, answer)

    async def _begin(self, channel_bindings: bytes | None) -> bytes:
        """Return the first credentials of the strongest method that has some."""
        login = self.login
        self.check_target()
        await self._take_turn()
        login.guard.check(login.source)
        if login.guard.is_target_denied(login.source, self._request.target):  # seen by another process
            raise login.say_denied(self._request.target)
        while methods := self._left_methods():
            method = methods[0]
            self._ask_for_proof()
            try:
                credentials = await self._open(method, channel_bindings)
            except LoginUnusableError as error:
                login.mark_unusable(method, UNUSABLE_SECONDS)
                self._spend(method, error.cause, error.mend)
            except LoginRefusedError as error:  # by the KDC
                login.guard.receive_refusal(login.source, "The Kerberos KDC", method.value)
                self._refused.append(method)
                self._spend(method, error.cause)
                login.guard.check(login.source)
            else:
                login.guard.check(login.source)  # whose tickets are used is known only now
                self._ask_for_proof()
                return credentials
        raise self.login.say_failure(self._refused, self._spent, self._mends)

    async def _take_turn(self) -> None:
        """Wait until a token may be sent; one at a time while the secret is unproven."""
        login, guard, source = self.login, self.login.guard, self.login.source
        self._was_proven = guard.is_proven(source)
        if self._was_proven:
            return
        doubt = Doubt.about(
            guard, source, login.subject, self._wants_proof, is_verification=self._is_verification
        )
        is_alone = await self._turn.take(doubt)
        self._was_proven = guard.is_proven(source)
        if self._was_proven:  # by the one before: no need to queue any more
            self._turn.give_back()
        elif not (is_alone or self._is_verification) and login.can_verify:
            raise ProofWantedError(login.say_undecided(), ())  # this verdict must not be slow, too

    def _left_methods(self, without: Sequence[Method] = ()) -> list[Method]:
        """Return what may still be tried; never Basic with a password that another method had refused."""
        left = [each for each in self.login.methods() if each not in self._spent and each not in without]
        refused = {method.value for method in self._refused}
        refused |= {self.login.guard.refused_method(self.login.source)} - {""}
        if refused - {Method.BASIC.value}:
            left = [method for method in left if method is not Method.BASIC]
        return left

    async def _open(self, method: Method, channel_bindings: bytes | None) -> bytes:
        source, session = self.login.source, None
        if method is Method.BASIC:
            credentials = format_basic(*source.password_credentials())
        elif method is Method.DIGEST:
            credentials = self._digest.open(is_challenged=self._challenges > 0)
        else:
            session = source.open_session(method.mechanism, self.login.host, channel_bindings)
            credentials = format_token(method.wire_name, await session.step(None))
        self._method, self._session = method, session
        self._is_final = session.is_complete if session else bool(credentials)
        return credentials

    def receive_answer(self, authentication_info: bytes | None = None) -> Method | None:
        """An answer came that is not a 407; return the method that has logged the connection in, if any.

        Args:
            authentication_info: Of ``Proxy-Authentication-Info``: Digest's next nonce (RFC 7616 3.5).
        """
        login, method, is_final = self.login, self._method, self._is_final
        if method is Method.DIGEST and authentication_info is not None:
            self._digest.receive_next_nonce(authentication_info)
        if method is None:
            login.is_open = login.is_open or login.offered is None
        elif is_final:
            if method is Method.KERBEROS and self._warm_by and self._challenges:
                login.wants_token_each_request = True
            for refused in self._refused:
                login.mark_unusable(refused, REFUSED_SECONDS)
            login.receive_acceptance(method)
            self.is_accepted = True
        self._forget_connection()
        self.close()
        return method if method and is_final and method.is_bound_to_connection else None

    def receive_no_verdict(self) -> None:
        """A final token was sent, and nobody waited for what the upstream says to it."""
        if self.awaits_verdict and self._method is not None:
            login = self.login
            login.guard.receive_no_verdict(login.source, login.subject, self._method.value)

    def receive_break(self) -> None:
        """The connection ended without an answer."""
        if self.awaits_verdict and self._method is not None:
            login = self.login
            login.guard.receive_drop(login.source, login.subject, self._method.value)
        if self._session is not None and self._method is not None:
            # Once it may have died by itself, or with an earlier 407; twice is how this upstream is.
            self._breaks += 1
            if self._breaks > 1 and self._method is not Method.KERBEROS:
                self._spend(self._method, "the upstream closes the connection in the middle of the handshake")
        self._digest.give_back()
        self._forget_connection()

    def close(self) -> None:
        """Give back what the attempt holds. Safe to call again."""
        self._digest.give_back()
        self._turn.give_back()

    def _receive_refusal(self) -> None:
        method, login = self._method, self.login
        assert method is not None  # noqa: S101 - the table above
        self._is_final = False  # that was the verdict
        if method is Method.DIGEST:
            self._digest.drop()
        if not self._is_verification and (login.deny(self._request.target) or self._was_proven):
            raise login.say_denied(self._request.target)
        login.guard.receive_refusal(login.source, login.subject, method.value)
        self._refused.append(method)
        self._spend(method, "the upstream refused it")
        # Another name for the same proof (NTLM after NTLM in Negotiate) would only count once more.
        others = [each for each in self._left_methods() if each.mechanism != method.mechanism]
        if others or login.guard.has_logged_in(login.source):
            self._ask_for_proof()
        if not others:
            # No rule about targets denies what asks for none.
            raise login.say_refused(self._refused, "" if self._is_verification else self._request.target)
        login.guard.check(login.source)

    def _ask_for_proof(self) -> None:
        """After a refusal the next token goes with a request that no rule denies, where that is possible."""
        if self._wants_proof() and not self.login.guard.is_blocked(self.login.source):
            raise ProofWantedError(self._say_doubt(), self._refused)

    def _wants_proof(self) -> bool:
        login = self.login
        return not self._is_verification and login.can_verify and not login.guard.is_clear(login.source)

    def _say_doubt(self) -> LoginRefusedError:
        login = self.login
        by = [method.value for method in self._refused] or [login.guard.refused_method(login.source)]
        if any(by):
            return login.say_refused(self._refused, self._request.target, by=by)
        return LoginRefusedError(
            f"{login.subject} was not heard to let {login.source.identity.name} in or to refuse."
        )

    def _spend(self, method: Method, reason: str, mend: str = "") -> None:
        self._spent[method] = reason
        if mend:
            self._mends.append(mend)

    def _forget_connection(self) -> None:
        """The next message goes over another connection: nothing was sent there yet."""
        self._method, self._session, self._is_final = None, None, False

    def __repr__(self) -> str:
        method = self._method.value if self._method else "nothing sent"
        return f"<LoginAttempt {method} final={self._is_final} challenges={self._challenges}>"
