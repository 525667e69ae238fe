"""Readers of HTTP/1 messages: Px, and as oracles h11 and llhttp (Node's, through httptools)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import h11
import httptools

from px.core.errors import BadRequestError, BadResponseError, PxError
from px.core.http.body_reader import body_reader
from px.core.http.head import find_head_end
from px.core.http.head_format import format_request, format_response
from px.core.http.request_head import parse_request
from px.core.http.response_head import take_response

OWS = b" \t"


@dataclass
class Message:
    """The meaning of a message."""

    start: list[bytes]
    fields: list[tuple[bytes, bytes]]
    body: bytes = b""
    is_complete: bool = False

    def __post_init__(self) -> None:
        """h11 gives transfer codings in lower case; their case means nothing (RFC 9112 7)."""
        self.fields = [
            (name, value.lower() if name.lower() == b"transfer-encoding" else value)
            for name, value in self.fields
        ]


class RefusedError(Exception):
    """A parser refuses a message."""


class UnknownMethodError(RefusedError):
    """llhttp accepts a fixed list of methods; RFC 9110 9.1 does not limit them."""


@dataclass
class LlhttpEvents:
    """Collects the callbacks of httptools. Trailers come as more fields, after the body."""

    message: Message = field(default_factory=lambda: Message([b""], []))
    has_head: bool = False
    messages: int = 0

    def on_message_begin(self) -> None:
        self.messages += 1

    def on_url(self, url: bytes) -> None:
        self.message.start[0] += url

    on_status = on_url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.has_head:
            self.message.fields.append((name, value.strip(OWS)))

    def on_headers_complete(self) -> None:
        self.has_head = True

    def on_body(self, body: bytes) -> None:
        self.message.body += body

    def on_message_complete(self) -> None:
        self.message.is_complete = True


def read_with_px(wire: bytes, *, answers: bytes | None = None) -> Message:
    """Read one message; `answers` is the method that a response answers."""
    try:
        if answers is None:
            if (end := find_head_end(wire)) < 0:
                raise RefusedError
            request = parse_request(wire[:end])
            message = Message(
                [request.method, request.target, b"1.%d" % request.minor_version], request.pairs()
            )
            body = body_reader(request.framing, decode_chunked=True, error=BadRequestError)
        else:
            if (taken := take_response(wire, answers)) is None:
                raise RefusedError
            response, end = taken
            message = Message([b"%d" % response.status, response.reason], response.pairs())
            body = body_reader(response.framing, decode_chunked=True, error=BadResponseError)
        message.body, rest = body.receive(wire[end:])
        if not rest:
            body.receive_eof()
    except PxError as error:
        raise RefusedError from error
    if rest:
        raise RefusedError  # the input may be valid, but it is more than one message
    message.is_complete = body.is_complete
    return message


def read_with_h11(wire: bytes, *, answers: bytes | None = None) -> Message:
    connection = h11.Connection(
        h11.SERVER if answers is None else h11.CLIENT, max_incomplete_event_size=1 << 20
    )
    message = Message([], [])
    try:
        if answers is not None:
            connection.send(h11.Request(method=answers, target=b"/", headers=[(b"Host", b"a")]))
            connection.send(h11.EndOfMessage())
        connection.receive_data(wire)
        is_closed = False
        while True:
            received = connection.next_event()
            if isinstance(received, h11.Request):
                start = [received.method, received.target, received.http_version]
                message = Message(start, received.headers.raw_items())
            elif isinstance(received, h11.Response | h11.InformationalResponse):
                start = [b"%d" % received.status_code, received.reason]
                message = Message(start, received.headers.raw_items())
                if isinstance(received, h11.InformationalResponse):
                    message.is_complete = True
                    return message
            elif isinstance(received, h11.Data):
                message.body += bytes(received.data)
            elif isinstance(received, h11.EndOfMessage):
                message.is_complete = True
                return message
            elif received is h11.NEED_DATA and not is_closed:
                connection.receive_data(b"")
                is_closed = True
            else:
                raise RefusedError
    except h11.RemoteProtocolError as error:
        raise RefusedError from error


def read_with_llhttp(wire: bytes, *, answers: bytes | None = None) -> Message:
    events = LlhttpEvents()
    parser: httptools.HttpRequestParser | httptools.HttpResponseParser
    parser = httptools.HttpRequestParser(events) if answers is None else httptools.HttpResponseParser(events)
    try:
        parser.feed_data(wire)
    except httptools.HttpParserUpgrade as upgrade:
        # llhttp stops after the head: a tunnel or an upgrade begins, if the other side agrees.
        events.message.is_complete = True
        events.message.body = wire[upgrade.args[0] :]
    except httptools.HttpParserInvalidMethodError as error:
        raise UnknownMethodError from error
    except httptools.HttpParserError as error:
        raise RefusedError from error
    if not events.has_head or events.messages > 1:
        raise RefusedError
    message = events.message
    if isinstance(parser, httptools.HttpRequestParser):
        start = [parser.get_method(), message.start[0], parser.get_http_version().encode()]
    else:
        start = [b"%d" % parser.get_status_code(), message.start[0]]
    return Message(start, message.fields, message.body, message.is_complete)


def accepts(read: Callable[..., Message], wire: bytes, *, answers: bytes | None = None) -> bool:
    try:
        return read(wire, answers=answers).is_complete
    except RefusedError:
        return False


def pass_on(wire: bytes) -> bytes:
    """Return the bytes that an upstream gets for a valid request."""
    end = find_head_end(wire)
    head = parse_request(wire[:end])
    body = body_reader(head.framing, decode_chunked=False, error=BadRequestError)
    host = head.authority.to_host_field(head.scheme)
    return format_request(head, head.target, host=host) + body.receive(wire[end:])[0]


def pass_answer_on(wire: bytes) -> bytes:
    """Return the bytes that a client gets for a valid answer to a GET."""
    taken = take_response(wire, b"GET")
    assert taken is not None
    head, end = taken
    body = body_reader(head.framing, decode_chunked=False, error=BadResponseError)
    return format_response(head) + body.receive(wire[end:])[0]
