"""Sends one message of an exchange to the hop, and reads the head that answers it.

The body follows the head at once, or when the hop answers ``100 Continue``, or when no 100 comes
(`px.core.http.message_form` decides which). The hop may answer before it has the whole body.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from px.core.errors import BadResponseError, PxError
from px.core.http.message_form import MessageForm
from px.core.http.response_head import ResponseHead
from px.io.io_loop import IoLoop
from px.io.stream import Stream
from px.upstream.answer_timeout import ANSWER_SECONDS, AnswerTimeout
from px.upstream.connections.connection import Connection, Hop
from px.upstream.hop_message import method_of
from px.upstream.message import MAX_INTERIMS, Request
from px.upstream.upload import Upload
from px.upstream.upload_plan import UploadPlan

#: How long a body waits for a 100 that may never come (RFC 9110 10.1.1).
CONTINUE_SECONDS = 1.0

_CONTINUE = 100


class MessageSender:
    """Sends the messages of one exchange, one after the other.

    Args:
        io_loop: The loop of the streams.
        hop: The receiver.
        request: The request of the client.
        plan: Learns whether the hop answers an Expect with a 100.
        timeout: How long to wait for an answer.
        is_alive: Returns whether an upstream answers a request that ends there.

    Attributes:
        is_body_waiting: Whether the body has not been sent, because the hop gave a final answer instead of a
            100, or has given none yet.
    """

    def __init__(
        self,
        io_loop: IoLoop,
        hop: Hop,
        request: Request,
        plan: UploadPlan,
        timeout: AnswerTimeout,
        *,
        is_alive: Callable[[Hop], Awaitable[bool]],
    ) -> None:
        self._io_loop = io_loop
        self._hop = hop
        self._request = request
        self._plan = plan
        self._timeout = timeout
        self._is_alive = is_alive
        self._form = MessageForm.WHOLE  # of the message sent last
        self._interims = 0
        self._upload: Upload | None = None
        self.is_body_waiting = False

    async def send(self, connection: Connection, head: bytes, form: MessageForm) -> ResponseHead:
        """Send one message and return the final head of its answer.

        Args:
            connection: To the hop.
            head: Of the message, the empty line included.
            form: Of the message.

        Raises:
            ClosedBeforeAnswerError: The connection closed without an answer.
            UpstreamSilentError: The upstream did not answer in time.
            HopTimeoutError: The hop did not answer in time.
            BadResponseError: The answer is broken.
            BadRequestError: The body breaks RFC 9112.
            BrokenStreamError: The client has left.
        """
        request, stream = self._request, connection.stream
        has_body = form is MessageForm.WHOLE and not request.body.is_empty
        ready = request.body.take_ready() if has_body else b""
        method = method_of(request, form)
        self._form = form
        stream.deadline = self._io_loop.now() + ANSWER_SECONDS
        try:  # noqa: SIM105 - for each request; suppress() costs three calls
            await stream.write(head + ready if ready else head)
        except OSError:
            pass  # the hop may have answered before it closed: read to find out
        self.is_body_waiting = form is MessageForm.EXPECTING
        if self.is_body_waiting:
            if (early := await self._wait_for_continue(connection, method)) is not None:
                return early
            self.is_body_waiting = False
            ready = None
        if ready is None:
            self._begin_upload(stream)
        stream.deadline = self._io_loop.now() + self._timeout.answer_seconds()
        return await self._read_final(connection, method)

    async def _wait_for_continue(self, connection: Connection, method: bytes) -> ResponseHead | None:
        """Return the final answer that came instead of a 100; None: send the body now."""
        connection.stream.deadline = self._io_loop.now() + CONTINUE_SECONDS
        try:
            while (head := await connection.read_response(method)).is_interim:
                await self._pass_interim(head)
                if head.status == _CONTINUE:
                    self._plan.note_expect(is_heeded=True)
                    return None
        except TimeoutError:
            self._plan.note_expect(is_heeded=False)
            return None
        return head

    async def _pass_interim(self, head: ResponseHead) -> None:
        """Pass a 1xx on to the client, unless it answers a message or an Expect that Px added."""
        self._interims += 1
        if self._interims > MAX_INTERIMS:
            raise BadResponseError(f"The {self._hop.name} sends interim answers without end.")
        asked_here = self._form is MessageForm.EXPECTING and not self._request.head.expects_continue
        is_for_px = not self._form.is_whole_request or (head.status == _CONTINUE and asked_here)
        if not is_for_px:  # RFC 9110 15.2: a proxy forwards all others
            await self._request.on_interim(head)

    async def _read_final(self, connection: Connection, method: bytes) -> ResponseHead:
        read = connection.read_response
        if not self._timeout.is_upstream_known:
            read = partial(self._read_first_head, connection)
        try:
            while (head := await read(method)).is_interim:
                await self._pass_interim(head)
                if self._upload_error is None and self._timeout.may_be_prolonged:
                    connection.stream.deadline = self._io_loop.now() + ANSWER_SECONDS
        except (TimeoutError, PxError) as error:
            if self._upload_error is not None:
                raise self._upload_error from error  # a variable would make a cycle: see `px.io.stream`
            raise self._timeout.make_timeout_error() if isinstance(error, TimeoutError) else error from None
        return head

    async def _read_first_head(self, connection: Connection, method: bytes) -> ResponseHead:
        """Return a head; if an upstream that has never answered is silent, ask if it works at all."""
        try:
            return await connection.read_response(method)
        except TimeoutError:
            if not self._timeout.is_origin_to_blame or self._upload_error is not None:
                raise
            if not await self._is_alive(self._hop):
                raise self._timeout.make_silence_error() from None
            connection.stream.deadline = self._io_loop.now() + ANSWER_SECONDS
            return await connection.read_response(method)

    def _begin_upload(self, stream: Stream) -> None:
        def await_answer() -> None:
            stream.deadline = self._io_loop.now() + self._timeout.answer_seconds()

        self._upload = Upload(self._request.body, stream, await_answer)

    @property
    def is_uploading(self) -> bool:
        """Whether an upload was begun, and neither stopped nor taken."""
        return self._upload is not None

    @property
    def _upload_error(self) -> BaseException | None:
        """The client's error that ended the upload; None: no such error."""
        return self._upload.client_error if self._upload is not None else None

    async def stop_upload(self) -> bool:
        """Stop the upload; return whether the whole body was sent. If not, the connection is of no use."""
        upload, self._upload = self._upload, None
        if upload is None:
            return self._request.body.is_empty or self._request.body.is_complete
        return await upload.stop()

    def take_upload(self) -> asyncio.Task[None] | None:
        """Return the task of an upload that goes on after the answer; None: no upload."""
        upload, self._upload = self._upload, None
        return upload.take() if upload is not None else None

    def __repr__(self) -> str:
        return f"<MessageSender to the {self._hop.name}>"
