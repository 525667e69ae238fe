"""Streams that fill whole buffers go through pipes of the kernel, and return the pipes."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from px.io.io_loop import IoLoop
from px.io.pipes import MAX_IDLE_PIPES, PipePool
from px.io.relay import BrokenStreamError, IdleTimeout, copy
from px.io.socket_stream import SocketStream
from tests.io.pairs import Both, open_pair, relay, stall
from tests.scripted_upstream import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has splice(2)")

_DATA = b"".join(n.to_bytes(4, "big") for n in range(3_000_000))


@pytest.fixture
async def both() -> AsyncIterator[Both]:
    io_loop = IoLoop()
    first, client = open_pair(io_loop, SocketStream)
    second, upstream = open_pair(io_loop, SocketStream)
    with client, upstream:
        async with asyncio.timeout(20):
            yield Both(io_loop, first, client, second, upstream)
        first.close()
        second.close()
        io_loop.pipes.close()


def watch_splices(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list to which each splice adds its number of bytes."""
    spliced: list[int] = []
    splice = os.splice

    def watched(*args: Any, **options: Any) -> int:
        spliced.append(splice(*args, **options))
        return spliced[-1]

    monkeypatch.setattr(os, "splice", watched)
    return spliced


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_bulk_stream_is_spliced_completely_and_returns_its_pipe(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    spliced = watch_splices(monkeypatch)
    relaying = asyncio.create_task(relay(both.first, both.second, both.io_loop, 30))
    sending = asyncio.create_task(both.client.send(_DATA))
    is_whole = await both.upstream.read_exactly(len(_DATA)) == _DATA
    assert is_whole
    await sending
    assert sum(spliced) > len(_DATA)  # most bytes, each counted twice: into the pipe and out of it
    assert (both.first.received_bytes, both.second.sent_bytes) == (len(_DATA), len(_DATA))
    await until(lambda: repr(both.io_loop.pipes).startswith("<PipePool idle=1 "))
    await both.client.send(b"and little")
    await both.upstream.expect(b"and little")
    both.client.half_close()
    await both.upstream.expect_end()
    both.upstream.half_close()
    await relaying


async def test_without_a_pipe_the_bytes_are_copied(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    spliced = watch_splices(monkeypatch)
    both.io_loop.pipes = PipePool(0)
    await copy_whole(both)
    assert not spliced


async def test_a_bulk_stream_whose_network_is_lost_raises_an_error(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the receiver would take a body that ends with the connection as complete."""
    for name in ("FULL_RECEIVE_BYTES", "MAX_RECEIVES_PER_WAKEUP"):
        monkeypatch.setattr(f"px.io.relay.{name}", 1)
    spliced = watch_splices(monkeypatch)
    copying = asyncio.create_task(_copy(both, None))
    await both.client.send(b"half")
    assert await both.upstream.read_exactly(4) == b"half"
    both.first.lose()
    with pytest.raises(BrokenStreamError):
        await copying
    assert spliced == [0]


async def test_if_splicing_is_forbidden_bytes_are_copied(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def refuse(*_: object, **__: object) -> int:
        tried.append(1)
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "splice", refuse)
    before = descriptors()
    await copy_whole(both)
    assert len(tried) == 1
    assert descriptors() == before


async def copy_whole(both: Both, *, more: bytes = b"") -> None:
    """Copy the data and no more, although other bytes follow."""
    copying = asyncio.create_task(_copy(both, len(_DATA)))
    sending = asyncio.create_task(both.client.send(_DATA + more))
    is_whole = await both.upstream.read_exactly(len(_DATA)) == _DATA
    assert is_whole
    await sending
    assert await copying == len(_DATA)


async def _copy(both: Both, limit: int | None) -> int:
    idle_timeout = IdleTimeout(both.io_loop, 30)
    return await copy(both.first, both.second, both.io_loop, limit=limit, idle_timeout=idle_timeout)


async def test_splicing_stops_at_its_limit_and_leaves_the_rest(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    spliced = watch_splices(monkeypatch)
    await copy_whole(both, more=b"rest")
    assert spliced
    assert await both.first.read() == b"rest"


async def test_a_peer_that_reads_nothing_stalls_the_sender_and_px_closes_the_pipe_at_the_end(
    both: Both,
) -> None:
    stall(both.upstream)
    before = descriptors()
    relaying = asyncio.create_task(relay(both.first, both.second, both.io_loop, 0.3))
    sending = asyncio.create_task(both.client.send(bytes(300_000_000)))
    with pytest.raises(BrokenStreamError):
        await relaying
    assert not sending.done()
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    assert repr(both.io_loop.pipes).startswith("<PipePool idle=0 ")
    assert descriptors() == before - 2  # the descriptors of the two streams


async def test_px_keeps_few_pipes_and_none_after_the_end() -> None:
    before = descriptors()
    pool = PipePool()
    pipes = [pool.take() for _ in range(MAX_IDLE_PIPES + 2)]
    assert descriptors() == before + 2 * len(pipes)
    for pipe in pipes:
        assert pipe is not None
        pool.give_back(pipe)
    assert descriptors() == before + 2 * MAX_IDLE_PIPES
    pool.close()
    assert descriptors() == before


async def test_the_number_of_pipes_is_limited() -> None:
    pool = PipePool(1)
    pipe = pool.take()
    assert pipe is not None
    assert pool.take() is None
    pool.give_back(pipe)
    assert pool.take() is pipe
    pipe.close()
