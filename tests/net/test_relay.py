"""Tunnels and bodies: both ways of carrying bytes, by callbacks and by reads, keep one contract."""

from __future__ import annotations

import asyncio
import socket
import tracemalloc
from collections.abc import AsyncIterator

import pytest

from px.net.completion_stream import CompletionStream
from px.net.io_loop import IoLoop
from px.net.relay import Activity, BrokenStreamError, copy
from px.net.socket_stream import SocketStream
from tests.net.pairs import KINDS, Both, StreamKind, open_pair, relay, reset_while_it_reads, stall

PAIRS = KINDS if len(KINDS) == 1 else [*KINDS, "mixed"]


@pytest.fixture(params=PAIRS, ids=lambda kind: getattr(kind, "__name__", kind))
async def both(request: pytest.FixtureRequest) -> AsyncIterator[Both]:
    kinds: list[StreamKind] = (
        [SocketStream, CompletionStream] if request.param == "mixed" else [request.param] * 2
    )
    io_loop = IoLoop()
    first, client = open_pair(io_loop, kinds[0])
    second, upstream = open_pair(io_loop, kinds[1])
    with client, upstream:
        async with asyncio.timeout(10):
            yield Both(io_loop, first, client, second, upstream)
            first.close()
            second.close()
            await asyncio.sleep(0)


async def test_bytes_go_both_ways_until_both_directions_ended(both: Both) -> None:
    relaying = asyncio.create_task(relay(both.first, both.second, both.io_loop, 30))
    await both.client.send(b"question")
    await both.upstream.expect(b"question")
    await both.upstream.send(b"the answer")
    await both.client.expect(b"the answer")
    both.client.half_close()
    await both.upstream.expect_end()
    assert not relaying.done()
    await both.upstream.send(b", and more")
    await both.client.expect(b", and more")
    both.upstream.half_close()
    await both.client.expect_end()
    await relaying


async def test_the_other_side_may_end_first(both: Both) -> None:
    relaying = asyncio.create_task(relay(both.first, both.second, both.io_loop, 30))
    both.upstream.half_close()
    await both.client.expect_end()
    await both.client.send(b"still talking")
    await both.upstream.expect(b"still talking")
    both.client.half_close()
    await both.upstream.expect_end()
    await relaying


async def test_glued_bytes_go_first(both: Both) -> None:
    both.first.unread(b"glued ")
    both.second.unread(b"banner ")
    await both.client.send(b"more")
    await both.upstream.send(b"more")
    relaying = asyncio.create_task(relay(both.first, both.second, both.io_loop, 30))
    await both.upstream.expect(b"glued more")
    await both.client.expect(b"banner more")
    both.client.half_close()
    both.upstream.half_close()
    await relaying


async def test_much_arrives_whole_and_in_order(both: Both) -> None:
    data = b"".join(n.to_bytes(4, "big") for n in range(1_000_000))
    relaying = asyncio.create_task(relay(both.first, both.second, both.io_loop, 30))
    sending = asyncio.create_task(both.client.send(data))
    is_whole = await both.upstream.read_exactly(len(data)) == data
    assert is_whole  # not the bytes themselves: explaining megabytes takes minutes
    await sending
    both.client.half_close()
    both.upstream.half_close()
    await relaying


async def test_a_stalled_peer_stalls_the_sender_and_costs_no_memory(both: Both) -> None:
    stall(both.upstream)
    relaying = asyncio.create_task(relay(both.first, both.second, both.io_loop, 30))
    tracemalloc.start()
    piece, sent = bytes(1_000_000), 0
    both.client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 100_000)
    try:
        async with asyncio.timeout(0.4):
            while sent < 300_000_000:
                await asyncio.get_running_loop().sock_sendall(both.client.sock, piece)
                sent += len(piece)
    except TimeoutError:
        pass
    assert sent < 100_000_000
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 5_000_000
    relaying.cancel()
    await asyncio.gather(relaying, return_exceptions=True)


async def test_a_stalled_peer_that_reads_again_gets_everything(both: Both) -> None:
    data = b"".join(n.to_bytes(4, "big") for n in range(2_500_000))  # more than the kernel takes
    relaying = asyncio.create_task(relay(both.first, both.second, both.io_loop, 30))
    sending = asyncio.create_task(both.client.send(data))
    await asyncio.sleep(0.05)
    is_whole = await both.upstream.read_exactly(len(data)) == data
    assert is_whole
    await sending
    both.client.half_close()
    await both.upstream.expect_end()
    both.upstream.close()
    await relaying


