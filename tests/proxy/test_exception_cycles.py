"""A broken exchange leaves no reference cycles, so that its buffers are freed at once."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
from collections.abc import Awaitable, Callable, Iterator
from types import FrameType

import pytest

from tests.scripted_upstream import READ_BYTES, ScriptedUpstream, Wire, until

from .running_px import RunningPx, get, running_px

_PIECE = b"x" * READ_BYTES

Upstream = Callable[[Wire], Awaitable[None]]
Client = Callable[[Wire, bytes], Awaitable[None]]


def post(url: bytes, field: bytes) -> bytes:
    return get(url, field, b"Expect: 100-continue", method=b"POST")


async def send_a_part(wire: Wire, head: bytes, part: bytes) -> None:
    """Send the beginning of a body once the origin waits for it."""
    await wire.send(head)
    assert (await wire.read_head()).startswith(b"HTTP/1.1 100 ")
    await wire.send(part)


async def break_answer(wire: Wire) -> None:
    await wire.read_head()
    await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n80000\r\n" + _PIECE)
    wire.reset()


async def close_without_answer(wire: Wire) -> None:
    await wire.read_head()
    wire.reset()


async def read_body_and_close(wire: Wire) -> None:
    await wire.read_head()
    await wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    with contextlib.suppress(OSError):
        await wire.read_to_end()


async def ask(wire: Wire, url: bytes) -> None:
    await wire.send(get(url))
    await wire.expect_cut()


async def ask_for_an_answer_of_px(wire: Wire, url: bytes) -> None:
    await wire.send(get(url))
    assert (await wire.read_head()).startswith(b"HTTP/1.1 502 ")


async def leave_in_the_body(wire: Wire, url: bytes) -> None:
    await send_a_part(wire, post(url, b"Content-Length: 1000000"), _PIECE)
    wire.reset()


async def leave_in_a_small_body(wire: Wire, url: bytes) -> None:
    await send_a_part(wire, post(url, b"Content-Length: 200000"), _PIECE)
    wire.reset()


async def break_the_chunks(wire: Wire, url: bytes) -> None:
    await send_a_part(wire, post(url, b"Transfer-Encoding: chunked"), b"10000\r\n" + _PIECE)
    await wire.send(b"no chunk")
    await wire.expect_cut()


@contextlib.contextmanager
def collector_off() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def _frames_of(error: BaseException) -> Iterator[FrameType]:
    traceback = error.__traceback__
    while traceback is not None:
        yield traceback.tb_frame
        traceback = traceback.tb_next


def find_cycles() -> list[str]:
    """Return the unreachable exceptions that hold frames of an exchange of Px, with the frames' names."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    gc.set_debug(0)
    found = []
    for error in gc.garbage:
        if isinstance(error, BaseException) and not isinstance(error, asyncio.CancelledError):
            names = [frame.f_code.co_name for frame in _frames_of(error)]
            if any("/px/net/" in frame.f_code.co_filename.replace("\\", "/") for frame in _frames_of(error)):
                found.append(f"{error!r} in {names}")
    return found


async def _has_ended(px: RunningPx) -> None:
    await until(lambda: px.px._listener.open_connections == 0)


@pytest.mark.parametrize(
    ("upstream", "client"),
    [
        (break_answer, ask),
        (close_without_answer, ask_for_an_answer_of_px),
        (read_body_and_close, leave_in_the_body),
        (read_body_and_close, leave_in_a_small_body),
        (read_body_and_close, break_the_chunks),
    ],
    ids=lambda script: script.__name__,
)
async def test_a_broken_exchange_leaves_no_cycle(upstream: Upstream, client: Client) -> None:
    with collector_off():
        async with ScriptedUpstream(upstream) as scripted, running_px(noproxy="*") as px:
            await client(await px.connect(), b"http://%b/" % scripted.authority.encode())
            px.close_clients()
            await _has_ended(px)
            assert find_cycles() == []


@pytest.mark.skipif(
    sys.platform == "win32", reason="Wine reads a reset that comes while nobody receives as an end"
)
async def test_a_client_that_resets_between_requests_leaves_no_cycle() -> None:
    with collector_off():
        async with running_px("127.0.0.1:1") as px:
            client = await px.connect()
            await client.send(get(b"http://origin.test/"))
            await client.read_answer()
            client.reset()
            await _has_ended(px)
            assert find_cycles() == []
