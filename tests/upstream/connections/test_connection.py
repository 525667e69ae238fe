"""Answer heads that arrive in pieces of any size."""

from __future__ import annotations

from typing import cast

import pytest

from px.core.errors import BadResponseError
from px.core.http import response_head
from px.io.stream import Stream
from px.upstream.connections.connection import Connection, Hop

HOP = Hop("origin origin.test:80", "direct origin.test:80", "origin.test", 80)


class StreamOfPieces:
    """A stream that returns the given pieces, then waits without end."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = [*pieces]

    async def read(self) -> bytes:
        if not self._pieces:
            raise TimeoutError
        return self._pieces.pop(0)

    def unread(self, data: bytes) -> None:
        self._pieces.insert(0, data)

    @property
    def rest(self) -> bytes:
        return b"".join(self._pieces)


def connection(*pieces: bytes) -> tuple[Connection, StreamOfPieces]:
    stream = StreamOfPieces(*pieces)
    return Connection(cast("Stream", stream), HOP), stream


def octets(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


HEADS = [
    b"HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\n\r\n",
    b"HTTP/1.1 200 OK\nA: b\nC: d\n\n",
    b"HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\n",
    b"HTTP/1.1 200 OK\nA: b\r\nC: d\n\r\n",
    b"HTTP/1.1 200 OK\r\nA : b\r\nC:\n d\r\n\n",
    b"HTTP/1.1 200 OK\r\n X\nA: b\n\r: x\nC: d\n\n".replace(b"\r:", b":"),
]


@pytest.mark.parametrize("rest", [b"", b"\r\n\r\n", b"\n\nbody", b"\nHTTP/1.1 200 OK\r\n\r\n"])
@pytest.mark.parametrize("head", HEADS)
async def test_a_head_can_be_split_at_any_byte(head: bytes, rest: bytes) -> None:
    wire = head + rest
    cuts = [[wire[:at], wire[at:]] for at in range(1, len(wire))]
    cuts += [[wire[:at], wire[at : at + 1], wire[at + 1 :]] for at in range(1, len(wire) - 1)]
    for pieces in (*cuts, [wire], octets(wire)):
        hop, stream = connection(*filter(None, pieces))
        parsed = await hop.read_response(b"GET")
        assert [value.strip() for _, value in parsed.pairs()] == [b"b", b"d"]
        assert stream.rest == rest


@pytest.mark.parametrize("head", HEADS)
async def test_reading_a_head_continues_after_a_timeout(head: bytes) -> None:
    for at in range(1, len(head)):
        hop, stream = connection(head[:at])
        with pytest.raises(TimeoutError):
            await hop.read_response(b"GET")
        stream._pieces.append(head[at:])
        assert (await hop.read_response(b"GET")).status == 200


@pytest.mark.parametrize(
    "beginning",
    [
        b"X",
        b"HTTQ",
        b"\r\nHTTP/1.1",
        b"HTTP/1.1 200 OK\rX",
        b"HTTP/1.1 200 OK\r\r",
        b"HTTP/1.1 200 OK\r\nA: b\rC",
        b"HTTP/1.1 200 OK\nA: b\r\r\n",
    ],
)
async def test_bytes_that_cannot_begin_an_answer_are_refused_at_once(beginning: bytes) -> None:
    for pieces in ([beginning], octets(beginning)):
        hop, _ = connection(*pieces)
        with pytest.raises(BadResponseError):
            await hop.read_response(b"GET")


async def test_each_byte_of_a_head_that_arrives_byte_by_byte_is_searched_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked_at = 0
    find_end = response_head.find_response_end

    def find_and_count(buffer: bytearray, start: int = 0) -> int:
        nonlocal looked_at
        looked_at += len(buffer) - start
        return find_end(buffer, start)

    monkeypatch.setattr(response_head, "find_response_end", find_and_count)
    head = b"HTTP/1.1 200 OK\r\nA: " + b"b" * 60_000 + b"\r\n\r\n"
    hop, _ = connection(*octets(head))
    assert (await hop.read_response(b"GET")).status == 200
    assert len(head) <= looked_at <= 5 * len(head)
