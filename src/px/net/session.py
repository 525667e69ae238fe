"""One client connection, from its first request to its end: the order of work.

A request's life, in `Session._serve`::

    read its head -> have the client log in -> answer it here (loop, TRACE and OPTIONS at their last hop)
      -> `Outbound.send`: route, connection, login -> the answer's head
      -> a tunnel (CONNECT, 101), or the body streams to the client -> connections kept, or closed

`PxError` is caught once, here: nothing sent to the client yet, and it becomes a page; else the connection
is closed, for there is no other way to say in the middle of a body that it is broken.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from functools import partial

from px.core.connection_login import offers_connection_login
from px.core.errors import BadRequestError, BadResponseError, PxError
from px.core.framing import FramingKind
from px.core.head import (
    RequestHead,
    ResponseHead,
    parse_request,
)
from px.core.head_format import format_response
from px.core.own_answer import format_error, format_established
from px.net.answer_body import AnswerBody
from px.net.answer_head import format_answer
from px.net.chronicle import Chronicle
from px.net.client_head import HEAD_SECONDS, read_head
from px.net.client_request import answer_here, make_request, may_keep
from px.net.client_watch import ClientWatch, Patience
from px.net.completion_stream import CompletionStream
from px.net.connection import Connection
from px.net.message import LOGIN_REQUIRED, Answer, Request, ignore_interim
from px.net.relay import BrokenStreamError
from px.net.request_body import STALL_SECONDS
from px.net.service import Service
from px.net.socket_stream import SocketStream
from px.net.tunnel import Tunnel

KEEP_ALIVE_SECONDS = 75.0
#: How long a client that is told off may go on sending before the connection is cut: a reset would
#: destroy the answer on its way (RFC 9112 9.6).
LINGER_SECONDS = 2.0
#: How long a request goes on whose client has ended its direction.
HANG_UP_SECONDS = 5.0
#: How long the body of an answer may be silent then.
HANG_UP_STALL_SECONDS = 15.0

_LOGGER = logging.getLogger("px.session")

_Client = SocketStream | CompletionStream
_OK = 200
_UNAUTHORIZED = 401


class Session:
    """Serves one client connection.

    Until there is a tunnel it is a task; a tunnel goes on by callbacks, so that an idle one costs little.

    Args:
        client: Its stream.
        service: What all sessions share.
        name: Short, unique in this process: the id in logs.
        on_end: Called with it once it has ended.
    """

    __slots__ = (
        "_bound",
        "_chronicle",
        "_door",
        "_io_loop",
        "_is_answering",
        "_is_ending",
        "_name",
        "_on_end",
        "_patience",
        "_requests",
        "_service",
        "_task",
        "_watch",
        "client",
        "is_idle",
        "tunnel",
    )

    def __init__(
        self, client: _Client, service: Service, name: str, on_end: Callable[[Session], None]
    ) -> None:
        self.client = client
        self._on_end = on_end
        self._task: asyncio.Task[None] | None = None
        self._watch = ClientWatch(client)
        self._service = service
        self._io_loop = service.io_loop
        self._name = name
        self._door = service.open_door(client)
        self._requests = 0
        self._patience: Patience | None = None
        self._bound: Connection | None = None
        self._is_answering = False
        self._is_ending = False
        self._chronicle = Chronicle(client, service, name, self._door)
        #: Whether it waits for a request: nothing is lost when it is closed now.
        self.is_idle = True
        self.tunnel: Tunnel | None = None

    def begin(self) -> None:
        """Serve requests until one side has enough."""
        self._task = self._io_loop.loop.create_task(self._run())
        self._task.add_done_callback(self._end_task)

    async def _run(self) -> None:
        chronicle = self._chronicle
        try:
            while await self._serve_next() and not self._is_ending:
                chronicle.end()
        except OSError as error:  # the client has gone
            chronicle.break_off("left", error)
        except asyncio.CancelledError:
            chronicle.break_off("stopped", "Px ends")
            raise
        finally:
            if self.tunnel is None:
                chronicle.end()
                self.close()

    def _end_task(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if self.tunnel is None:
            self.close()  # it may have been cancelled before it began
            self._on_end(self)
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOGGER.error("a session failed, which is a fault of Px", exc_info=error)

    def end(self) -> None:
        """End after the request under way, if there is one."""
        self._is_ending = True
        if self.is_idle:
            self.close()

    def cut(self) -> None:
        """End now."""
        if self.tunnel is not None:
            self.tunnel.stop()
            self._chronicle.break_off("stopped", "Px ends")
            self._leave_tunnel()
        elif self._task is not None:
            self._task.cancel()

    def close(self) -> None:
        """Close the client's connection and what belongs to it alone."""
        self.client.close()
        if self._bound is not None:
            self._bound.close()
            self._bound = None

    async def _serve_next(self) -> bool:
        """Serve one request; return whether the client may send another."""
        head: RequestHead | None = None
        self._is_answering = False
        try:
            head = await self._read_head()
            if head is None:
                return False
            self.is_idle = False
            self._chronicle.begin(head)
            return await self._serve(head)
        except PxError as error:
            self._service.counters.errors += 1
            if self._is_answering:
                self._chronicle.break_off("cut", error.cause)
                self.client.reset()  # its end would look like the body's, where only that tells (RFC 9112 8)
                return False
            return await self._send_error(error, head)

    async def _read_head(self) -> RequestHead | None:
        """Return the next request's head; None when the client has no more to say."""
        self.is_idle = True
        self._watch_bound()
        seconds = KEEP_ALIVE_SECONDS if self._requests else HEAD_SECONDS
        head = await read_head(self.client, self._io_loop, seconds)
        if head is None:
            return None
        self._requests += 1
        self._service.counters.requests += 1
        return parse_request(head)

    async def _serve(self, head: RequestHead) -> bool:
        if self._door is not None:
            await self._door.admit(head)
        if (own := answer_here(head, self._service)) is not None:
            self._chronicle.begin_answer(_OK)
            return await self._write_own(own, keep=may_keep(head))
        request = make_request(head, self.client, self._service, self._chronicle.journey)
        request.body.take_ready()  # what is malformed at once goes nowhere
        answer = await self._send(request)
        self._chronicle.begin_answer(answer.head.status, answer.connection.hop.name)
        try:
            if answer.opens_tunnel(head.method):
                await self._open_tunnel(request, answer)
                return False
            keep = await self._pass_answer(request, answer)
        finally:
            if self.tunnel is None:
                await self._end_answer(answer)
        if not keep:
            await self._linger()
        return keep

    async def _send(self, request: Request) -> Answer:
        """Send a request on its way, unless its client hangs up meanwhile.

        A client that only ended its own direction may still read: it gets some time for its answer.
        """
        on_interim = self._send_interim if request.head.minor_version else ignore_interim
        body = request.body
        body.call_when_read(self._watch_for_hang_up)
        try:
            answer = await self._service.outbound.send(request, on_interim, self._lend_bound())
        except asyncio.CancelledError as error:
            if self._end_patience():
                raise BrokenStreamError(self.client, ConnectionResetError("the client hung up")) from error
            raise
        finally:
            body.call_when_read(None)
            self._watch.stop()
            self._end_patience()
        return answer

    def _watch_for_hang_up(self) -> None:
        self._watch.begin(self._lose_patience)

    def _lose_patience(self) -> None:
        if self._task is not None:
            self._patience = Patience(self._task, HANG_UP_SECONDS)

    def _end_patience(self) -> bool:
        patience, self._patience = self._patience, None
        return patience is not None and patience.end()

    def _lend_bound(self) -> Connection | None:
        """Return the connection that belongs to this client alone, for the next request."""
        if self._bound is not None:
            self._bound.stream.on_idle_input = None
        return self._bound

    def _watch_bound(self) -> None:
        """Close the client's connection when the one that belongs to it ends."""
        if self._bound is not None and not self._bound.stream.is_closed:
            self._bound.stream.on_idle_input = self.client.close
            self._bound.stream.watch_idle()

    async def _send_interim(self, head: ResponseHead) -> None:
        """Pass a 1xx on."""
        self.client.deadline = self._io_loop.now() + STALL_SECONDS
        await self._write(format_response(head, via=self._service.format_via(head.minor_version)))

    async def _write(self, data: bytes) -> None:
        try:
            await self.client.write(data)
        except OSError as error:
            raise BrokenStreamError(self.client, error) from error

    async def _open_tunnel(self, request: Request, answer: Answer) -> None:
        head, connection = request.head, answer.connection
        self.client.deadline = self._io_loop.now() + STALL_SECONDS
        if head.method == b"CONNECT":
            await self._write(format_established(self._door.take_fields() if self._door else ()))
        elif head.upgrade is None:
            raise BadResponseError(f"The {connection.hop.name} switched protocols without being asked.")
        elif not await answer.finish_upload(request):
            raise BadResponseError(f"The {connection.hop.name} switched protocols before the request's end.")
        else:
            await self._write(self._format_head(answer, keep=True, minor_version=1))
        self._service.counters.tunnels += 1
        if self._bound is not connection and self._bound is not None:
            self._bound.close()
        self._bound = connection  # it belongs to this client alone
        self.tunnel = Tunnel(self._io_loop, self._service.idle_seconds, self._end_tunnel)
        self.tunnel.begin(self.client, connection.stream)

    def _end_tunnel(self, error: BaseException | None) -> None:
        if isinstance(error, BrokenStreamError):
            by = "left" if error.stream is self.client else "cut"
            self._chronicle.break_off("idle" if isinstance(error.error, TimeoutError) else by, error)
        elif error is not None:
            _LOGGER.error("a tunnel failed, which is a fault of Px", exc_info=error)
        self._leave_tunnel()

    def _leave_tunnel(self) -> None:
        self._chronicle.end()
        self.close()
        self._on_end(self)

    async def _pass_answer(self, request: Request, answer: Answer) -> bool:
        """Send an answer to the client, its body as it comes; return whether the client may go on."""
        head, framing = answer.head, answer.head.framing
        decodes = framing.kind is FramingKind.CHUNKED and request.head.minor_version == 0
        self._bind(request, answer)
        keep = (
            request.head.keep_alive
            and not decodes
            and framing.kind is not FramingKind.CLOSE
            and not (self._is_ending or answer.is_body_held)
            and not self._may_use_denied_tunnel(request.head, head.status)
            and (self._bound is not answer.connection or head.keep_alive)
        )
        body = AnswerBody(answer.connection, framing, self._io_loop, decodes=decodes)
        first = self._format_head(answer, keep=keep, minor_version=request.head.minor_version)
        first += body.take_ready()
        self.client.deadline = self._io_loop.now() + STALL_SECONDS
        self._is_answering = True
        await self._write(first)
        if not body.is_complete:
            await self._pass_rest(request, body)
        answer.is_through = True
        return await answer.finish_upload(request) and keep

    async def _pass_rest(self, request: Request, body: AnswerBody) -> None:
        if request.body.is_complete:
            self._watch.begin(partial(body.hurry, HANG_UP_STALL_SECONDS))
        try:
            await body.pass_to(self.client)
        finally:
            self._watch.stop()

    def _format_head(self, answer: Answer, *, keep: bool, minor_version: int) -> bytes:
        fields = self._door.take_fields() if self._door else ()
        return format_answer(answer.head, self._service, fields, keep=keep, minor_version=minor_version)

    def _bind(self, request: Request, answer: Answer) -> None:
        """Give the client a connection of its own from its first connection-bound login on."""
        connection = answer.connection
        is_login = request.is_bound or (connection.hop.is_upstream and not self._service.logs_in)
        offers = answer.head.status == _UNAUTHORIZED and offers_connection_login(answer.head)
        is_lost = self._bound is not None and self._bound.stream.is_closed
        if (is_login or offers or is_lost) and self._bound is not connection:
            if self._bound is not None:
                self._bound.close()
            self._bound = connection

    async def _end_answer(self, answer: Answer) -> None:
        """Keep the connection for another request if it is between two, else close it."""
        connection = answer.connection
        is_clean = answer.upload is None or await answer.end_upload()
        if not (is_clean and answer.head.keep_alive and answer.is_through and not answer.is_body_held):
            connection.close()
        elif connection is not self._bound:
            self._service.outbound.keep(connection)

    async def _send_error(self, error: PxError, head: RequestHead | None) -> bool:
        """Answer with the failure; return whether the client may go on."""
        self._chronicle.fail(error)
        is_bound_lost = self._bound is not None and self._bound.stream.is_closed
        keep = (
            head is not None
            and (may_keep(head) or (error.is_body_read and head.keep_alive))
            and not (is_bound_lost or isinstance(error, BadRequestError))
            and not self._may_use_denied_tunnel(head, error.status)
        )
        return await self._write_own(format_error(error, head, keep_alive=keep), keep=keep)

    def _may_use_denied_tunnel(self, head: RequestHead, status: int) -> bool:
        """Whether the client perhaps uses a tunnel already that it does not get: those bytes are no request.

        A 407 is only a step on the way to a tunnel, and its client waits for it.
        """
        return head.method == b"CONNECT" and not (status == LOGIN_REQUIRED and self.client.is_quiet())

    async def _write_own(self, answer: bytes, *, keep: bool) -> bool:
        self.client.deadline = self._io_loop.now() + LINGER_SECONDS
        await self._write(answer)
        if not keep:
            await self._linger()
        return keep

    async def _linger(self) -> None:
        """Let the client read its answer before the connection goes."""
        client = self.client
        self._chronicle.end()
        await client.write_eof()
        client.deadline = self._io_loop.now() + LINGER_SECONDS
        with contextlib.suppress(OSError):
            while await client.read() and self._io_loop.now() < client.deadline:
                pass

    def __repr__(self) -> str:
        return f"<Session {self._name} requests={self._requests} {'idle' if self.is_idle else 'busy'}>"
