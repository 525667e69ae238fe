"""Readers of streams of requests: Px, h11 and llhttp, each as the server side of one connection."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

import h11
import httptools

from px.core.errors import BadRequestError, PxError
from px.core.http.body_reader import body_reader
from px.core.http.head import HeadReader
from px.core.http.head_format import format_request
from px.core.http.request_head import check_request_beginning, parse_request
from px.core.http.request_repair import drop_fragment, encode_target
from px.core.http.target import TargetForm

OWS = b" \t"


class Seen(NamedTuple):
    """A complete request as a reader understood it, with the target in a common spelling."""

    method: bytes
    target: bytes
    body: bytes


class End(Enum):
    """What a reader does after the last complete request."""

    WAITS_FOR_HEAD = "waits for a head"
    WAITS_FOR_BODY = "waits for a body"
    REFUSES = "refuses what follows"
    STOPS = "reads no request over this connection any more"


@dataclass
class Reading:
    """A reader's understanding of a stream.

    Attributes:
        seen: The requests that are whole.
        fields: Of each, names in lower case.
        sent: For Px only: the forwarded form of each request.
        end: What the reader does then.
    """

    seen: list[Seen] = field(default_factory=list)
    fields: list[list[tuple[bytes, bytes]]] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)
    end: End = End.WAITS_FOR_HEAD

    def add(self, method: bytes, target: bytes, body: bytes, fields: list[tuple[bytes, bytes]]) -> None:
        self.seen.append(Seen(method, drop_fragment(encode_target(target)), body))
        self.fields.append([(name.lower(), _plain(name, value)) for name, value in fields])


def _plain(name: bytes, value: bytes) -> bytes:
    """The case of a transfer coding means nothing (RFC 9112 7), and h11 changes it."""
    value = value.strip(OWS)
    return value.lower() if name.lower() == b"transfer-encoding" else value


def read_with_px(stream: bytes) -> Reading:
    reading = Reading()
    while stream:
        reader = HeadReader()
        try:
            if (end := reader.receive(stream)) < 0:
                check_request_beginning(reader)
                return reading
            head = parse_request(stream[:end])
            body = body_reader(head.framing, decode_chunked=False, error=BadRequestError)
            payload = body_reader(head.framing, decode_chunked=True, error=BadRequestError)
            coded, rest = body.receive(stream[end:])
            content, _ = payload.receive(stream[end:])
        except PxError:
            reading.end = End.REFUSES
            return reading
        if head.form not in {TargetForm.ABSOLUTE, TargetForm.AUTHORITY}:
            reading.end = End.REFUSES  # the request is for Px itself
            return reading
        if not body.is_complete:
            reading.end = End.WAITS_FOR_BODY
            return reading
        reading.add(head.method, head.target, content, head.pairs())
        host = head.authority.to_host_field(head.scheme)
        reading.sent.append(format_request(head, head.target, host=host) + coded)
        stream = rest
        if head.method == b"CONNECT" or not head.keep_alive:
            reading.end = End.STOPS
            return reading
    return reading


def read_with_h11(stream: bytes) -> Reading:
    reading = Reading()
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(stream)
    request = h11.Request(method=b"GET", target=b"/", headers=[(b"Host", b"a")])
    body = b""
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError:
            reading.end = End.REFUSES
            return reading
        if isinstance(event, h11.Request):
            request, body = event, b""
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            reading.add(request.method, request.target, body, request.headers.raw_items())
            if request.method == b"CONNECT" or not _begin_next(connection):
                reading.end = End.STOPS
                return reading
        else:
            is_in_body = connection.their_state is h11.SEND_BODY
            reading.end = End.WAITS_FOR_BODY if is_in_body else End.WAITS_FOR_HEAD
            return reading


def _begin_next(connection: h11.Connection) -> bool:
    connection.send(h11.Response(status_code=200, headers=[(b"Content-Length", b"0")]))
    connection.send(h11.EndOfMessage())
    if connection.states != {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}:
        return False
    connection.start_next_cycle()
    return True


class _LlhttpEvents:
    """Collects the callbacks of httptools. Trailers come as more fields, after the body."""

    def __init__(self) -> None:
        self.parser: httptools.HttpRequestParser | None = None
        self.reading = Reading()
        self.target = self.body = b""
        self.fields: list[tuple[bytes, bytes]] = []
        self.is_in_body = False

    def on_message_begin(self) -> None:
        self.target = self.body = b""
        self.fields = []

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.is_in_body:
            self.fields.append((name, value))

    def on_headers_complete(self) -> None:
        self.is_in_body = True

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        assert self.parser is not None
        self.is_in_body = False
        self.reading.add(self.parser.get_method(), self.target, self.body, self.fields)


def read_with_llhttp(stream: bytes) -> Reading:
    events = _LlhttpEvents()
    reading = events.reading
    events.parser = parser = httptools.HttpRequestParser(events)
    try:
        parser.feed_data(stream)
    except httptools.HttpParserInvalidMethodError:  # llhttp accepts a fixed list of methods
        reading.end = End.STOPS
    except httptools.HttpParserUpgrade:
        reading.end = End.STOPS
        if reading.seen[-1].method != b"CONNECT":  # llhttp leaves the body to the new protocol
            del reading.seen[-1], reading.fields[-1]
    except httptools.HttpParserError as error:
        is_closed = "close" in str(error).lower()
        reading.end = End.STOPS if is_closed else End.REFUSES
    else:
        reading.end = End.WAITS_FOR_BODY if events.is_in_body else End.WAITS_FOR_HEAD
    return reading
