"""HTTP/1 with a client: reads the heads of requests, writes answers, and turns errors into pages."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Sequence
from functools import partial

from px.core.auth.connection_login import offers_connection_login
from px.core.errors import BadRequestError, BadResponseError, ClientLeftError, PxError
from px.core.http.framing import FramingKind
from px.core.http.head_format import format_response
from px.core.http.own_answer import format_endless, format_error, format_established, format_own
from px.core.http.request_head import RequestHead, parse_request
from px.core.http.response_head import ResponseHead
from px.downstream.answer_body import AnswerBody
from px.downstream.client import Client
from px.downstream.client_end import LINGER_SECONDS, reset_when_taken
from px.downstream.client_head import read_head
from px.downstream.client_request import answer_here, is_for_px_itself, may_keep
from px.downstream.client_watch import HangUpTimer
from px.downstream.page_answer import SAFE_FIELDS, Events, PageAnswer, Visitor
from px.io.relay import BrokenStreamError
from px.upstream.message import LOGIN_REQUIRED, Answer, Request
from px.upstream.request_body import STALL_SECONDS

#: How long the body of an answer may be silent once its client has ended its direction: it may have left.
HANG_UP_STALL_SECONDS = 15.0
#: How long a page may take once its visitor has ended its direction.
PAGE_HANG_UP_SECONDS = 5.0

_OK = 200
_UNAUTHORIZED = 401
_NOTHING: frozenset[bytes] = frozenset()
_NO_FIELDS: Sequence[tuple[bytes, bytes]] = ()
_DECODED = frozenset((b"transfer-encoding", b"trailer"))
_SUPPORTS_LOGIN = (b"Proxy-Support", b"Session-Based-Authentication")  # RFC 4559 6


class HttpFrontEnd:
    """Implements `px.downstream.front_end.FrontEnd`.

    Args:
        client: The client, and what belongs to its connection.
    """

    __slots__ = ("_client", "_ends_by_close", "_head", "is_answering")

    def __init__(self, client: Client) -> None:
        self._client = client
        self._head: RequestHead | None = None  # of the request under way; None: it could not be read
        self.is_answering = False
        self._ends_by_close = False  # the end of the connection is the end of the answer's body

    @staticmethod
    def format_refusal(error: PxError) -> bytes:
        """Return the answer to a client whose address may not use Px."""
        return format_error(error, None, keep_alive=False)

    def read_request(self, seconds: float) -> Awaitable[bytes | None]:
        """Return the head of the next request; see `read_head`."""
        self._head, self.is_answering = None, False
        return read_head(self._client.stream, self._client.service.io_loop, seconds)

    def parse_request(self, data: bytes) -> RequestHead:
        """Return the parsed head; see `px.core.http.request_head.parse_request`."""
        self._head = head = parse_request(data)
        return head

    async def check_sender(self) -> None:
        """Refuse requests of web sites for Px's own pages; see `px.downstream.pages.visitor_check`."""
        head = self._head
        assert head is not None  # noqa: S101 - it was read
        if is_for_px_itself(head):
            await self._client.service.check_page_request(head, self._visitor)

    @property
    def _visitor(self) -> Visitor:
        client = self._client
        return Visitor(client.end, client.own_end, client.is_from_here)

    def answer_here(self) -> Awaitable[bool] | None:
        """Answer requests for Px's own pages, and TRACE and OPTIONS at their last hop."""
        head = self._head
        assert head is not None  # noqa: S101 - it was read
        if (answer := answer_here(head, self._client.service)) is not None:
            return self._answer_here(answer, keep=may_keep(head))
        return self._answer_page(head) if is_for_px_itself(head) else None

    def _answer_here(self, answer: bytes, *, keep: bool) -> Awaitable[bool]:
        self._client.trace.begin_answer(_OK)
        return self._write_own(answer, keep=keep)

    async def _answer_page(self, head: RequestHead) -> bool:
        client = self._client
        client.service.counters.pages += 1
        page = await self._make_page(head)
        fields = list(SAFE_FIELDS)
        if client.authenticator is not None:
            fields += client.authenticator.take_fields()
        client.trace.begin_answer(page.status)
        if page.events is not None:
            return await self._send_events(page, page.events, fields, is_head=head.method == b"HEAD")
        keep = may_keep(head) and not client.is_ending
        answer = format_own(page.status, page.body, page.content_type, fields=fields, keep_alive=keep)
        if head.method == b"HEAD":
            answer = answer[: len(answer) - len(page.body)]
        await self._write_page(answer)
        return keep

    async def _make_page(self, head: RequestHead) -> PageAnswer:
        """Return a page, unless its visitor leaves meanwhile: an explanation can take a minute."""
        client, task, timer = self._client, asyncio.current_task(), None

        def start_timer() -> None:
            nonlocal timer
            assert task is not None  # noqa: S101 - a session is one
            timer = HangUpTimer(task, PAGE_HANG_UP_SECONDS)

        client.watch.begin(start_timer)
        try:
            return await client.service.answer_page(head, self._visitor)
        except asyncio.CancelledError as error:
            if timer is not None and timer.stop():
                left = ConnectionResetError("the client left")
                raise BrokenStreamError(client.stream, left) from error
            raise
        finally:
            client.watch.stop()
            if timer is not None:
                timer.stop()

    async def _send_events(
        self,
        page: PageAnswer,
        events: Events,
        fields: list[tuple[bytes, bytes]],
        *,
        is_head: bool,
    ) -> bool:
        """Send a page that has no end yet: it ends with the connection."""
        head = format_endless(page.status, page.content_type, fields=fields)
        async with contextlib.aclosing(events):
            self.is_answering = self._ends_by_close = True
            await self._write_page(head)
            while not is_head and (event := await anext(events, b"")):
                await self._write_page(event)
            self.is_answering = False
        return False

    async def _write_page(self, data: bytes) -> None:
        """Send bytes of a page, which are no traffic of the client: they count as such from the first on."""
        client, counters = self._client, self._client.service.counters
        end = client.stream.sent_bytes + len(data)
        counters.page_bytes += len(data)
        try:
            await client.write(data, LINGER_SECONDS)
        finally:
            counters.page_bytes -= end - client.stream.sent_bytes  # what was not sent

    async def send_interim(self, head: ResponseHead) -> None:
        """Pass a 1xx on; clients of HTTP/1.0 do not know them."""
        if self._head is not None and self._head.minor_version:
            via = self._client.service.format_via(head.minor_version)
            await self._client.write(format_response(head, via=via), STALL_SECONDS)

    async def begin_tunnel(self, request: Request, answer: Answer) -> None:
        """Send the 200 to a CONNECT, or the 101 to an upgrade."""
        client, head, hop = self._client, request.head, answer.connection.hop
        if head.method == b"CONNECT":
            fields = client.authenticator.take_fields() if client.authenticator is not None else ()
            await client.write(format_established(fields), STALL_SECONDS)
        elif head.upgrade is None:
            raise BadResponseError(f"The {hop.name} switched protocols without being asked.")
        elif not await answer.finish_upload(request):
            raise BadResponseError(f"The {hop.name} switched protocols before the request's end.")
        else:
            await client.write(self._format_head(answer, keep=True, minor_version=1), STALL_SECONDS)

    async def pass_answer(self, request: Request, answer: Answer) -> bool:
        """Send an answer to the client, its body as it comes; return whether the client may go on."""
        client, framing = self._client, answer.head.framing
        minor_version = request.head.minor_version
        decodes = framing.kind is FramingKind.CHUNKED and minor_version == 0
        self._ends_by_close = decodes or framing.kind is FramingKind.CLOSE
        keep = (
            request.head.keep_alive
            and not self._ends_by_close
            and not (client.is_ending or answer.is_body_waiting)
            and not self._may_use_denied_tunnel(request.head, answer.head.status)
            and not client.bound.ends_with(answer)
        )
        body = AnswerBody(answer.connection, framing, client.service.io_loop, decodes=decodes)
        first = self._format_head(answer, keep=keep, minor_version=minor_version) + body.take_ready()
        self.is_answering = True
        await client.write(first, STALL_SECONDS)
        if not body.is_complete:
            await self._pass_rest(request, body)
        self.is_answering = False
        answer.is_through = True
        return await answer.finish_upload(request) and keep

    async def _pass_rest(self, request: Request, body: AnswerBody) -> None:
        watch = self._client.watch
        if request.body.is_complete:
            watch.begin(partial(body.hurry, HANG_UP_STALL_SECONDS))
        try:
            await body.pass_to(self._client.stream)
        finally:
            watch.stop()

    def _format_head(self, answer: Answer, *, keep: bool, minor_version: int) -> bytes:
        """Format the head of an answer as a client of HTTP/1.`minor_version` gets it."""
        client, head = self._client, answer.head
        service, fields = client.service, _NO_FIELDS
        if client.authenticator is not None:
            fields = client.authenticator.take_fields()
        if head.status == _UNAUTHORIZED and offers_connection_login(head):
            fields = (*fields, _SUPPORTS_LOGIN)
        return format_response(
            head,
            via=service.format_via(head.minor_version),
            connection=b"close" if not keep else b"keep-alive" if minor_version == 0 else b"",
            drop=_NOTHING if minor_version else _DECODED,
            set_fields=fields,
            keep_proxy_authenticate=not service.logs_in,
        )

    async def send_error(self, error: PxError) -> bool:
        """Answer with a page about the error; return whether the client may go on."""
        client, head = self._client, self._head
        keep = (
            head is not None
            and (may_keep(head) or (error.is_body_read and head.keep_alive))
            and not (
                client.is_ending
                or client.bound.is_lost
                or isinstance(error, BadRequestError | ClientLeftError)
            )
            and not self._may_use_denied_tunnel(head, error.status)
        )
        return await self._write_own(format_error(error, head, keep_alive=keep), keep=keep)

    def _may_use_denied_tunnel(self, head: RequestHead, status: int) -> bool:
        """Whether the client may already send bytes for a tunnel that it does not get: they are no request.

        A 407 is only a step towards a tunnel, and the client waits for it.
        """
        return head.method == b"CONNECT" and not (status == LOGIN_REQUIRED and self._client.stream.is_quiet())

    async def _write_own(self, answer: bytes, *, keep: bool) -> bool:
        await self._client.write(answer, LINGER_SECONDS)
        return keep

    async def break_off(self) -> None:
        """Let the client have what came, and show it that this is not all."""
        if not self._ends_by_close:
            await self._client.linger()
            return
        self._client.trace_log.end()
        await reset_when_taken(self._client.stream, self._client.service.io_loop)

    def abort(self) -> None:
        """Reset the connection if its end would look like the end of the body."""
        if self.is_answering and self._ends_by_close:
            self._client.stream.reset()

    def __repr__(self) -> str:
        return f"<HttpFrontEnd {self._client!r} {'answering' if self.is_answering else 'waiting'}>"
