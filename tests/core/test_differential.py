"""Px's parser against two others: h11, and llhttp (Node's) through httptools.

Two rules. What Px accepts, both accept with the same meaning: so nothing that Px forwards is read otherwise
by the next hop. And where Px refuses what one of them accepts, the case is listed here with the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import h11
import httptools
import pytest
from hypothesis import event, example, given
from hypothesis import strategies as st

from px.core.errors import BadRequestError, BadResponseError, PxError
from px.core.framing import body_reader
from px.core.head import find_head_end, parse_request, parse_response

OWS = b" \t"


@dataclass
class Message:
    """What a message means."""

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
    """A parser does not accept a message."""


class UnknownMethodError(RefusedError):
    """llhttp knows a list of methods; RFC 9110 9.1 does not limit them."""


@dataclass
class LlhttpEvents:
    """Collects what httptools calls back. Trailers come as more fields, after the body."""

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
    end = find_head_end(wire)
    if end < 0:
        raise RefusedError
    try:
        if answers is None:
            request = parse_request(wire[:end])
            message = Message(
                [request.method, request.target, b"1.%d" % request.minor_version], request.pairs()
            )
            body = body_reader(request.framing, decode_chunked=True, error=BadRequestError)
        else:
            response = parse_response(wire[:end], answers)
            message = Message([b"%d" % response.status, response.reason], response.pairs())
            body = body_reader(response.framing, decode_chunked=True, error=BadResponseError)
        message.body, rest = body.receive(wire[end:])
        if not rest:
            body.receive_eof()
    except PxError as error:
        raise RefusedError from error
    if rest:
        raise RefusedError  # it may be a good message, but this is about one
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
        # It stops after the head: a tunnel or an upgrade begins, if the other side agrees.
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


METHODS = st.sampled_from([b"GET", b"POST", b"PUT", b"OPTIONS", b"DELETE", b"PROPFIND", b"HEAD"])
TARGETS = st.sampled_from(
    [
        b"http://a.example/",
        b"/",
        b"/p?q=1&r=%20",
        b"http://a.example:81/x",
        b"http://[::1]:8080/",
        b"http://a/?b",
        b"HTTP://A/~x!$'()*+,;=:@-._",
        b'/{"a"}|^`\\',
        b"ftp://a/x",
    ]
)
FIELD_LINES = st.sampled_from(
    [
        b"Accept: */*",
        b"X-Empty:",
        b"x-a:\tb ",
        b"X-Obs: \xe9\xff",
        b"Cookie: a=b; c=d",
        b"COOKIE: e",
        b"!#$%&'*+-.^_`|~: 1",
        b"Connection: close",
        b"Connection: keep-alive",
        b"Proxy-Connection: keep-alive",
        b"Expect: 100-continue",
        b"Trailer: a",
        b"TE: trailers",
        b"Via: 1.1 a",
        b"Keep-Alive: timeout=5",
        b"Upgrade: websocket",
    ]
)
BODIES = st.sampled_from(
    [([], b"")] * 2
    + [
        ([b"Content-Length: 0"], b""),
        ([b"content-length: 3"], b"abc"),
        ([b"Content-Length: 012"], b"012345678901"),
    ]
    + [
        ([b"Transfer-Encoding: chunked"], body)
        for body in (b"0\r\n\r\n", b"3\r\nabc\r\n00A\r\n0123456789\r\n0\r\n\r\n")
    ]
    + [([b"transfer-encoding: CHUNKED"], b'1;a;b=c;d="e"\r\nx\r\n0\r\nA: b\r\nC:\r\n\r\n')]
)
OCTETS = st.sampled_from(
    [bytes([octet]) for octet in range(256)] + [b"\r\n", b" ", b"\t", b":", b",", b"0", b"\r\n "] * 8
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    extra, body = draw(BODIES)
    version = draw(st.sampled_from([b"HTTP/1.1"] * 4 + [b"HTTP/1.0"]))
    lines = [b"Host: a.example", *draw(st.lists(FIELD_LINES, max_size=4)), *extra]
    start = b" ".join((draw(METHODS), draw(TARGETS), version))
    return b"\r\n".join((start, *draw(st.permutations(lines)), b"", body))


@st.composite
def responses(draw: st.DrawFn) -> bytes:
    extra, body = draw(BODIES)
    start = draw(
        st.sampled_from([b"HTTP/1.1 200 OK", b"HTTP/1.1 404 ", b"HTTP/1.0 299 a b", b"HTTP/1.1 500 \xe9"])
    )
    lines = [*draw(st.lists(FIELD_LINES.filter(lambda line: b"Upgrade" not in line), max_size=4)), *extra]
    return b"\r\n".join((start, *draw(st.permutations(lines)), b"", body))


@st.composite
def damaged(draw: st.DrawFn, messages: st.SearchStrategy[bytes]) -> bytes:
    """A message in which a few octets are replaced, added or missing."""
    wire = draw(messages)
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(wire)))
        wire = wire[:at] + draw(st.one_of(st.just(b""), OCTETS)) + wire[at + draw(st.integers(0, 2)) :]
    return wire


@given(damaged(requests()))
@example(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
@example(b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n")
@example(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
def test_a_request_that_px_accepts_means_the_same_to_others(wire: bytes) -> None:
    try:
        ours = read_with_px(wire)
    except RefusedError:
        event("refused")
        return
    event("accepted")
    wire = wire.lstrip(b"\r\n")  # RFC 9112 2.2 lets empty lines pass, h11 does not; Px does not send them on
    assert read_with_h11(wire) == ours
    try:
        assert read_with_llhttp(wire) == ours
    except UnknownMethodError:
        event("unknown to llhttp")


def repaired(wire: bytes) -> bytes:
    """A response with the repairs that Px makes; they are for the next reader."""
    end = find_head_end(wire)
    return (
        wire[: wire.index(b"\r\n")]
        + b"\r\n"
        + parse_response(wire[:end], b"GET").block
        + b"\r\n"
        + wire[end:]
    )


@given(damaged(responses()))
@example(b"HTTP/1.1 200 OK\r\n\r\nuntil close")
@example(b"HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx")
def test_a_response_that_px_accepts_means_the_same_to_others(wire: bytes) -> None:
    try:
        ours = read_with_px(wire, answers=b"GET")
    except RefusedError:
        event("refused")
        return
    event("accepted")
    wire = repaired(wire)
    assert read_with_h11(wire, answers=b"GET") == ours
    theirs = read_with_llhttp(wire, answers=b"GET")
    theirs.is_complete = True  # it is not told that the connection is closed
    assert theirs == ours


def request(*lines: bytes, line: bytes = b"GET / HTTP/1.1", body: bytes = b"") -> bytes:
    return b"\r\n".join((line, b"Host: a", *lines, b"", body))


CHUNKED = b"Transfer-Encoding: chunked"
H11, LLHTTP = "h11", "llhttp"


@pytest.mark.parametrize(
    ("wire", "accepted_by", "why"),
    [
        (request(b"Content-Length: 3", CHUNKED, body=b"0\r\n\r\n"), {H11}, "one of two lengths is wrong"),
        (request(b"Content-Length: 3", b"Content-Length: 3", body=b"abc"), {H11}, "who sends two is odd"),
        (request(b"Content-Length: 3, 3", body=b"abc"), {H11}, "others read the first three digits"),
        (request(b"Content-Length: 3", b"Content-Length: 4", body=b"abc"), set(), "it is in every list"),
        (b"GET / HTTP/1.1\nHost: a\n\n", {H11}, "RFC 9112 2.2 allows it; others do not end lines there"),
        (request(b"A: b\r\n c"), {H11}, "RFC 9112 5.2 lets a proxy refuse it"),
        (
            request(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
            {LLHTTP},
            "nobody would decode gzip",
        ),
        (
            request(CHUNKED, line=b"PUT / HTTP/1.0", body=b"0\r\n\r\n"),
            {H11, LLHTTP},
            "RFC 9112 6.1: it is faulty",
        ),
        (b"GET http://a/ HTTP/1.1\r\n\r\n", {LLHTTP}, "RFC 9112 3.2 wants a Host"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", {LLHTTP}, "RFC 9112 3.2 wants one Host"),
        (b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", {H11, LLHTTP}, "that is no host"),
        (b"GET / HTTP/1.1\r\nHost: a:0\r\n\r\n", {H11, LLHTTP}, "nobody listens there"),
        (request(line=b"GET http://u:p@a/ HTTP/1.1"), {H11, LLHTTP}, "RFC 9110 4.2.4 deprecates it"),
        (request(line=b"GET /#x HTTP/1.1"), {H11, LLHTTP}, "a fragment is never sent"),
        (request(line=b"GET http://127.1/ HTTP/1.1"), {H11, LLHTTP}, "it walks around rules about addresses"),
        (request(line=b"GET * HTTP/1.1"), {H11, LLHTTP}, "RFC 9112 3.2.4: for OPTIONS"),
        (request(line=b"GET a HTTP/1.1"), {H11}, "it is of no form"),
        (request(line=b"GET / HTTP/2.0"), {H11, LLHTTP}, "it is another protocol"),
        (request(b"Expect: x"), {H11, LLHTTP}, "RFC 9110 10.1.1 lets us say so"),
        (
            request(b"Content-Length: 1", line=b"CONNECT a:1 HTTP/1.1", body=b"x"),
            {H11, LLHTTP},
            "RFC 9110 9.3.6",
        ),
        (request(CHUNKED, body=b"0 \r\n\r\n"), {H11}, "RFC 9112 7.1 has no white space there"),
        (request(CHUNKED, body=b"0 ;a\r\n\r\n"), set(), "RFC 9112 7.1.1 has it there, only"),
        (request(CHUNKED, body=b"0;\x80\r\n\r\n"), {H11}, "an extension has a name"),
        (request(CHUNKED, body=b"0\n\n"), set(), "lines end with CRLF"),
        (request(CHUNKED, body=b"0" * 17 + b"\r\n\r\n"), {H11, LLHTTP}, "some count the digits"),
        (request(b"A : b"), set(), "RFC 9112 5.1"),
        (request(b"A: \x00"), set(), "RFC 9110 5.5"),
        (request(b"A: \x01"), {H11}, "RFC 9110 5.5 lets us refuse it"),
        (request(b"Content-Length: +3", body=b"abc"), set(), "it is no number"),
    ],
)
def test_what_px_refuses_though_others_may_not(wire: bytes, accepted_by: set[str], why: str) -> None:
    assert not accepts(read_with_px, wire), why
    readers = {H11: read_with_h11, LLHTTP: read_with_llhttp}
    assert {name for name, read in readers.items() if accepts(read, wire)} == accepted_by, why


@pytest.mark.parametrize(
    ("wire", "accepted_by", "why"),
    [
        (b"HTTP/1.1 200 OK\r\nA : b\r\nContent-Length: 0\r\n\r\n", set(), "RFC 9112 5.1: a proxy repairs it"),
        (
            b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n",
            {H11},
            "RFC 9112 5.2: a proxy repairs it",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\nx", {H11}, "RFC 9112 6.3 allows it"),
    ],
)
def test_what_px_repairs_in_a_response_though_others_may_not(
    wire: bytes, accepted_by: set[str], why: str
) -> None:
    assert accepts(read_with_px, wire, answers=b"GET"), why
    readers = {H11: read_with_h11, LLHTTP: read_with_llhttp}
    assert {name for name, read in readers.items() if accepts(read, wire, answers=b"GET")} == accepted_by, why