async def test_silence_for_too_long_ends_a_tunnel(both: Both) -> None:
    with pytest.raises(BrokenStreamError) as caught:
        await relay(both.first, both.second, both.io_loop, 0.05)
    assert isinstance(caught.value.error, TimeoutError)


async def test_traffic_in_one_direction_keeps_a_tunnel(both: Both) -> None:
    relaying = asyncio.create_task(relay(both.first, both.second, both.io_loop, 0.2))
    for _ in range(10):
        await asyncio.sleep(0.04)
        await both.upstream.send(b".")
    await both.client.expect(b"." * 10)
    assert not relaying.done()
    both.client.half_close()
    both.upstream.half_close()
    await relaying


async def test_a_half_closed_tunnel_ends_by_silence_too(both: Both) -> None:
    both.client.half_close()
    with pytest.raises(BrokenStreamError):
        await relay(both.first, both.second, both.io_loop, 0.05)


async def test_no_idle_time_means_for_ever(both: Both) -> None:
    relaying = asyncio.create_task(relay(both.first, both.second, both.io_loop, 0))
    await asyncio.sleep(0.1)
    assert not relaying.done()
    relaying.cancel()
    await asyncio.gather(relaying, return_exceptions=True)


async def test_a_reset_ends_a_tunnel_and_names_the_side(both: Both) -> None:
    relaying = asyncio.create_task(relay(both.first, both.second, both.io_loop, 30))
    await reset_while_it_reads(both.second, both.upstream)
    with pytest.raises(BrokenStreamError) as caught:
        await relaying
    assert caught.value.stream is both.second


async def test_a_cancelled_tunnel_leaves_nothing_registered(both: Both) -> None:
    relaying = asyncio.create_task(relay(both.first, both.second, both.io_loop, 30))
    await asyncio.sleep(0)
    relaying.cancel()
    await asyncio.gather(relaying, return_exceptions=True)
    await both.client.send(b"later")
    assert await both.first.read() == b"later"


async def carry(both: Both, *, limit: int | None, idle_seconds: float) -> int:
    """`copy` from the first to the second."""
    activity = Activity(both.io_loop, idle_seconds)
    return await copy(both.first, both.second, both.io_loop, limit=limit, activity=activity)


async def test_copy_carries_to_its_limit_and_leaves_the_rest(both: Both) -> None:
    both.first.unread(b"abc")
    copying = asyncio.create_task(carry(both, limit=6, idle_seconds=30))
    await both.client.send(b"defghi")
    assert await copying == 6
    await both.upstream.expect(b"abcdef")
    assert await both.first.read() == b"ghi"


async def test_copy_of_what_was_read_already_leaves_the_rest(both: Both) -> None:
    both.first.unread(b"abcdef")
    assert await carry(both, limit=4, idle_seconds=30) == 4
    await both.upstream.expect(b"abcd")
    assert both.first.take_unread() == b"ef"


async def test_copy_of_nothing_is_done_at_once(both: Both) -> None:
    assert await carry(both, limit=0, idle_seconds=30) == 0


async def test_copy_ends_with_its_source_and_passes_no_end_on(both: Both) -> None:
    await both.client.send(b"abc")
    both.client.half_close()
    assert await carry(both, limit=10, idle_seconds=30) == 3
    await both.second.write(b" and more")
    await both.upstream.expect(b"abc and more")


async def test_copy_without_a_limit_ends_with_its_source(both: Both) -> None:
    await both.client.send(b"abc")
    both.client.half_close()
    assert await carry(both, limit=None, idle_seconds=30) == 3


async def test_copy_names_the_side_that_broke(both: Both) -> None:
    both.upstream.reset()
    sending = asyncio.create_task(both.client.send(bytes(10_000_000)))
    with pytest.raises(BrokenStreamError) as caught:
        await carry(both, limit=None, idle_seconds=30)
    assert caught.value.stream is both.second
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)


async def test_copy_to_a_peer_that_takes_nothing_ends_by_silence(both: Both) -> None:
    stall(both.upstream)
    sending = asyncio.create_task(both.client.send(bytes(50_000_000)))
    with pytest.raises(BrokenStreamError):
        await carry(both, limit=None, idle_seconds=0.1)
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
