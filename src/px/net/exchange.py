"""Takes one request to the next hop and brings the head of its answer: connections, logins, replays.

The order of work::

    a connection: bound to the client > kept by the pool > dialled
      -> the request with the credentials that can be foreseen
         (a body waits where a 407 is certain: HEAD goes first; where one is possible: Expect: 100-continue)
      -> 407: what `LoginAttempt` says, on this connection or a fresh one
      -> closed without a byte: once more on a fresh connection, where RFC 9110 9.2.2 calls that safe
      -> any other answer: done
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from px.core.errors import (
    BadResponseError,
    HopTimeoutError,
    LoginError,
    PxError,
    UpstreamSilentError,
)
from px.core.head import ResponseHead
from px.core.head_format import format_request
from px.core.login_parts import RequestLine
from px.core.upstream_auth import LoginAttempt
from px.core.upstream_login import Method
from px.net.connection import ClosedBeforeAnswerError, Connection, Hop
from px.net.message import LOGIN_REQUIRED, MAX_INTERIMS, Answer, OnInterim, Request, SentToken
from px.net.pool import keys_for
from px.net.stream import Stream
from px.net.upload import Upload

if TYPE_CHECKING:
    from px.net.exchanger import Exchanger

#: An origin's answer may take this long (SPEC 5).
ANSWER_SECONDS = 300.0
#: How long a body waits for a 100 that may never come (RFC 9110 10.1.1).
CONTINUE_SECONDS = 1.0
#: More connections for one request mean that something plays ping-pong.
MAX_CONNECTIONS = 10
#: RFC 9110 9.2.2; and CONNECT, which reaches an origin only by what is sent through it.
REPEATABLE_METHODS = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE", b"CONNECT"))

_OF_A_BODY = frozenset((b"content-length", b"transfer-encoding", b"trailer", b"expect"))
_CONTINUE = 100


class Exchange:
    """One request at one hop; see the module.

    Args:
        shared: What all exchanges share.
        hop: The next hop.
        request: To send.
        on_interim: Called with each 1xx that is the client's (RFC 9110 15.2).
        verifies_after: Of a login that only tells if the secret is good: the methods refused before it.
    """

    def __init__(
        self,
        shared: Exchanger,
        hop: Hop,
        request: Request,
        on_interim: OnInterim,
        *,
        verifies_after: Sequence[Method] | None = None,
    ) -> None:
        self._shared = shared
        self._hop = hop
        self._request = request
        self._journey = request.journey
        self._on_interim = on_interim
        self._is_verification = verifies_after is not None
        self._bound: Connection | None = None
        self._connection: Connection | None = None
        self._upload: Upload | None = None
        self._is_probed = False
        self._is_body_held = False
        self._interims = 0
        self._sent: SentToken | None = None  # what awaits an answer, or its refusal to be dealt with
        self._attempt: LoginAttempt | None = None
        if hop.login is not None:
            turn = shared.turns.for_identity(hop.login.source.identity.key)
            self._attempt = LoginAttempt(hop.login, self._line(), turn, verifies_after=verifies_after)

    def _line(self) -> RequestLine:
        head = self._request.head
        target = head.authority.to_bytes().decode("ascii")
        return RequestLine(head.method, self._request.target_at(self._hop), target)

    async def run(self, bound: Connection | None = None) -> Answer:
        """Go on until there is an answer; see `px.net.exchanger.Exchanger.exchange`."""
        self._bound = bound
        try:
            return await self._find_answer(bound)
        except BaseException:
            await self._give_up()
            raise
        finally:
            if self._attempt is not None:
                self._attempt.close()

    @property
    def is_login_accepted(self) -> bool:
        """Whether a token was sent and accepted."""
        return self._attempt is not None and self._attempt.is_accepted

    async def _give_up(self) -> None:
        """Let go of everything but a verdict that is still to come."""
        attempt, sent = self._attempt, self._sent
        if attempt is not None and sent is not None and attempt.awaits_verdict:
            self._attempt = self._connection = None
            self._shared.settle(attempt, sent)
        await self._abandon()

    async def _find_answer(self, bound: Connection | None) -> Answer:
        if self._attempt is not None:
            self._attempt.check_target()  # before a kept connection is taken, which would be lost
        connection = bound or self._take_kept()
        if self._attempt is not None and connection is None:
            self._attempt.check_identity()
        for _ in range(MAX_CONNECTIONS):
            self._connection = connection or await (self._request.dial or self._shared.dial)(self._hop)
            if self._journey is not None:
                by, is_kept = self._connection.logged_in_by, connection is not None
                self._journey.take_connection(self._hop.name, is_kept=is_kept, logged_in_by=by)
            answer = await self._talk(self._connection)
            if answer is not None:
                return answer
            await self._abandon()
            connection = None
        raise BadResponseError(f"The {self._hop.name} let nothing through on {MAX_CONNECTIONS} connections.")

    def _take_kept(self) -> Connection | None:
        """Take a kept connection: one that is logged in before one that is not; none for a verification."""
        for key in () if self._is_verification else keys_for(self._hop):
            if (connection := self._shared.pool.take(key)) is not None:
                return connection
        return None

    async def _talk(self, connection: Connection) -> Answer | None:
        """Send the request until it is answered; None: again on a fresh connection."""
        attempt = self._attempt
        credentials = None if attempt is None else await self._first_credentials(attempt, connection)
        while True:
            is_probe = attempt is not None and self._needs_probe(attempt, connection, credentials)
            was_used = connection.answers > 0
            try:
                head = await self._send(connection, credentials, is_probe=is_probe)
            except ClosedBeforeAnswerError:
                if not self._may_repeat(was_used=was_used):
                    raise
                if self._journey is not None:
                    self._journey.note("closed without an answer: once more, over a fresh connection")
                return None
            if head.status != LOGIN_REQUIRED or attempt is None:
                if attempt is not None:
                    self._receive_answer(attempt, connection, head)
                if not is_probe:
                    return Answer(connection, head, self._take_upload(), is_body_held=self._is_body_held)
                self._is_probed, credentials = True, None
                if not head.keep_alive:
                    return None
                continue
            credentials = await self._answer_407(attempt, connection, head, is_probe=is_probe)
            if credentials is None:
                return None

    async def _first_credentials(self, attempt: LoginAttempt, connection: Connection) -> bytes | None:
        credentials = await attempt.first_credentials(connection.logged_in_by, connection.channel_bindings)
        self._tell_login(attempt, credentials)
        return credentials

    def _tell_login(self, attempt: LoginAttempt, credentials: bytes | None) -> None:
        if credentials and self._journey is not None and attempt.method is not None:
            self._journey.send_login(attempt.method, attempt.login.source.identity.name)

    def _needs_probe(self, attempt: LoginAttempt, connection: Connection, credentials: bytes | None) -> bool:
        """Whether a 407 is so likely that a HEAD of the same target goes before the body."""
        body = self._request.body
        if body.is_empty or self._is_probed:
            return False
        if credentials is not None:
            return not attempt.may_reach_origin
        is_sure = connection.logged_in_by is not None or attempt.login.is_open
        is_sure = is_sure and self._line().target not in attempt.login.interrupted
        return not (is_sure or body.is_small)

    def _may_repeat(self, *, was_used: bool) -> bool:
        """The connection closed without a byte: whether the request may be sent again on a fresh one."""
        attempt, request = self._attempt, self._request
        if self._bound is not None or not request.body.can_replay:
            return False
        in_handshake = attempt is not None and not attempt.may_reach_origin
        if attempt is not None:
            attempt.receive_break()
        return in_handshake or (was_used and self._is_repeatable)

    @property
    def _is_repeatable(self) -> bool:
        """Whether the request may be sent again where nobody knows if it has arrived.

        RFC 9110 9.2.2 would let a PUT go twice; its body may have arrived, unless it waits for a 100.
        """
        request = self._request
        return request.head.method in REPEATABLE_METHODS and (request.body.is_empty or self._is_body_held)

    async def _send(
        self, connection: Connection, credentials: bytes | None, *, is_probe: bool
    ) -> ResponseHead:
        """Send one message and return the final head of its answer."""
        request, stream = self._request, connection.stream
        waits = credentials is not None and not is_probe and self._needs_continue()
        wire = self._format(credentials, is_probe=is_probe, expects=waits)
        ready = b"" if is_probe or request.body.is_empty else request.body.take_ready()
        method = b"HEAD" if is_probe else request.head.method
        self._sent = SentToken(connection, method, None)
        stream.deadline = self._shared.io_loop.now() + ANSWER_SECONDS
        try:  # noqa: SIM105 - for each request; suppress() costs three calls
            await stream.write(wire + ready if ready and not waits else wire)
        except OSError:
            pass  # it may have answered before it closed: reading tells
        self._is_body_held = waits
        if waits:
            if (early := await self._wait_for_continue(connection, method)) is not None:
                return early
            self._is_body_held = False
        if waits or ready is None:
            self._begin_upload(stream)
        stream.deadline = self._shared.io_loop.now() + self._answer_seconds()
        return await self._read_final(connection, method)

    def _needs_continue(self) -> bool:
        """Whether a 407 is possible that would interrupt a body which cannot be replayed."""
        body, attempt = self._request.body, self._attempt
        if attempt is None or body.is_empty or body.is_small:
            return False
        return not (attempt.method is Method.BASIC and attempt.login.has_logged_in)

    def _format(self, credentials: bytes | None, *, is_probe: bool, expects: bool) -> bytes:
        request, hop = self._request, self._hop
        set_fields = [*request.set_fields]
        if credentials is not None:
            set_fields.append((b"Proxy-Authorization", credentials))
        if expects:
            set_fields.append((b"Expect", b"100-continue"))
        head = replace(request.head, method=b"HEAD") if is_probe else request.head
        return format_request(
            head,
            request.target_at(hop),
            host=request.head.authority.to_host_field(request.head.scheme),
            via=request.via,
            drop=_OF_A_BODY if is_probe else frozenset(),
            set_fields=set_fields,
            keep_proxy_authorization=hop.is_upstream and self._attempt is None,
        )

    def _answer_seconds(self) -> float:
        attempt, socktimeout = self._attempt, self._shared.socktimeout
        if attempt is None:
            return ANSWER_SECONDS
        if not attempt.may_reach_origin:
            return socktimeout
        return ANSWER_SECONDS if attempt.login.is_known else socktimeout / 2  # the rest is for `is_alive`

    async def _wait_for_continue(self, connection: Connection, method: bytes) -> ResponseHead | None:
        """Return a final answer that came in place of the 100, else None: the body may go."""
        connection.stream.deadline = self._shared.io_loop.now() + CONTINUE_SECONDS
        try:
            while (head := await connection.read_response(method)).is_interim:
                await self._pass_interim(head)
                if head.status == _CONTINUE:
                    return None
        except TimeoutError:
            return None
        return head

    async def _pass_interim(self, head: ResponseHead) -> None:
        self._interims += 1
        if self._interims > MAX_INTERIMS:
            raise BadResponseError(f"The {self._hop.name} sends interim answers without end.")
        if head.status != _CONTINUE or self._request.head.expects_continue:
            await self._on_interim(head)

    def _begin_upload(self, stream: Stream) -> None:
        def await_answer() -> None:
            stream.deadline = self._shared.io_loop.now() + self._answer_seconds()

        self._upload = Upload(self._request.body, stream, await_answer)

    async def _read_final(self, connection: Connection, method: bytes) -> ResponseHead:
        attempt = self._attempt
        is_known = attempt is None or attempt.login.is_known
        read = connection.read_response if is_known else partial(self._read_head_of_stranger, connection)
        try:
            while (head := await read(method)).is_interim:
                await self._pass_interim(head)
                if self._upload_error is None:
                    connection.stream.deadline = self._shared.io_loop.now() + ANSWER_SECONDS
        except (TimeoutError, PxError) as error:
            failure = self._upload_error
            if failure is not None:
                raise failure from error
            raise self._say_no_answer() if isinstance(error, TimeoutError) else error from None
        return head

    async def _read_head_of_stranger(self, connection: Connection, method: bytes) -> ResponseHead:
        """Read a head; if an upstream that is not known yet is slow, find out whether it is there at all."""
        attempt = self._attempt
        try:
            return await connection.read_response(method)
        except TimeoutError:
            if attempt is None or attempt.login.is_known or not attempt.may_reach_origin:
                raise
            if self._upload_error is not None:
                raise
            if not await self._shared.is_alive(self._hop):
                raise UpstreamSilentError(
                    f"The {self._hop.name} accepts connections and says nothing.",
                    "Check --proxy: perhaps it wants TLS (https://), or something else listens there.",
                ) from None
            connection.stream.deadline = self._shared.io_loop.now() + ANSWER_SECONDS
            return await connection.read_response(method)

    @property
    def _upload_error(self) -> BaseException | None:
        """What ended the upload at the client's side, if anything did."""
        return self._upload.client_error if self._upload is not None else None

    def _say_no_answer(self) -> PxError:
        attempt, name = self._attempt, f"The {self._hop.name}"
        if attempt is None or attempt.may_reach_origin:
            cause = f"{name} gave no answer within {ANSWER_SECONDS:g} s."
            return HopTimeoutError(cause, "The site or the upstream is overloaded; try again later.")
        cause = f"{name} did not go on with the login within {self._shared.socktimeout:g} s."
        return UpstreamSilentError(cause, "If the upstream is only slow, raise --socktimeout.")

    def _receive_answer(self, attempt: LoginAttempt, connection: Connection, head: ResponseHead) -> None:
        if self._journey is not None and attempt.awaits_verdict and attempt.method is not None:
            self._journey.receive_acceptance(attempt.method, attempt.login.source.identity.name)
        info = head.value(b"proxy-authentication-info")
        connection.logged_in_by = attempt.receive_answer(info) or connection.logged_in_by

    async def _answer_407(
        self, attempt: LoginAttempt, connection: Connection, head: ResponseHead, *, is_probe: bool
    ) -> bytes | None:
        """Return the credentials that answer a 407 on this connection; None: begin again on a fresh one."""
        self._sent = SentToken(connection, b"", head)
        connection.logged_in_by = None
        body_went = is_probe or await self._stop_upload()
        try:
            connection.stream.deadline = self._shared.io_loop.now() + self._shared.socktimeout
            can_continue = await connection.drain(head) and body_went
        except (BadResponseError, TimeoutError):
            can_continue = False
        if attempt.may_reach_origin and not (is_probe or connection is self._bound or self._is_repeatable):
            can_continue = False  # perhaps the upstream closes now: nobody could tell if the request arrived
        values, bindings = head.values(b"proxy-authenticate"), connection.channel_bindings
        self._sent = None
        if self._journey is not None:
            self._journey.receive_407(values, attempt.method, is_final=attempt.may_reach_origin)
        credentials = await attempt.receive_407(values, bindings, can_continue=can_continue)
        self._tell_login(attempt, credentials)
        if not self._request.body.can_replay:
            attempt.login.note_interrupted(self._line().target)
            raise LoginError(
                f"The {self._hop.name} asked for a login in the middle of a long upload.",
                "Send it again: Px is ready for the login now.",
            )
        return credentials

    async def _stop_upload(self) -> bool:
        """End the upload; return whether the whole body had gone (else the connection is of no more use)."""
        upload, self._upload = self._upload, None
        if upload is None:
            return self._request.body.is_empty or self._request.body.is_complete
        return await upload.stop()

    def _take_upload(self) -> asyncio.Task[None] | None:
        upload, self._upload = self._upload, None
        return upload.take() if upload is not None else None

    async def _abandon(self) -> None:
        """Let go of the connection and of the upload over it."""
        await self._stop_upload()
        if self._connection is not None:
            self._connection.close()
            self._connection = None
