"""Requests over kept connections that die: Px repeats only what is safe, and fails only if it must."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from px.upstream.connections import pool
from tests.io.pairs import KIND
from tests.proxy.running_px import RunningPx, as_user, get, running_px
from tests.scripted_upstream import (
    ScriptedUpstream,
    Wire,
    answer,
    expect_ntlm,
    field_of,
    login_required,
    until,
)

_RESET_ON_CLOSE = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


class Hop:
    """An origin or upstream that breaks connections after one request, and counts the requests that arrive.

    Args:
        how: The end of a connection after its first answer: ``fin`` and ``reset`` follow when the next
            request has arrived, ``end`` at once; with ``keep`` the connection stays open.
        keep_alive: The Keep-Alive field of the answer.
    """

    def __init__(self, how: str, keep_alive: bytes = b"") -> None:
        self._how = how
        self._fields = b"Keep-Alive: " + keep_alive + b"\r\n" if keep_alive else b""
        self.port = 0
        self.connections = 0
        self.arrived: list[bytes] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Hop]:
        """Serve on a free port."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await self._answer(reader, writer)
            while self._how == "keep":
                await self._answer(reader, writer)
            if self._how != "end":
                await self._read(reader)
        if self._how == "reset":
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._read(reader)
        writer.write(answer(200, b"ok", *([self._fields.strip()] if self._fields else [])))
        await writer.drain()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(int(field_of(head, b"content-length") or 0))
        self.arrived.append(head.split(b" ")[0] + b" %d" % len(body))


@asynccontextmanager
async def px_before(hop: Hop, way: str) -> AsyncIterator[tuple[RunningPx, bytes]]:
    """Yield a Px, and a URL that Px reaches at this hop as origin or through it as upstream."""
    given = {"noproxy": "*"} if way == "direct" else {}
    async with running_px(f"127.0.0.1:{hop.port}", **given) as px:  # type: ignore[arg-type]
        yield px, b"http://127.0.0.1:%d/" % hop.port if way == "direct" else b"http://origin.test/"


def request(method: bytes, url: bytes, size: int | None) -> bytes:
    """Return a request; `size` is None for one without a length."""
    fields = () if size is None else (b"Content-Length: %d" % size,)
    return get(url, *fields, method=method) + bytes(size or 0)


#: Requests that must not arrive twice: the method and the length of the body.
NOT_REPEATABLE = [(b"POST", None), (b"POST", 0), (b"POST", 3), (b"POST", 300_000), (b"PUT", 3), (b"PATCH", 3)]
REPEATABLE = [(b"GET", None), (b"HEAD", None), (b"DELETE", None), (b"PUT", 0), (b"OPTIONS", None)]

ways = pytest.mark.parametrize("way", ["direct", "upstream"])
dying = pytest.mark.parametrize("how", ["fin", "reset"])
not_repeatable = pytest.mark.parametrize(("method", "size"), NOT_REPEATABLE)


@ways
@pytest.mark.parametrize("how", ["fin", "reset", "end"])
@not_repeatable
async def test_px_sends_a_clients_first_request_over_a_fresh_connection_if_it_is_not_repeatable(
    way: str, how: str, method: bytes, size: int | None
) -> None:
    async with Hop(how).running() as hop, px_before(hop, way) as (px, url):
        await px.get(url)
        client = await px.connect()
        await client.send(request(method, url, size))
        assert await client.read_answer() == (answer(200, b"ok")[:-2], b"ok")
        assert hop.arrived == [b"GET 0", b"%b %d" % (method, size or 0)]


@ways
@dying
@not_repeatable
async def test_px_closes_without_an_answer_so_that_the_client_repeats_the_request(
    way: str, how: str, method: bytes, size: int | None
) -> None:
    async with Hop(how).running() as hop, px_before(hop, way) as (px, url):
        client = await px.connect()
        await client.send(get(url))
        await client.read_answer()
        await client.send(request(method, url, size))
        await client.expect_end()
        again = await px.connect()
        await again.send(request(method, url, size))  # clients do this
        assert (await again.read_answer())[1] == b"ok"
        assert hop.arrived == [b"GET 0", *[b"%b %d" % (method, size or 0)] * 2]


