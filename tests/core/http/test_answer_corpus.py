"""Generated answers of broken origins: all clients understand Px's output in the same way.

The corpus has heads and bodies with one or several faults each. Px must find the reading of a fault with one
reading, and refuse a fault with two. If Px accepts an answer, h11 and llhttp understand the client's bytes as
Px understood the answer: the same number of answers, the same status, fields and bodies.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import h11
import httptools
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from px.core.errors import PxError
from tests.core.http.oracles import OWS, Message, RefusedError, accepts, pass_answer_on, read_with_px

PAYLOADS = st.sampled_from(
    [b"", b"x", b"hello\n", b"\r\n\r\n", b"0\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"\n" * 20]
)
GOOD_FIELDS = st.sampled_from(
    [b"Server: a", b"X-Empty:", b"Set-Cookie: a=b; c", b"Set-Cookie: d=e", b'ETag: "x"', b"X-Obs: \xe9\xff"]
)
#: Lines with one reading, and the repaired form of each.
ODD_FIELDS = st.sampled_from(
    [
        (b"X-A : b", b"X-A: b"),
        (b"X-A\t:b", b"X-A:b"),
        (b"X-A: b\x01c", b"X-A: b c"),
        (b"X-A: \x1b[31m", b"X-A:  [31m"),
        (b"X-A: b\x7f", b"X-A: b "),
        (b"X-A: b\r\n c", b"X-A: b c"),
        (b"X-A:\r\n\t b\n c", b"X-A: b c"),
        (b"My Header: 1", b""),
        (b"X-\xc3\xa4: 1", b""),
        (b"X[0]: 1", b""),
        (b"X\x01: 1", b""),
        (b": 1", b""),
        (b"<!-- no field -->", b""),
        (b"X", b""),
        (b"My Header: 1\r\n 2", b""),
        (b"Content Length: 1", b""),
        (b"X Transfer-Encoding: chunked", b""),
    ]
)
AMBIGUOUS_FIELDS = st.sampled_from(
    [
        b"X-A: b\rc",
        b"X-A: b\r\r",
        b"X-A: b\0",
        b"X\0-A: b",
        b"Content-Length\x0b: 1",
        b"Content-Length\xa0: 1",
        b"\x00Transfer-Encoding: chunked",
        b"Transfer-Encoding\x0c: chunked",
        b"(Transfer-Encoding): chunked",
        b"X-A: b\r\n Content-Length: 1",
        b"Content-Length:\r\n 1",
        b"Transfer-Encoding:\n\tchunked",
        b"X-A: b\r\n\tTransfer-Encoding : chunked",
        b"HTTP/1.1 200 OK",
        b"http/1.0 204 x: y",
        b"Transfer-Encoding: gzip",
        b"Transfer-Encoding: chunked\x01",
        b"Content-Length: 1\x0b",
        b"Content-Length: 1, 2",
        b"Content-Length: 1\r\nContent-Length: 2",
    ]
)
VERSIONS = st.sampled_from(
    [b"HTTP/1.1"] * 4 + [b"HTTP/1.0", b"HTTP/1.2", b"http/1.1", b"HtTp/1.9", b"HTTP/1.1 "]
)
REASONS = st.sampled_from([b" OK", b" Not Found", b"", b" ", b" \xc3\xa4", b" a\x01b"])
SIZE_ENDS = st.sampled_from(
    [b"\r\n"] * 3 + [b"\n", b"  \r\n", b"\t\n", b";a\r\n", b" ; a = b\r\n", b";\n", b'; x="y\r\n']
)
ENDS = st.sampled_from([b"\r\n", b"\r\n", b"\n"])
TRAILERS = st.sampled_from([b"", b"", b"A: b\r\n", b"A: b\n", b"My Trailer\n", b"Content-Length: 5\r\n"])
IDENTITIES = st.sampled_from(
    [b"Transfer-Encoding: identity", b"Transfer-Encoding: , Identity", b"Transfer-Encoding:"]
)
DAMAGE = st.sampled_from(
    [bytes([octet]) for octet in range(256)] + [b"", b"\r\n", b"\n", b"\r", b" ", b":", b"\0"] * 9
)


@dataclass
class Answer:
    """An answer as it comes, and its meaning; `fields` without those about framing."""

    wire: bytes
    status: int
    fields: list[tuple[bytes, bytes]]
    payload: bytes
    ends_by_close: bool = False


def pair(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name, value.strip(OWS)


@st.composite
def chunked(draw: st.DrawFn, payload: bytes) -> bytes:
    """A payload in the chunked coding, with faults that clients accept."""
    coded = b""
    while payload:
        size = draw(st.integers(1, len(payload)))
        piece, payload = payload[:size], payload[size:]
        digits = draw(st.sampled_from([b"%x", b"%X", b"%04x"])) % size
        coded += digits + draw(SIZE_ENDS) + piece + draw(ENDS)
    return coded + b"0" + draw(SIZE_ENDS) + draw(TRAILERS) + draw(ENDS)


@st.composite
def framed(draw: st.DrawFn, payload: bytes) -> tuple[list[bytes], bytes, bool]:
    """The framing lines of a body, the body as it comes, and whether the close ends it."""
    length = b"Content-Length: %d" % len(payload)
    coding = b"Transfer-Encoding: chunked"
    identity = draw(IDENTITIES)
    lines = draw(
        st.sampled_from(
            [
                [length],
                [length, length],
                [length + b", %d" % len(payload)],
                [length.replace(b":", b" :")],
                [length, identity],
                [coding],
                [coding.upper()],
                [coding, length],
                [coding, b"Content-Length: 7"],
                [coding, b"Content-Length: x"],
                [b"Transfer-Encoding: identity, chunked"],
                [identity + b"\r\n" + coding],
                [b"transfer-encoding \t: chunked", length, length],
                [],
                [identity],
            ]
        )
    )
    if any(b"chunked" in line.lower() for line in lines):
        return lines, draw(chunked(payload)), False
    return lines, payload, not any(b"length" in line.lower() for line in lines)


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    """An answer with faults that have one reading each."""
    payload = draw(PAYLOADS)
    status = draw(st.sampled_from([200, 404, 299, 500]))
    good = [(line, line) for line in draw(st.lists(GOOD_FIELDS, max_size=3))]
    odd = draw(st.lists(ODD_FIELDS, max_size=2))
    framing, body, ends_by_close = draw(framed(payload))
    lines = draw(st.permutations([*good, *odd, *((line, b"") for line in framing)]))
    wire = draw(VERSIONS) + b" %d" % status + draw(REASONS) + draw(ENDS)
    wire += b"".join(line + draw(ENDS) for line, _ in lines) + draw(ENDS) + body
    return Answer(wire, status, [pair(left) for _, left in lines if left], payload, ends_by_close)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    wire = draw(answers()).wire
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(wire)))
        wire = wire[:at] + draw(DAMAGE) + wire[at + draw(st.integers(0, 2)) :]
    return wire


def without_framing(fields: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [each for each in fields if each[0].lower() not in (b"content-length", b"transfer-encoding")]


@dataclass
class Llhttp:
    """Collects the answers of a stream."""

    messages: list[Message] = field(default_factory=list)
    is_in_body: bool = False

    def on_message_begin(self) -> None:
        self.messages.append(Message([b"", b""], []))
        self.is_in_body = False

    def on_status(self, status: bytes) -> None:
        self.messages[-1].start[1] += status

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.is_in_body:
            self.messages[-1].fields.append((name, value.strip(OWS)))

    def on_headers_complete(self) -> None:
        self.is_in_body = True

    def on_body(self, body: bytes) -> None:
        self.messages[-1].body += body

    def on_message_complete(self) -> None:
        self.messages[-1].is_complete = True


def stream_with_llhttp(stream: bytes) -> list[Message]:
    events = Llhttp()
    httptools.HttpResponseParser(events).feed_data(stream)
    return [Message([each.start[1]], each.fields, each.body) for each in events.messages]


def stream_with_h11(stream: bytes) -> list[Message]:
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    messages: list[Message] = []
    connection.receive_data(stream)
    connection.receive_data(b"")
    while True:
        if connection.states == {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}:
            if not connection.trailing_data[0]:
                return messages
            connection.start_next_cycle()
        if connection.our_state is h11.IDLE:
            connection.send(h11.Request(method=b"GET", target=b"/", headers=[(b"Host", b"a")]))
            connection.send(h11.EndOfMessage())
        read = connection.next_event()
        if isinstance(read, h11.Response):
            messages.append(Message([b"%d" % read.status_code, read.reason], read.headers.raw_items()))
        elif isinstance(read, h11.Data):
            messages[-1].body += bytes(read.data)
        elif isinstance(read, h11.EndOfMessage):
            messages[-1].is_complete = True
        else:
            return messages


def check_stream(wires: list[bytes]) -> None:
    """Both readers must understand the client's bytes as Px understood the answers."""
    sent = [pass_answer_on(wire) for wire in wires]
    meant = [read_with_px(each, answers=b"GET") for each in sent]
    stream = b"".join(sent)
    assert stream_with_h11(stream) == meant
    reasons = [Message(each.start[1:], each.fields, each.body) for each in meant]
    assert stream_with_llhttp(stream) == reasons
    for raw, each in zip(wires, meant, strict=True):
        ours = read_with_px(raw, answers=b"GET")
        assert (each.start, each.body, each.is_complete) == (ours.start, ours.body, ours.is_complete)


