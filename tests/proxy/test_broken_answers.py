"""Incomplete answers: the client gets the first part, and can tell that the rest is missing."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import Awaitable, Callable

import pytest

from px.downstream import client_end
from px.io.liveness import unsent_bytes
from tests.authority import Authority
from tests.io.pairs import tcp_pair
from tests.proxy.running_px import RunningPx, get, running_px
from tests.scripted_upstream import ScriptedUpstream, Wire, until

URL = b"http://origin.test/"
GET = get(URL)
OLD_GET = b"GET http://origin.test/ HTTP/1.0\r\nHost: origin.test\r\n\r\n"
_LENGTH, _CHUNKED, _CLOSE = b"Content-Length: 900", b"Transfer-Encoding: chunked", b"X: until the end"

not_reported_on_windows = pytest.mark.skipif(
    sys.platform == "win32",
    reason="Windows does not report what has arrived, and Wine reads a reset as an end",
)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("px.downstream.answer_body.STALL_SECONDS", 0.1)
    monkeypatch.setattr(client_end, "LINGER_SECONDS", 0.1)


async def read_to_any_end(client: Wire) -> tuple[bytes, str]:
    """Return what a client receives after the head, and how its connection ends."""
    with contextlib.suppress(ConnectionResetError):
        return await client.read_to_end(), "end"
    return client._received, "reset"


async def break_off(wire: Wire, how: str) -> None:
    """End an answer early on the side of the origin."""
    if how == "silence":
        await wire.expect_cut()
    elif how == "reset":
        await asyncio.sleep(0.05)  # the other side must read the data first, because a reset discards it
        wire.reset()
    elif how == "bad chunk":
        await wire.send(b"no chunk\r\n")
        await wire.expect_cut()


@pytest.mark.parametrize(
    ("fields", "body", "how"),
    [
        *((_LENGTH, b"abc", how) for how in ("close", "reset", "silence")),
        *((_CHUNKED, b"3\r\nabc\r\n", how) for how in ("close", "reset", "silence", "bad chunk")),
        (_CHUNKED, b"3\r\nab", "close"),
        (_CLOSE, b"abc", "close"),
    ],
)
@pytest.mark.parametrize("comes", ["with the head", "later"])
async def test_the_first_part_of_an_answer_reaches_the_client_before_its_connection_ends(
    fields: bytes, body: bytes, how: str, comes: str
) -> None:
    got_head = asyncio.Event()
    head = b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n\r\n"

    async def script(wire: Wire) -> None:
        await wire.expect(GET)
        if comes == "with the head":
            await wire.send(head + body)
        else:
            await wire.send(head)
            await got_head.wait()
            await wire.send(body)
        await break_off(wire, how)

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(GET)
        assert fields in await client.read_head()
        got_head.set()
        assert await read_to_any_end(client) == (body, "end")
        assert px.kept == "<Pool {}>"


@pytest.mark.parametrize("request_head", [GET, GET + GET], ids=["alone", "with a request sent ahead"])
async def test_the_chunks_before_a_bad_one_in_the_same_packet_reach_the_client(request_head: bytes) -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(b"HTTP/1.1 200 OK\r\n" + _CHUNKED + b"\r\n\r\n3\r\nabc\r\n3\r\ndef\r\nno chunk\r\n")
        await wire.expect_cut()

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(request_head)
        await client.read_head()
        assert await read_to_any_end(client) == (b"3\r\nabc\r\n3\r\ndef\r\n", "end")


async def test_px_answers_502_if_the_first_chunk_is_bad() -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(b"HTTP/1.1 200 OK\r\n" + _CHUNKED + b"\r\n\r\nno chunk\r\n")
        await wire.expect_cut()

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        assert b" 502 " in (await px.get(URL))[0]


@pytest.mark.parametrize(
    ("request_head", "fields", "body", "how"),
    [
        *((GET, _CLOSE, b"abc", how) for how in ("reset", "silence")),
        *((OLD_GET, _CLOSE, b"abc", how) for how in ("reset", "silence")),
        *((OLD_GET, _CHUNKED, b"3\r\nabc\r\n", how) for how in ("close", "reset", "silence", "bad chunk")),
    ],
)
@not_reported_on_windows
async def test_an_incomplete_body_without_a_length_ends_with_a_reset(
    request_head: bytes, fields: bytes, body: bytes, how: str
) -> None:
    async def script(wire: Wire) -> None:
        await wire.read_head()
        await wire.send(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n\r\n" + body)
        await break_off(wire, how)

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(request_head)
        await client.read_head()
        assert await read_to_any_end(client) == (b"abc", "reset")


async def test_a_complete_chunked_body_to_an_http_1_0_client_ends_without_a_reset() -> None:
    async def script(wire: Wire) -> None:
        await wire.read_head()
        await wire.send(b"HTTP/1.1 200 OK\r\n" + _CHUNKED + b"\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        await wire.expect_cut()

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(OLD_GET)
        await client.read_head()
        assert await read_to_any_end(client) == (b"abc", "end")
        px.px._pool.clear()


@pytest.mark.parametrize(("method", "status"), [(b"HEAD", b"200 OK"), (b"GET", b"204 No Content")])
async def test_an_answer_without_a_body_is_complete_however_its_connection_ends(
    method: bytes, status: bytes
) -> None:
    got_answer = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.read_head()
        await wire.send(b"HTTP/1.1 " + status + b"\r\nX: y\r\n\r\n")
        await got_answer.wait()
        wire.reset()

    async def other(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await wire.expect_cut()

    async with ScriptedUpstream(script, other) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(get(URL, method=method))
        await client.read_head()
        got_answer.set()
        await until(lambda: px.kept == "<Pool {}>")
        await client.send(GET)  # the client's connection is still open
        assert (await client.read_answer())[1] == b"ok"
        px.px._pool.clear()


# TLS shows whether an end is complete or a cut


def tls_origin(authority: Authority, answer: bytes, *, says_end: bool) -> Callable[[Wire], Awaitable[None]]:
    """Return a script that sends an answer over TLS, and closes with or without close_notify."""

    def serve(wire: Wire) -> None:
        with wire.sock.dup() as sock:
            sock.settimeout(5)
            with authority.server_context().wrap_socket(sock, server_side=True) as tls:
                while b"\r\n\r\n" not in tls.recv(65536):
                    pass
                tls.sendall(answer)
                if says_end:
                    with contextlib.suppress(OSError):
                        tls.unwrap()

    async def script(wire: Wire) -> None:
        await asyncio.to_thread(serve, wire)

    return script


@pytest.fixture
def authority(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Authority:
    made = Authority(tmp_path_factory.mktemp("tls"))
    monkeypatch.setenv("SSL_CERT_FILE", str(made.ca_file))
    return made


@pytest.mark.parametrize("size", [3, 3_000_000], ids=["small", "more than buffers hold"])
@pytest.mark.parametrize(
    ("says_end", "end"), [(True, "end"), pytest.param(False, "reset", marks=not_reported_on_windows)]
)
async def test_a_body_without_a_length_is_complete_only_with_a_close_notify(
    authority: Authority, size: int, says_end: bool, end: str
) -> None:
    body = bytes(range(250)) * (size // 250) or b"abc"
    script = tls_origin(authority, b"HTTP/1.1 200 OK\r\n\r\n" + body, says_end=says_end)
    async with ScriptedUpstream(script) as upstream, running_px(f"https://{upstream.authority}") as px:
        client = await px.connect()
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 200_000)
        await client.send(GET)
        await client.read_head()
        await asyncio.sleep(0.05)  # the client is slow, so most of the answer waits in buffers
        got, how = await read_to_any_end(client)
        assert (len(got), got == body, how) == (len(body), True, end)


async def test_a_body_of_known_length_is_complete_without_close_notify(authority: Authority) -> None:
    script = tls_origin(authority, b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", says_end=False)
    async with ScriptedUpstream(script) as upstream, running_px(f"https://{upstream.authority}") as px:
        assert (await px.get(URL))[1] == b"abc"


async def test_a_body_of_known_length_that_tls_cuts_off_reaches_the_client_incomplete(
    authority: Authority,
) -> None:
    script = tls_origin(authority, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", says_end=False)
    async with ScriptedUpstream(script) as upstream, running_px(f"https://{upstream.authority}") as px:
        client = await px.connect()
        await client.send(GET)
        await client.read_head()
        assert await read_to_any_end(client) == (b"abc", "end")


# Clients that read slowly, and a Px that ends


async def test_a_slow_client_gets_megabytes_of_an_incomplete_answer() -> None:
    body = bytes(range(250)) * 10_000

    async def script(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 99000000\r\n\r\n" + body)

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        client = await px.connect()
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 200_000)
        await client.send(GET)
        await client.read_head()
        await upstream.finish()
        await asyncio.sleep(0.3)  # longer than Px lingers
        got, how = await read_to_any_end(client)
        assert (len(got), got == body, how) == (len(body), True, "end")


async def _stop(px: RunningPx) -> None:
    await px.px._listener.stop(0.01)


@pytest.mark.parametrize(
    ("fields", "end"), [(_LENGTH, "end"), pytest.param(_CLOSE, "reset", marks=not_reported_on_windows)]
)
async def test_a_px_that_stops_during_a_body_lets_the_client_notice_that_it_is_incomplete(
    fields: bytes, end: str
) -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n\r\nabc")
        await wire.expect_cut()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("px.downstream.answer_body.STALL_SECONDS", 30)
        async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
            client = await px.connect()
            await client.send(GET)
            await client.read_until(b"abc")
            stopping = asyncio.create_task(_stop(px))
            assert await read_to_any_end(client) == (b"", end)
            await stopping


# The facts that the system reports


@not_reported_on_windows
async def test_the_system_reports_the_bytes_that_the_peer_has_not_received() -> None:
    near, far = tcp_pair()
    with near, far:
        assert unsent_bytes(near) == 0
        far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        near.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                near.send(bytes(100_000))
        assert (unsent_bytes(near) or 0) > 0
    assert unsent_bytes(near) == 0


@not_reported_on_windows
@pytest.mark.parametrize("seconds", [(0.1, 60.0), (60.0, 0.1)], ids=["reads nothing", "reads slowly"])
async def test_px_resets_a_client_that_reads_too_little(
    monkeypatch: pytest.MonkeyPatch, seconds: tuple[float, float]
) -> None:
    monkeypatch.setattr(client_end, "TAKE_SECONDS", seconds[0])
    monkeypatch.setattr(client_end, "TAKE_ALL_SECONDS", seconds[1])
    monkeypatch.setattr("px.downstream.answer_body.STALL_SECONDS", 0.2)

    async def script(wire: Wire) -> None:
        await wire.expect(GET)
        with contextlib.suppress(OSError):
            await wire.send(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(20_000_000))

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        client = await px.connect()
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        await client.send(GET)
        await client.read_head()
        await upstream.finish()
        await until(lambda: not px.px._listener._sessions)
        assert (await read_to_any_end(client))[1] == "reset"