@ways
@dying
@pytest.mark.parametrize(("method", "size"), REPEATABLE)
@pytest.mark.parametrize("is_reused", [False, True], ids=["first", "reused"])
async def test_px_sends_a_repeatable_request_over_a_kept_connection_and_repeats_it_once(
    way: str, how: str, method: bytes, size: int | None, is_reused: bool
) -> None:
    async with Hop(how).running() as hop, px_before(hop, way) as (px, url):
        first = await px.connect()
        await first.send(get(url))
        await first.read_answer()
        client = first if is_reused else await px.connect()
        await client.send(request(method, url, size))
        assert (await client.read_head()).startswith(b"HTTP/1.1 200 ")
        assert hop.arrived == [b"GET 0", *[b"%b 0" % method] * 2]


@not_repeatable
async def test_px_does_not_use_a_kept_connection_that_has_ended(method: bytes, size: int | None) -> None:
    async with Hop("end").running() as hop, px_before(hop, "upstream") as (px, url):
        client = await px.connect()
        await client.send(get(url))
        await client.read_answer()
        await until(lambda: px.kept == "<Pool {}>")
        await client.send(request(method, url, size))
        assert (await client.read_answer())[1] == b"ok"
        assert hop.arrived == [b"GET 0", b"%b %d" % (method, size or 0)]


@pytest.mark.parametrize(
    ("keep_alive", "recent_seconds", "connections"),
    [(b"", 1.0, 1), (b"", 0.0, 2), (b"timeout=60", 0.0, 1), (b"timeout=60", 1.0, 1), (b"timeout=0", 1.0, 2)],
    ids=["just used", "used before", "within its timeout", "both", "after its timeout"],
)
async def test_a_post_goes_over_a_kept_connection_that_will_hardly_be_closed(
    monkeypatch: pytest.MonkeyPatch, keep_alive: bytes, recent_seconds: float, connections: int
) -> None:
    monkeypatch.setattr(pool, "RECENT_SECONDS", recent_seconds)
    async with Hop("keep", keep_alive).running() as hop, px_before(hop, "upstream") as (px, url):
        client = await px.connect()
        await client.send(get(url))
        await client.read_answer()
        await client.send(request(b"POST", url, 3))
        await client.read_answer()
        assert hop.connections == connections
        assert hop.arrived == [b"GET 0", b"POST 3"]


async def test_a_fresh_connection_replaces_an_old_one() -> None:
    """Otherwise a client that sends many POSTs would fill the pool."""
    async with Hop("keep").running() as hop, px_before(hop, "upstream") as (px, url):
        for _ in range(5):
            client = await px.connect()
            await client.send(request(b"POST", url, 3))
            await client.read_answer()
        assert (hop.connections, hop.arrived) == (5, [b"POST 3"] * 5)
        assert px.kept.endswith(": 1}>")