@settings(deadline=None)
@given(st.lists(answers(), min_size=1, max_size=3))
def test_faults_with_one_reading_are_repaired_and_read_alike_by_all(corpus: list[Answer]) -> None:
    for each in corpus:
        message = read_with_px(each.wire, answers=b"GET")
        assert (int(message.start[0]), message.body, message.is_complete) == (each.status, each.payload, True)
        assert without_framing(message.fields) == each.fields
    last = next((at for at, each in enumerate(corpus) if each.ends_by_close), len(corpus)) + 1
    check_stream([each.wire for each in corpus[:last]])


@settings(deadline=None)
@given(answers(), AMBIGUOUS_FIELDS, st.integers(0, 9), ENDS)
def test_a_field_with_two_readings_is_refused(each: Answer, line: bytes, place: int, end: bytes) -> None:
    head_end = min(at for at in (each.wire.find(b"\n\n"), each.wire.find(b"\n\r\n")) if at >= 0)
    ends = [at + 1 for at, octet in enumerate(each.wire[: head_end + 1]) if octet == ord("\n")]
    at = ends[place % len(ends)]
    if each.wire[at : at + 1] in (b" ", b"\t"):
        event("it would cut a folded field")
        return
    assert not accepts(read_with_px, each.wire[:at] + line + end + each.wire[at:], answers=b"GET")


@settings(deadline=None)
@given(damaged())
def test_all_readers_agree_about_an_accepted_answer(wire: bytes) -> None:
    try:
        message = read_with_px(wire, answers=b"GET")
    except (RefusedError, PxError):
        event("refused")
        return
    event("accepted" if message.is_complete else "cut")
    if message.start[0][:1] != b"1" and message.is_complete:
        check_stream([wire])


@pytest.mark.parametrize("status", [b"100", b"199", b"204", b"304"])
def test_all_readers_agree_about_an_answer_without_a_body(status: bytes) -> None:
    wire = b"HTTP/1.1 " + status + b"\nContent-Length : 5\nTransfer-Encoding: chunked\nA b: c\n\n"
    sent = pass_answer_on(wire)
    assert sent.startswith(b"HTTP/1.1 " + status)
    (read,) = stream_with_llhttp(sent)
    assert read.body == b""
