"""Tunnels and bodies: copying bytes by callbacks and copying by reads have the same contract."""

from __future__ import annotations

import asyncio
import socket
import tracemalloc
from collections.abc import AsyncIterator

import pytest

from px.io.completion_stream import CompletionStream
from px.io.io_loop import IoLoop
from px.io.relay import BrokenStreamError, IdleTimeout, copy
from px.io.socket_stream import SocketStream
from tests.io.pairs import KINDS, Both, StreamKind, open_pair, relay, reset_while_it_reads, stall

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


async def test_a_tunnel_forwards_bytes_until_both_directions_have_ended(both: Both) -> None:
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


async def test_either_side_can_end_first(both: Both) -> None:
    relaying = asyncio.create_task(relay(both.first, both.second, both.io_loop, 30))
    both.upstream.half_close()
    await both.client.expect_end()
    await both.client.send(b"still talking")
    await both.upstream.expect(b"still talking")
    both.client.half_close()
    await both.upstream.expect_end()
    await relaying


async def test_bytes_already_read_are_sent_first(both: Both) -> None:
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


async def test_megabytes_arrive_completely_and_in_order(both: Both) -> None:
    data = b"".join(n.to_bytes(4, "big") for n in range(1_000_000))
    relaying = asyncio.create_task(relay(both.first, both.second, both.io_loop, 30))
    sending = asyncio.create_task(both.client.send(data))
    is_whole = await both.upstream.read_exactly(len(data)) == data
    assert is_whole  # no assert on the bytes: pytest would take minutes to explain megabytes
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
    data = b"".join(n.to_bytes(4, "big") for n in range(2_500_000))  # more than the kernel's buffers hold
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


async def test_long_silence_ends_a_tunnel(both: Both) -> None:
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


async def test_long_silence_also_ends_a_half_closed_tunnel(both: Both) -> None:
    both.client.half_close()
    with pytest.raises(BrokenStreamError):
        await relay(both.first, both.second, both.io_loop, 0.05)


async def test_without_an_idle_timeout_a_tunnel_stays_open(both: Both) -> None:
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
    """Run `copy` from the first stream to the second."""
    idle_timeout = IdleTimeout(both.io_loop, idle_seconds)
    return await copy(both.first, both.second, both.io_loop, limit=limit, idle_timeout=idle_timeout)


async def test_copy_stops_at_its_limit_and_leaves_the_rest(both: Both) -> None:
    both.first.unread(b"abc")
    copying = asyncio.create_task(carry(both, limit=6, idle_seconds=30))
    await both.client.send(b"defghi")
    assert await copying == 6
    await both.upstream.expect(b"abcdef")
    assert await both.first.read() == b"ghi"


async def test_copy_of_bytes_already_read_leaves_the_rest(both: Both) -> None:
    both.first.unread(b"abcdef")
    assert await carry(both, limit=4, idle_seconds=30) == 4
    await both.upstream.expect(b"abcd")
    assert both.first.take_unread() == b"ef"


async def test_copy_of_zero_bytes_ends_at_once(both: Both) -> None:
    assert await carry(both, limit=0, idle_seconds=30) == 0


async def test_copy_ends_with_its_source_and_does_not_close_the_target(both: Both) -> None:
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


async def test_copy_to_a_peer_that_reads_nothing_ends_after_long_silence(both: Both) -> None:
    stall(both.upstream)
    sending = asyncio.create_task(both.client.send(bytes(50_000_000)))
    with pytest.raises(BrokenStreamError):
        await carry(both, limit=None, idle_seconds=0.1)
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
