"""Sends one request to the next hop and returns the head of its answer: connections, logins, replays.

The order of work::

    a connection: bound to the client > kept by the pool > dialled
      -> the request with the credentials that the upstream will want, its body as `px.core.http.message_form`
         decides
      -> 407: the credentials that `LoginAttempt` gives, on this connection or a fresh one
      -> closed without an answer: once more on a fresh connection, where RFC 9110 9.2.2 allows that
      -> any other answer: done
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from px.core.errors import BadResponseError, LoginError, PxError, UpstreamSilentError
from px.core.http.message_form import MessageForm
from px.core.http.response_head import ResponseHead
from px.core.login.attempt import LoginAttempt
from px.core.login.method import Method
from px.core.login.request_line import RequestLine
from px.io.io_loop import IoLoop
from px.upstream.answer_timeout import AnswerTimeout
from px.upstream.connections.connection import ClosedBeforeAnswerError, Connection, Hop
from px.upstream.connections.pool import Pool, keys_for
from px.upstream.hop_message import carries_body, format_message, method_of
from px.upstream.login_gate import LoginGates
from px.upstream.login_page import LoginPage
from px.upstream.message import LOGIN_REQUIRED, Answer, AwaitedVerdict, Dial, Request, RouteAttempt
from px.upstream.message_sender import MessageSender
from px.upstream.upload_plan import UploadPlan

#: An upstream that asks for one fresh connection after another would otherwise keep Px busy for ever.
MAX_CONNECTIONS = 10

_EXPECTATION_FAILED = 417
_REQUEST_TIMEOUT = 408


class ExchangeServices(Protocol):
    """What all exchanges share; `px.upstream.exchanger.Exchanger` implements it."""

    @property
    def io_loop(self) -> IoLoop:
        """The loop of the streams."""

    @property
    def pool(self) -> Pool:
        """The connections that are kept."""

    @property
    def dial(self) -> Dial:
        """Opens a connection to a hop; a verification uses it."""

    @property
    def login_gates(self) -> LoginGates:
        """Let one login of an account pass at a time, unless its secret was just accepted."""

    @property
    def socktimeout(self) -> float:
        """How many seconds the upstream has for an answer that it gives without an origin."""

    async def is_alive(self, hop: Hop) -> bool:
        """Return whether an upstream answers a request that ends there (RFC 9110 7.6.2)."""

    def settle(self, attempt: LoginAttempt, awaited: AwaitedVerdict) -> None:
        """Wait for the verdict on a token after its request was abandoned; see `Exchanger.settle`."""

    async def keep_idle(self, answer: Answer) -> bool:
        """Keep the connection of an answer that no client waits for; return whether that was possible."""


class Exchange:
    """One request at one hop; see the module.

    Args:
        shared: What all exchanges share.
        route: The hop, and how connections to it are opened.
        request: To send.
        verifies_after: The methods refused before, for an exchange that only verifies a secret; None: the
            exchange is for a client.
    """

    def __init__(
        self,
        shared: ExchangeServices,
        route: RouteAttempt,
        request: Request,
        *,
        verifies_after: Sequence[Method] | None = None,
    ) -> None:
        self._shared = shared
        hop = route.hop
        self._hop, self._dial = hop, route.dial
        self._request = request
        self._trace = request.trace
        self._is_verification = verifies_after is not None
        bound = request.bound
        self._bound = bound if bound is not None and bound.hop.key == hop.key else None
        self._connection: Connection | None = None
        #: Whether a token was sent whose answer tells if the secret is good.
        self.has_sent_final_token = False
        self.is_login_accepted = False
        #: For a token that has no answer yet, or a 407 that is not dealt with yet.
        self._awaited: AwaitedVerdict | None = None
        self._attempt: LoginAttempt | None = None
        if hop.login is not None:
            gate = shared.login_gates.for_account(hop.login.source.identity.account)
            self._attempt = LoginAttempt(hop.login, self._line(), gate, verifies_after=verifies_after)
        self._plan = UploadPlan(request.body, self._attempt)
        self._timeout = AnswerTimeout(
            hop.name, self._attempt, shared.socktimeout, is_verification=self._is_verification
        )
        self._sender = MessageSender(
            shared.io_loop, hop, request, self._plan, self._timeout, is_alive=shared.is_alive
        )

    def _line(self) -> RequestLine:
        head = self._request.head
        target = head.authority.to_bytes().decode("ascii")
        return RequestLine(head.method, self._request.target_at(self._hop), target)

    async def run(self) -> Answer:
        """Return the final answer; see `px.upstream.exchanger.Exchanger.exchange`."""
        try:
            return await self._find_answer()
        except BaseException as error:
            await self._give_up(is_lost=isinstance(error, BadResponseError))
            raise
        finally:
            if self._attempt is not None:
                self.is_login_accepted = self._attempt.is_accepted
                self._attempt.close()

    async def _give_up(self, *, is_lost: bool) -> None:
        """Stop the exchange; leave a token whose verdict may still come to `Exchanger.settle`.

        Args:
            is_lost: Whether no verdict can come, because the answer was broken.
        """
        attempt, awaited = self._attempt, self._awaited
        if is_lost and attempt is not None:
            attempt.receive_no_verdict()
        elif attempt is not None and awaited is not None and attempt.awaits_verdict:
            self._attempt = self._connection = None
            self._shared.settle(attempt, awaited)
        await self._abandon()

    async def _find_answer(self) -> Answer:
        if self._attempt is not None:
            self._attempt.check_target()  # first: if this fails, no kept connection is lost
        connection = self._bound or self._take_kept()
        if self._attempt is not None and connection is None:
            self._attempt.check_login_allowed()
        for _ in range(MAX_CONNECTIONS):
            self._connection = connection or await self._dial(self._hop)
            by, is_kept = self._connection.logged_in_by, connection is not None
            self._trace.take_connection(self._hop.name, is_kept=is_kept, logged_in_by=by)
            answer = await self._talk(self._connection)
            if answer is not None:
                return answer
            await self._abandon()
            connection = None
        raise BadResponseError(f"The {self._hop.name} let nothing through on {MAX_CONNECTIONS} connections.")

    def _take_kept(self) -> Connection | None:
        """Return a kept connection that the request may use; None: dial one, as each verification does."""
        if self._is_verification:
            return None
        pool, keys = self._shared.pool, keys_for(self._hop)
        if not self._plan.trusts_kept_logins:
            keys = [key for key in keys if not key.scheme]
        if self._is_repeatable:
            return pool.take_first(keys)
        return pool.take_safe(keys, client_retries=self._request.client_retries)

    async def _talk(self, connection: Connection) -> Answer | None:
        """Return the answer to the request; None: the caller sends it again on a fresh connection."""
        attempt, was_kept = self._attempt, connection.answers > 0
        credentials = None if attempt is None else await self._first_credentials(attempt, connection)
        while True:
            form = self._plan.choose_form(connection)
            head = await self._ask(connection, credentials, form, was_kept=was_kept)
            if head is None:
                return None
            if head.status == LOGIN_REQUIRED and attempt is not None:
                credentials = await self._answer_407(attempt, connection, head, form)
                if credentials is None:
                    return None
                continue
            if form is MessageForm.WHOLE or not self._is_for_px(head, form):
                self._receive_answer(connection, head, form)
                upload, is_body_waiting = self._sender.take_upload(), self._sender.is_body_waiting
                return Answer(connection, head, upload, is_body_waiting=is_body_waiting)
            if attempt is None or not await self._consume_own_answer(connection, head, form):
                return None
            credentials = await self._first_credentials(attempt, connection)

    def _is_for_px(self, head: ResponseHead, form: MessageForm) -> bool:
        """Whether Px consumes this answer, because it answers a message or an Expect that Px added."""
        if not form.is_whole_request:
            return True
        is_own_expect = self._sender.is_body_waiting and not self._request.head.expects_continue
        return is_own_expect and head.status == _EXPECTATION_FAILED

    async def _consume_own_answer(
        self, connection: Connection, head: ResponseHead, form: MessageForm
    ) -> bool:
        """Learn from an answer that is not for the client; return whether the connection stays open."""
        if form.is_whole_request:  # a 417: send the request again without Expect (RFC 9110 10.1.1)
            self._receive_answer(connection, head, form)
            self._plan.note_expect(is_heeded=False)
            return False
        if self._attempt is not None and self._attempt.method is not None:
            # The answer does not show whether the upstream accepted the login.
            self._plan.receive_answer(form, connection.logged_in_by, head.status)
        else:
            self._receive_answer(connection, head, form)
        connection.stream.deadline = self._shared.io_loop.now() + self._shared.socktimeout
        try:
            return await connection.drain(head)
        except (BadResponseError, TimeoutError):
            return False

    async def _ask(
        self, connection: Connection, credentials: bytes | None, form: MessageForm, *, was_kept: bool
    ) -> ResponseHead | None:
        """Return the final answer to one message; None: the caller sends it again on a fresh connection."""
        was_used, sent_bytes = connection.answers > 0, connection.stream.sent_bytes
        try:
            head = await self._send(connection, credentials, form)
            if head.status == _REQUEST_TIMEOUT and was_kept:
                self._check_own_timeout(head)
        except (ClosedBeforeAnswerError, UpstreamSilentError) as error:
            is_unsent = connection.stream.sent_bytes == sent_bytes
            if not self._may_go_on(error, form, was_used=was_used, is_unsent=is_unsent):
                if isinstance(error, ClosedBeforeAnswerError):
                    error.was_kept = was_kept
                raise
            return None
        return head

    async def _first_credentials(self, attempt: LoginAttempt, connection: Connection) -> bytes | None:
        credentials = await attempt.first_credentials(connection.logged_in_by, connection.channel_bindings)
        self._trace_login(attempt, credentials)
        return credentials

    def _trace_login(self, attempt: LoginAttempt, credentials: bytes | None) -> None:
        if credentials and attempt.method is not None:
            self._trace.send_login(attempt.method, attempt.login.source.identity.name)

    def _check_own_timeout(self, head: ResponseHead) -> None:
        """Return if a 408 over a kept connection answers the request: its body came too slowly.

        Otherwise the hop sent the 408 before the request arrived: some hops announce with a 408 that they
        close an idle connection (RFC 9110 15.5.9).

        Raises:
            ClosedBeforeAnswerError: The request has no answer.
        """
        can_repeat = self._is_repeatable or self._request.client_retries
        if can_repeat and not self._sender.is_uploading and not head.keep_alive:
            raise ClosedBeforeAnswerError(f"The {self._hop.name} ended an idle connection.")

    def _may_go_on(self, error: PxError, form: MessageForm, *, was_used: bool, is_unsent: bool) -> bool:
        """Return whether to go on over a fresh connection after a message had no answer."""
        attempt, is_silent = self._attempt, isinstance(error, UpstreamSilentError)
        if is_silent:
            has_body = carries_body(self._request, form)
            may_go_on = attempt is not None and not has_body and attempt.receive_silence()
        else:
            may_go_on = self._may_repeat(form, was_used=was_used, is_unsent=is_unsent)
        if may_go_on:
            what = "no answer to the login" if is_silent else "closed without an answer"
            self._trace.note(f"{what}: once more, over a fresh connection")
        return may_go_on

    def _may_repeat(self, form: MessageForm, *, was_used: bool, is_unsent: bool) -> bool:
        """Return whether to send the request again after its connection closed without a byte.

        Args:
            form: Of the message.
            was_used: Whether the connection had answered before.
            is_unsent: Whether the system took no byte of the request: the connection was broken before.
        """
        attempt, request = self._attempt, self._request
        if self._bound is not None or not request.body.can_replay:
            return False
        in_handshake = attempt is not None and not (attempt.may_reach_origin or carries_body(request, form))
        if attempt is not None:
            attempt.receive_break()
        if self._is_verification and self.has_sent_final_token:
            return False  # the verdict is lost, and a second token could cost a second refusal
        return in_handshake or (was_used and (is_unsent or self._is_repeatable or not form.is_whole_request))

    @property
    def _is_repeatable(self) -> bool:
        """Whether the request may be sent again although it may have arrived.

        RFC 9110 9.2.2 allows a second PUT. Px repeats no request with a body, unless the body still waits for
        a 100: the first copy may have arrived.
        """
        request = self._request
        return request.is_repeatable and (request.body.is_empty or self._sender.is_body_waiting)

    async def _send(
        self, connection: Connection, credentials: bytes | None, form: MessageForm
    ) -> ResponseHead:
        """Send one message and return the final head of its answer."""
        request = self._request
        in_handshake = self._attempt is not None and not self._attempt.may_reach_origin
        is_bound = connection is self._bound
        wire = format_message(
            request, connection, form, credentials, is_bound=is_bound, in_handshake=in_handshake
        )
        self._awaited = AwaitedVerdict(connection, method_of(request, form), None)
        self.has_sent_final_token |= self._attempt is not None and self._attempt.awaits_verdict
        return await self._sender.send(connection, wire, form)

    def _receive_answer(self, connection: Connection, head: ResponseHead, form: MessageForm) -> None:
        attempt = self._attempt
        if attempt is None:
            return
        if attempt.awaits_verdict and attempt.method is not None:
            self._trace.receive_acceptance(attempt.method, attempt.login.source.identity.name)
        self._plan.receive_answer(form, connection.logged_in_by, head.status)
        info = head.value(b"proxy-authentication-info")
        connection.logged_in_by = attempt.receive_answer(info) or connection.logged_in_by

    async def _answer_407(
        self, attempt: LoginAttempt, connection: Connection, head: ResponseHead, form: MessageForm
    ) -> bytes | None:
        """Return the credentials that answer a 407 on this connection; None: use a fresh connection."""
        self._awaited = AwaitedVerdict(connection, b"", head)
        self._plan.receive_407(form, connection.logged_in_by)
        connection.logged_in_by = None
        had_token, is_in_handshake = attempt.method is not None, not attempt.may_reach_origin
        body_went = not form.is_whole_request or await self._sender.stop_upload()
        page = LoginPage(connection, attempt.login, self._shared.io_loop, self._timeout.page_seconds)
        trouble = await page.read_over(head, method_of(self._request, form), is_in_handshake=is_in_handshake)
        can_continue = body_went and not trouble
        is_safe = not form.is_whole_request or self._is_repeatable or connection is self._bound
        if not (is_in_handshake or is_safe):
            can_continue = False  # if the upstream closed now, Px could not tell whether the request arrived
        values, bindings = head.values(b"proxy-authenticate"), connection.channel_bindings
        self._awaited = None
        self._trace.receive_407(values, attempt.method, is_final=attempt.may_reach_origin)
        if carries_body(self._request, form):
            trouble = ""  # the body may be why the upstream closes; the next first token goes without a body
        credentials = await attempt.receive_407(values, bindings, can_continue=can_continue, trouble=trouble)
        self._trace_login(attempt, credentials)
        if not self._request.body.can_replay:
            self._plan.receive_interruption(had_first_token=had_token and is_in_handshake)
            raise LoginError(
                f"The {self._hop.name} asked for a login in the middle of a long upload.",
                "Send it again: Px is ready for the login now.",
            )
        return credentials

    async def _abandon(self) -> None:
        """Stop the upload and close the connection."""
        await self._sender.stop_upload()
        if self._connection is not None:
            self._connection.close()
            self._connection = None
