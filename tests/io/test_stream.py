"""The common contract of both kinds of stream: one waits for descriptors, one for completions."""

from __future__ import annotations

import asyncio
import socket
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import pytest

from px.io.completion_stream import FIRST_READ_BYTES, CompletionStream
from px.io.io_loop import IoLoop
from px.io.socket_stream import open_stream
from px.io.stream import READ_BYTES
from tests.io.pairs import KIND, KINDS, StreamKind, open_pair, reset_while_it_reads, stall, tcp_pair
from tests.scripted_upstream import Wire, until

Pair = tuple[Any, Wire]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
async def pair(request: pytest.FixtureRequest) -> AsyncIterator[Pair]:
    kind: StreamKind = request.param
    stream, wire = open_pair(IoLoop(), kind)
    with wire:
        async with asyncio.timeout(5):
            yield stream, wire
            stream.close()
            await asyncio.sleep(0)


async def test_read_returns_bytes_and_an_empty_result_at_the_end(pair: Pair) -> None:
    stream, wire = pair
    await wire.send(b"abc")
    assert await stream.read() == b"abc"
    wire.half_close()
    assert await stream.read() == b""
    assert await stream.read() == b""
    assert stream.has_ended()


async def test_read_waits_for_bytes(pair: Pair) -> None:
    stream, wire = pair
    reading = asyncio.create_task(stream.read())
    await asyncio.sleep(0)
    assert not reading.done()
    await wire.send(b"abc")
    assert await reading == b"abc"


async def test_unread_bytes_come_first_and_in_order(pair: Pair) -> None:
    stream, wire = pair
    await wire.send(b"later")
    stream.unread(b"second")
    stream.unread(b"first ")
    stream.unread(b"")
    assert await stream.read() == b"first second"
    assert await stream.read() == b"later"


async def test_take_unread_does_not_wait(pair: Pair) -> None:
    stream, _ = pair
    stream.unread(b"abc")
    assert stream.take_unread() == b"abc"
    assert stream.take_unread() == b""


async def test_write_returns_when_the_kernel_has_all_bytes(pair: Pair) -> None:
    stream, wire = pair
    data = bytes(range(256)) * 20_000
    writing = asyncio.create_task(stream.write(data))
    assert await wire.read_exactly(len(data)) == data
    await writing


async def test_a_write_that_the_peer_does_not_read_times_out(pair: Pair) -> None:
    stream, wire = pair
    stall(wire)
    stream.deadline = asyncio.get_running_loop().time() + 0.05
    with pytest.raises(TimeoutError):
        await stream.write(bytes(20_000_000))


async def test_a_read_times_out_and_the_next_one_loses_nothing(pair: Pair) -> None:
    stream, wire = pair
    stream.deadline = asyncio.get_running_loop().time() + 0.02
    with pytest.raises(TimeoutError):
        await stream.read()
    await wire.send(b"late")
    stream.deadline = float("inf")
    assert await stream.read() == b"late"


async def test_a_cancelled_read_loses_nothing(pair: Pair) -> None:
    stream, wire = pair
    for turn in range(5):
        reading = asyncio.create_task(stream.read())
        await asyncio.sleep(0)
        await wire.send(b"%d" % turn)
        for _ in range(turn):  # the bytes come before, while and after the reader is cancelled
            await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait([reading])
        got = await stream.read() if reading.cancelled() else reading.result()
        assert got == b"%d" % turn


async def test_closing_ends_a_pending_read(pair: Pair) -> None:
    stream, _ = pair
    reading = asyncio.create_task(stream.read())
    await asyncio.sleep(0)
    stream.close()
    with pytest.raises(ConnectionAbortedError):
        await reading
    assert stream.is_closed


async def test_closing_ends_a_pending_write(pair: Pair) -> None:
    stream, wire = pair
    stall(wire)
    writing = asyncio.create_task(stream.write(bytes(20_000_000)))
    await asyncio.sleep(0.01)
    stream.close()
    with pytest.raises(OSError, match=r".+"):
        await writing


async def test_a_closed_stream_neither_reads_nor_writes(pair: Pair) -> None:
    stream, _ = pair
    stream.close()
    stream.close()
    with pytest.raises(ConnectionAbortedError):
        await stream.read()
    with pytest.raises(ConnectionAbortedError):
        await stream.write(b"abc")
    assert "closed" in repr(stream)


async def test_a_half_closed_stream_still_reads(pair: Pair) -> None:
    stream, wire = pair
    await stream.write(b"question")
    await stream.write_eof()
    assert await wire.read_to_end() == b"question"
    await wire.send(b"answer")
    assert await stream.read() == b"answer"


async def test_a_reset_is_an_error(pair: Pair) -> None:
    stream, wire = pair
    reading = asyncio.create_task(stream.read())
    await reset_while_it_reads(stream, wire)
    with pytest.raises(ConnectionResetError):
        await reading


async def test_a_watched_idle_stream_reports_input_once_and_keeps_it(pair: Pair) -> None:
    stream, wire = pair
    reports: list[bool] = []
    stream.on_idle_input = lambda: reports.append(stream.has_ended())
    stream.watch_idle()
    await wire.send(b"unasked")
    await until(lambda: bool(reports))
    await wire.send(b" again")
    await asyncio.sleep(0.01)
    assert reports == [False]
    got = await stream.read()
    while len(got) < len(b"unasked again"):
        got += await stream.read()
    assert got == b"unasked again"


