"""One client connection, from its first request to its end: the same service for every front end.

A request's life, in `Session._serve`::

    the front end reads it -> no web site has sent it for a page of Px -> the client logs in
      -> the front end answers what is for Px itself -> no request that came from Px
      -> `Forwarder.send`: route, connection, login -> the answer's head
      -> a tunnel (CONNECT, 101), or the front end passes the answer on -> connections kept, or closed

So every request passes the client's login before Px sends it on or answers it with anything but an error. The
client's address was checked before the session began (`px.downstream.listener`).

`PxError` is caught once, here. If no part of an answer has gone to the client, the front end sends the error.
Else it ends the connection so that the client sees that the answer is not complete (RFC 9112 8).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from px.core.errors import ClientLeftError, PxError
from px.core.http.request_head import RequestHead
from px.core.http.target import Authority
from px.core.trace.access_record import show_target
from px.downstream.activity.active_request import (
    MAX_METHOD_CHARS,
    MAX_TARGET_CHARS,
    ActiveRequest,
    shorten,
)
from px.downstream.client import Client
from px.downstream.client_head import HEAD_SECONDS
from px.downstream.client_request import check_loop, is_for_px_itself
from px.downstream.client_watch import HangUpTimer
from px.downstream.front_end import FrontEndKind
from px.io.local_failure import explain_exhaustion, explain_fault
from px.io.relay import BrokenStreamError
from px.io.tunnel import Tunnel
from px.upstream.connections.connection import ClosedBeforeAnswerError
from px.upstream.message import Answer, Request

KEEP_ALIVE_SECONDS = 75.0
#: A client that is silent for this long can be cut off when Px ends or has another configuration.
GRACE_SECONDS = 2.0
#: How long a request goes on after its client has ended its direction: the client may still read.
HANG_UP_SECONDS = 60.0

_IDLE_HINT = "If a program needs longer pauses, raise --idle (0: no limit)."

_LOGGER = logging.getLogger("px.session")


class Session:
    """Serves one client connection.

    Until there is a tunnel the session is a task; a tunnel goes on by callbacks, so that an idle one costs
    little.

    Args:
        client: The client, and what belongs to its connection.
        kind: The protocol that the client speaks.
        on_end: Called with the session once it has ended.
    """

    __slots__ = (
        "_begun",
        "_front_end",
        "_hang_up_timer",
        "_head",
        "_idle_since",
        "_io_loop",
        "_on_end",
        "_seen_bytes",
        "_sent_before",
        "_service",
        "_task",
        "client",
        "is_idle",
        "tunnel",
    )

    def __init__(self, client: Client, kind: FrontEndKind, on_end: Callable[[Session], None]) -> None:
        self.client = client
        self._service = client.service
        self._io_loop = client.service.io_loop
        self._front_end = kind(client)
        self._on_end = on_end
        self._task: asyncio.Task[None] | None = None
        self._hang_up_timer: HangUpTimer | None = None
        #: Whether it waits for a request; since when, and how many bytes had come until then.
        self.is_idle = True
        self._idle_since, self._seen_bytes = self._io_loop.now(), 0
        #: The request under way: head, loop time of its beginning, and what the client was sent before.
        self._head: RequestHead | None = None
        self._begun, self._sent_before = 0.0, 0
        self.tunnel: Tunnel | None = None

    def begin(self) -> None:
        """Serve requests until the client or Px ends the connection."""
        self._task = self._io_loop.loop.create_task(self._run())
        self._task.add_done_callback(self._on_task_done)

    async def _run(self) -> None:
        client = self.client
        try:
            while await self._serve_next():
                client.trace_log.end()
        except OSError as error:  # the client has gone: see `_explain`
            client.trace.break_off("left", error)
        except asyncio.CancelledError:
            client.trace.break_off("stopped", "Px ends")
            self._front_end.abort()
            raise
        finally:
            if self.tunnel is None:
                client.trace_log.end()
                client.close()

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if self.tunnel is None:
            self.client.close()  # the task may have been cancelled before it began
            self._on_end(self)
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOGGER.error("a session failed, which is a fault of Px", exc_info=error)

    @property
    def is_active(self) -> bool:
        """Whether a request or tunnel is under way; requests for Px's own pages do not count."""
        return not self.is_idle and self._head is not None and not is_for_px_itself(self._head)

    @property
    def begun(self) -> float:
        """The loop time at which the request or tunnel began, which `is_active`."""
        return self._begun

    def describe(self, unix_offset: float) -> ActiveRequest:
        """Return the request or tunnel under way, for lists; call this only while `is_active`.

        Args:
            unix_offset: Unix seconds minus loop time.
        """
        client, head, stream = self.client, self._head, self.client.stream
        assert head is not None  # noqa: S101 - it is active
        return ActiveRequest(
            kind="request" if self.tunnel is None else "tunnel",
            method=shorten(head.method[: 2 * MAX_METHOD_CHARS].decode("ascii", "replace"), MAX_METHOD_CHARS),
            target=shorten(show_target(head.target), MAX_TARGET_CHARS),
            route=shorten(client.trace.route),
            client=client.end[0],
            program=shorten(client.program or ""),
            user=shorten(client.authenticator.user) if client.authenticator is not None else "",
            since=round(self._begun + unix_offset, 3),
            up=stream.received_bytes - self._seen_bytes,
            down=stream.sent_bytes - self._sent_before,
        )

    def end(self) -> None:
        """End after the request under way, if there is one, or after the client has been silent for a moment.

        A client whose connection ends without an answer cannot know whether its request has arrived. So the
        next answer says ``Connection: close``, and only a client that sends nothing is cut off.
        """
        client, stream = self.client, self.client.stream
        client.is_ending = True
        if self.is_idle and stream.received_bytes == self._seen_bytes:
            stream.deadline = min(stream.deadline, self._idle_since + GRACE_SECONDS)

    def cut(self) -> None:
        """End now."""
        if self.tunnel is not None:
            self.tunnel.stop()
            self.client.trace.break_off("stopped", "Px ends")
            self._close_tunnel()
        elif self._task is not None:
            self._task.cancel()

    async def _serve_next(self) -> bool:
        """Serve one request; return whether the client may send another."""
        head: RequestHead | None = None
        try:
            head = await self._read_request()
            if head is None:
                return False
            self.is_idle, self._head, self._begun = False, head, self._io_loop.now()
            self.client.trace_log.begin(head)
            return await self._serve(head)
        except PxError as error:
            return await self._fail(error)
        except Exception as error:
            failure = self._explain(error, is_read=head is not None)
            if failure is None:
                raise
            return await self._fail(failure)

    def _explain(self, error: Exception, *, is_read: bool) -> PxError | None:
        """Return the error to send for an exception that is no `PxError`; None: the client has gone."""
        if isinstance(error, OSError) and (
            not is_read or getattr(error, "stream", None) is self.client.stream
        ):
            return None
        exhausted = explain_exhaustion(error, "serve this request")
        if exhausted is None:
            _LOGGER.error("a request failed, which is a fault of Px", exc_info=error)
        return exhausted or explain_fault()

    async def _fail(self, error: PxError) -> bool:
        client, front_end = self.client, self._front_end
        self._service.counters.errors += not error.is_routine
        may_retry = isinstance(error, ClosedBeforeAnswerError) and error.was_kept and client.requests > 1
        if not (front_end.is_answering or may_retry):
            client.trace_log.fail(error)
            may_go_on = await front_end.send_error(error)
            return may_go_on or await self._linger()
        client.trace.break_off("cut", error.cause if may_retry else error)
        if front_end.is_answering:
            await front_end.break_off()
        return False  # without a byte of an answer the client may send its request again (RFC 9112 9.3.1)

    async def _read_request(self) -> RequestHead | None:
        """Return the client's next request; None: the client sends no more."""
        client = self.client
        self.is_idle, self._head = True, None
        self._idle_since, self._seen_bytes = self._io_loop.now(), client.stream.received_bytes
        self._sent_before = client.stream.sent_bytes
        client.bound.watch()
        seconds = HEAD_SECONDS
        if client.is_ending:
            seconds = GRACE_SECONDS
        elif client.requests:
            seconds = KEEP_ALIVE_SECONDS
        data = await self._front_end.read_request(seconds)
        if data is None:
            return None
        client.requests += 1
        self._service.counters.requests += 1
        return self._front_end.parse_request(data)

    async def _serve(self, head: RequestHead) -> bool:
        client, front_end = self.client, self._front_end
        if client.authenticator is not None:
            await front_end.check_sender()  # else a web site could guess passwords
            await client.authenticator.admit(head)
        if (answering := front_end.answer_here()) is not None:
            return await answering or await self._linger()
        check_loop(head, self._service)
        request = client.make_request(head, front_end.send_interim)
        request.body.take_ready()  # a body that is malformed at once goes nowhere
        answer = await self._send(request)
        client.trace_log.trace.begin_answer(answer.head.status, answer.connection.hop.name)
        if answer.head.is_repaired:
            client.trace.note("its head breaks RFC 9112: the client gets it repaired")
        try:
            if answer.opens_tunnel(head.method):
                await self._open_tunnel(request, answer)
                return False
            client.bound.receive_answer(request, answer)
            may_go_on = await front_end.pass_answer(request, answer)
        except PxError as error:
            error.hop, error.target = answer.connection.hop.route, head.authority.host
            raise
        finally:
            if self.tunnel is None:
                await self._release_connection(answer)
        return may_go_on or await self._linger()

    async def _linger(self) -> bool:
        """Let a client that may not go on read its answer; return False."""
        await self.client.linger()
        return False

    async def _send(self, request: Request) -> Answer:
        """Send a request on its way, unless its client hangs up meanwhile.

        A client that only ended its own direction may still read: it gets some time for its answer.
        """
        client, body = self.client, request.body
        body.call_when_read(self._watch_for_hang_up)
        try:
            answer = await self._service.forwarder.send(request)
        except asyncio.CancelledError as error:
            if self._stop_hang_up_timer():
                if client.stream.is_broken:
                    raise BrokenStreamError(client.stream, ConnectionResetError("the client left")) from error
                raise ClientLeftError(
                    f"No answer came within {HANG_UP_SECONDS:g} s after the client had ended its direction."
                ) from error
            raise
        finally:
            body.call_when_read(None)
            client.watch.stop()
            self._stop_hang_up_timer()
        return answer

    def _watch_for_hang_up(self) -> None:
        self.client.watch.begin(self._start_hang_up_timer)

    def _start_hang_up_timer(self) -> None:
        if self._task is not None:
            seconds = 0.0 if self.client.stream.is_broken else HANG_UP_SECONDS
            self._hang_up_timer = HangUpTimer(self._task, seconds)

    def _stop_hang_up_timer(self) -> bool:
        """Stop the timer, if there is one; return whether the timer cancelled the task."""
        timer, self._hang_up_timer = self._hang_up_timer, None
        return timer is not None and timer.stop()

    async def _open_tunnel(self, request: Request, answer: Answer) -> None:
        await self._front_end.begin_tunnel(request, answer)
        self._service.counters.tunnels += 1
        self.client.bound.bind(answer.connection)
        on_end = partial(self._on_tunnel_end, request.head.authority)
        self.tunnel = Tunnel(self._io_loop, self._service.idle_seconds, on_end)
        self.tunnel.begin(self.client.stream, answer.connection.stream)

    def _on_tunnel_end(self, target: Authority, error: BaseException | None) -> None:
        client = self.client
        if isinstance(error, BrokenStreamError) and isinstance(error.error, TimeoutError):
            client.trace.break_off("idle", error)
            extra = {"hint": _IDLE_HINT, "is_quiet": True}
            idle = self._service.idle_seconds
            _LOGGER.warning("The tunnel to %s was silent for %g s and was closed.", target, idle, extra=extra)
        elif isinstance(error, BrokenStreamError):
            client.trace.break_off("left" if error.stream is client.stream else "cut", error)
        elif error is not None:
            _LOGGER.error("a tunnel failed, which is a fault of Px", exc_info=error)
        self._close_tunnel()

    def _close_tunnel(self) -> None:
        self.client.trace_log.end()
        self.client.close()
        self._on_end(self)

    async def _release_connection(self, answer: Answer) -> None:
        """Keep the connection for another request if it is between two messages, else close it."""
        connection = answer.connection
        is_clean = answer.upload is None or await answer.end_upload()
        if not (is_clean and answer.head.keep_alive and answer.is_through and not answer.is_body_waiting):
            connection.close()
        elif not self.client.bound.owns(connection):
            self._service.forwarder.keep(connection)

    def __repr__(self) -> str:
        return f"<Session {self.client!r} {'idle' if self.is_idle else 'busy'}>"