async def test_px_sends_a_request_over_a_fresh_connection_if_no_byte_was_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The connection broke after Px had checked it, so the system accepts no byte."""
    monkeypatch.setattr(KIND, "is_quiet", lambda _: True)
    monkeypatch.setattr(KIND, "watch_idle", lambda _: None)
    is_broken = asyncio.Event()

    async def first(wire: Wire) -> None:
        await wire.read_head()
        await wire.send(answer(200, b"ok"))
        await until(lambda: px.kept != "<Pool {}>")
        wire.reset()
        is_broken.set()

    async def second(wire: Wire) -> None:
        await wire.expect(request(b"POST", b"http://origin.test/", 3))
        await wire.send(answer(200, b"posted"))

    async with ScriptedUpstream(first, second) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(get(b"http://origin.test/"))
        await client.read_answer()
        await is_broken.wait()
        await client.send(request(b"POST", b"http://origin.test/", 3))
        assert (await client.read_answer())[1] == b"posted"


@pytest.mark.parametrize("method", [b"GET", b"POST"])
async def test_the_end_of_a_bound_connection_ends_the_clients_connection(method: bytes) -> None:
    async def script(wire: Wire) -> None:
        await wire.read_head()
        await wire.send(answer(200, b"ok"))
        await wire.read_head()

    async with ScriptedUpstream(script) as upstream, running_px(upstream, auth="NONE") as px:
        client = await px.connect()
        await client.send(get(b"http://origin.test/"))
        await client.read_answer()
        await client.send(request(method, b"http://origin.test/", None))
        await client.expect_end()


# A 408 that ends an idle connection


async def _end_idle_with_408(wire: Wire) -> None:
    await wire.read_head()
    await wire.send(answer(200, b"ok"))
    await wire.read_head()  # the 408 and the request cross
    await wire.send(answer(408, b"idle", b"Connection: close"))


async def test_px_does_not_forward_a_408_that_ends_a_kept_connection() -> None:
    async def second(wire: Wire) -> None:
        await wire.read_head()
        await wire.send(answer(200, b"again"))

    async with ScriptedUpstream(_end_idle_with_408, second) as upstream, running_px(upstream) as px:
        await px.get(b"http://origin.test/")
        assert (await px.get(b"http://origin.test/"))[1] == b"again"


async def test_a_client_can_repeat_its_request_after_a_408_that_ended_a_kept_connection() -> None:
    async with ScriptedUpstream(_end_idle_with_408) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(get(b"http://origin.test/"))
        await client.read_answer()
        await client.send(request(b"POST", b"http://origin.test/", 3))
        await client.expect_end()


async def test_a_408_for_a_slow_body_reaches_the_client() -> None:
    async def script(wire: Wire) -> None:
        await wire.read_head()
        await wire.send(answer(200, b"ok"))
        await wire.read_head()
        await wire.read_exactly(1)
        await wire.send(answer(408, b"too slow", b"Connection: close"))

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(get(b"http://origin.test/"))
        await client.read_answer()
        await client.send(get(b"http://origin.test/", b"Content-Length: 9", method=b"POST") + b"a")
        assert (await client.read_answer())[1] == b"too slow"


async def test_a_408_over_a_fresh_connection_reaches_the_client() -> None:
    async def script(wire: Wire) -> None:
        await wire.read_head()
        await wire.send(answer(408, b"too slow", b"Connection: close"))

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        assert (await px.get(b"http://origin.test/"))[1] == b"too slow"


# Logins that are bound to a connection


async def log_in(wire: Wire) -> None:
    """Answer a request without a body after a login."""
    await wire.read_head()
    await wire.send(login_required(b"NTLM"))
    await expect_ntlm(wire)
    await wire.send(answer(200, b"ok"))


async def test_px_uses_a_connection_again_that_has_just_logged_in() -> None:
    """A login is expensive for the upstream and the directory, and few upstreams close within a second."""

    async def script(wire: Wire) -> None:
        await log_in(wire)
        assert (await wire.read_head()).startswith(b"POST ")
        await wire.read_exactly(3)
        await wire.send(answer(200, b"posted"))

    async with ScriptedUpstream(script) as upstream, running_px(upstream, **as_user()) as px:
        await px.get(b"http://origin.test/")
        client = await px.connect()
        await client.send(request(b"POST", b"http://origin.test/", 3))
        assert (await client.read_answer())[1] == b"posted"


@dying
async def test_a_logged_in_connection_that_breaks_under_a_post_ends_the_clients_connection(how: str) -> None:
    async def script(wire: Wire) -> None:
        await log_in(wire)
        await wire.read_head()
        if how == "reset":
            wire.reset()

    async with ScriptedUpstream(script) as upstream, running_px(upstream, **as_user()) as px:
        client = await px.connect()
        await client.send(get(b"http://origin.test/"))
        await client.read_answer()
        await client.send(request(b"POST", b"http://origin.test/", 3))
        await client.expect_end()