async def test_a_watched_idle_stream_reports_its_end(pair: Pair) -> None:
    stream, wire = pair
    reports: list[bool] = []
    stream.on_idle_input = lambda: reports.append(stream.has_ended())
    stream.watch_idle()
    wire.close()
    await until(lambda: bool(reports))
    assert reports == [True]


async def test_a_watched_idle_stream_reports_a_reset_as_its_end(pair: Pair) -> None:
    stream, wire = pair
    reports: list[bool] = []
    stream.on_idle_input = lambda: reports.append(stream.has_ended())
    stream.watch_idle()
    wire.reset()
    await until(lambda: bool(reports))
    assert reports == [True]


async def test_input_is_reported_while_a_write_waits(pair: Pair) -> None:
    stream, wire = pair
    reports: list[bool] = []
    writing = asyncio.create_task(stream.write(bytes(20_000_000)))
    stream.on_idle_input = lambda: reports.append(stream.has_ended())
    stream.watch_idle()
    await asyncio.sleep(0)
    wire.half_close()
    await until(lambda: bool(reports))
    assert reports == [True]
    assert not writing.done()
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)


async def test_an_answer_before_a_reset_can_still_be_read() -> None:
    """Windows discards bytes that no receive has taken when a reset comes."""
    stream, wire = open_pair(IoLoop(), CompletionStream)
    assert isinstance(stream, CompletionStream)
    with wire:
        await stream.write(b"question")
        await wire.expect(b"question")
        await wire.send(b"no")
        await until(lambda: stream._receiving is not None and stream._receiving.done())
        wire.reset()
        assert await stream.read() == b"no"
        stream.close()


async def test_watching_a_stream_with_unread_bytes_reports_at_once(pair: Pair) -> None:
    stream, _ = pair
    reports: list[bool] = []
    stream.unread(b"glued")
    stream.on_idle_input = lambda: reports.append(stream.has_ended())
    stream.watch_idle()
    assert reports == [False]


async def test_a_stream_that_is_open_has_not_ended(pair: Pair) -> None:
    stream, wire = pair
    assert not stream.has_ended()
    await wire.send(b"abc")
    await asyncio.sleep(0.01)
    assert not stream.has_ended()


async def test_a_stream_with_something_to_read_is_not_quiet(pair: Pair) -> None:
    stream, wire = pair
    assert stream.is_quiet()
    await wire.send(b"abc")
    await until(lambda: not stream.is_quiet())
    assert await stream.read() == b"abc"
    assert stream.is_quiet()
    wire.half_close()
    await until(lambda: not stream.is_quiet())
    assert stream.has_ended()


async def test_a_pending_read_uses_little_memory_until_many_bytes_arrive() -> None:
    stream, wire = open_pair(IoLoop(), CompletionStream)
    data = bytes(2_000_000)
    tracemalloc.start()
    with wire:
        reading = asyncio.create_task(stream.read())
        await asyncio.sleep(0.01)
        assert tracemalloc.get_traced_memory()[1] < READ_BYTES / 4
        tracemalloc.stop()
        sending = asyncio.create_task(wire.send(data))
        pieces = [await reading]
        while sum(map(len, pieces)) < len(data):
            pieces.append(await stream.read())
        await sending
        assert max(map(len, pieces)) > FIRST_READ_BYTES
        stream.close()
        await asyncio.sleep(0)


async def test_a_read_after_a_watch_gets_the_bytes(pair: Pair) -> None:
    stream, wire = pair
    stream.on_idle_input = None
    stream.watch_idle()
    reading = asyncio.create_task(stream.read())
    await asyncio.sleep(0)
    await wire.send(b"abc")
    assert await reading == b"abc"


async def test_reading_and_writing_go_on_at_the_same_time(pair: Pair) -> None:
    stream, wire = pair
    data = bytes(5_000_000)
    writing = asyncio.create_task(stream.write(data))
    await wire.send(b"meanwhile")
    assert await stream.read() == b"meanwhile"
    assert not writing.done()
    assert await wire.read_exactly(len(data)) == data
    await writing


async def test_a_stream_that_is_not_read_applies_back_pressure(pair: Pair) -> None:
    stream, wire = pair
    stream.on_idle_input = None
    stream.watch_idle()
    sending = asyncio.create_task(wire.send(bytes(50_000_000)))
    await asyncio.sleep(0.1)
    assert not sending.done()
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)


async def test_small_writes_are_not_delayed(pair: Pair) -> None:
    stream, _ = pair
    assert stream.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_the_kind_of_stream_depends_on_the_loop() -> None:
    near, far = tcp_pair()
    with far:
        stream = open_stream(near, IoLoop(), "127.0.0.1:9")
        assert isinstance(stream, KIND)
        assert stream.peer == "127.0.0.1:9"
        stream.close()


async def test_a_loop_that_completes_operations_gets_the_completion_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Now the running loop counts as one that completes operations.
    monkeypatch.setattr(asyncio, "SelectorEventLoop", CompletionStream)
    near, far = tcp_pair()
    with far:
        stream = open_stream(near, IoLoop())
        assert isinstance(stream, CompletionStream)
        stream.close()
