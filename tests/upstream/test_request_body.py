"""A request's body: streamed, and kept for a replay up to a limit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest

from px.core.errors import BadRequestError
from px.core.http.framing import NO_BODY, Framing, FramingKind
from px.io.io_loop import IoLoop
from px.io.relay import BrokenStreamError
from px.io.stream import Stream
from px.upstream import request_body
from px.upstream.request_body import REPLAY_BYTES, RequestBody
from tests.io.pairs import open_pair, reset_while_it_reads
from tests.scripted_upstream import Wire

CHUNKED = Framing(FramingKind.CHUNKED)


class Bench(NamedTuple):
    io_loop: IoLoop
    client: Stream
    from_client: Wire
    hop: Stream
    to_hop: Wire

    def body(self, framing: Framing | int) -> RequestBody:
        if isinstance(framing, int):
            framing = Framing(FramingKind.LENGTH, framing)
        return RequestBody(self.client, framing, self.io_loop)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    io_loop = IoLoop()
    client, from_client = open_pair(io_loop)
    hop, to_hop = open_pair(io_loop)
    with from_client, to_hop:
        async with asyncio.timeout(5):
            yield Bench(io_loop, client, from_client, hop, to_hop)
    client.close()
    hop.close()


async def test_a_missing_body_is_complete_and_small(bench: Bench) -> None:
    body = bench.body(NO_BODY)
    assert (body.is_empty, body.is_complete, body.is_small, body.can_replay) == (True,) * 4


async def test_a_body_that_arrived_with_the_head_is_ready_and_later_bytes_stay_unread(bench: Bench) -> None:
    bench.client.unread(b"abcdef")
    body = bench.body(3)
    assert body.take_ready() == b"abc"
    assert body.take_ready() == b"abc"
    assert body.is_complete
    assert bench.client.take_unread() == b"def"


async def test_an_incomplete_body_is_not_ready(bench: Bench) -> None:
    bench.client.unread(b"ab")
    body = bench.body(3)
    assert body.take_ready() is None
    assert repr(body) == "<RequestBody length 2 bytes read, coming>"


async def test_a_complete_chunked_body_is_small(bench: Bench) -> None:
    bench.client.unread(b"1\r\na\r\n0\r\n\r\n")
    body = bench.body(CHUNKED)
    assert not body.is_small
    assert body.take_ready() == b"1\r\na\r\n0\r\n\r\n"
    assert body.is_small


async def test_a_body_is_sent_and_can_be_sent_again(bench: Bench) -> None:
    body = bench.body(6)
    bench.client.unread(b"abc")
    sending = asyncio.create_task(body.send_to(bench.hop))
    await bench.to_hop.expect(b"abc")
    await bench.from_client.send(b"defnext")
    await bench.to_hop.expect(b"def")
    await sending
    assert body.can_replay
    await body.send_to(bench.hop)
    await bench.to_hop.expect(b"abcdef")
    assert await bench.client.read() == b"next"


async def test_an_interrupted_body_is_sent_again_without_loss(bench: Bench) -> None:
    body = bench.body(6)
    sending = asyncio.create_task(body.send_to(bench.hop))
    await bench.from_client.send(b"abc")
    await bench.to_hop.expect(b"abc")
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    await bench.from_client.send(b"def")
    await body.send_to(bench.hop)
    await bench.to_hop.expect(b"abcdef")


@pytest.mark.parametrize("kind", ["length", "chunked"])
async def test_a_long_body_is_forwarded_whole_and_not_kept(bench: Bench, kind: str) -> None:
    payload = bytes(range(256)) * (REPLAY_BYTES // 256 * 4)
    wire = payload if kind == "length" else b"%x\r\n%b\r\n0\r\n\r\n" % (len(payload), payload)
    body = bench.body(len(payload) if kind == "length" else CHUNKED)
    assert not body.is_small
    sending = asyncio.create_task(body.send_to(bench.hop))
    feeding = asyncio.create_task(bench.from_client.send(wire + b"next"))
    is_whole = await bench.to_hop.read_exactly(len(wire)) == wire
    assert is_whole
    await sending
    await feeding
    assert body.is_complete
    assert not body.can_replay
    assert await bench.client.read() == b"next"


@pytest.mark.parametrize("size", [10, REPLAY_BYTES * 2])
async def test_a_body_that_ends_too_early_is_a_bad_request(bench: Bench, size: int) -> None:
    body = bench.body(size)
    sending = asyncio.create_task(body.send_to(bench.hop))
    await bench.from_client.send(bytes(size // 2))
    bench.from_client.half_close()
    with pytest.raises(BadRequestError, match="closed"):
        await sending


async def test_a_bad_chunk_is_a_bad_request(bench: Bench) -> None:
    body = bench.body(CHUNKED)
    await bench.from_client.send(b"zz\r\n")
    with pytest.raises(BadRequestError):
        await body.send_to(bench.hop)


async def test_the_error_names_the_side_that_broke(bench: Bench) -> None:
    sending = asyncio.create_task(bench.body(10).send_to(bench.hop))
    await reset_while_it_reads(bench.client, bench.from_client)
    with pytest.raises(BrokenStreamError) as caught:
        await sending
    assert caught.value.stream is bench.client


async def test_the_error_names_a_hop_that_broke(bench: Bench) -> None:
    bench.hop.close()
    await bench.from_client.send(b"abc")
    with pytest.raises(BrokenStreamError) as caught:
        await bench.body(10).send_to(bench.hop)
    assert caught.value.stream is bench.hop


async def test_px_gives_up_a_client_that_stalls(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_body, "STALL_SECONDS", 0.05)
    with pytest.raises(BrokenStreamError) as caught:
        await bench.body(10).send_to(bench.hop)
    assert isinstance(caught.value.error, TimeoutError)


async def test_the_body_reports_that_it_was_read_completely(bench: Bench) -> None:
    told: list[str] = []
    bench.body(NO_BODY).call_when_read(lambda: told.append("empty"))
    body = bench.body(3)
    body.call_when_read(lambda: told.append("read"))
    assert told == ["empty"]
    await bench.from_client.send(b"abc")
    await body.send_to(bench.hop)
    assert told == ["empty", "read"]
