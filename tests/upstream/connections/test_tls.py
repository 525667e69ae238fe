"""TLS to an upstream, with real certificates."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import sys
from typing import Any

import pytest

from px.core.errors import UnreachableError
from px.io.io_loop import IoLoop
from px.io.relay import BrokenStreamError
from px.io.socket_stream import open_stream
from px.upstream.connections.tls import TlsStream, make_tls_context, open_tls
from tests.authority import Authority
from tests.io.pairs import KIND, KINDS, StreamKind, open_pair, relay, tcp_pair
from tests.proxy.running_px import as_user, connect, get, running_px
from tests.scripted_upstream import (
    ScriptedUpstream,
    TlsScript,
    Wire,
    answer,
    expect_ntlm,
    login_required,
)

URL = b"http://origin.test/"
LINGER_FORMAT = "hh" if sys.platform == "win32" else "ii"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Authority:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))
    return authority


class Server:
    """The other end of a TLS stream, run in a thread: blocking sockets keep the code simple."""

    def __init__(self, authority: Authority, kind: StreamKind = KIND) -> None:
        near, self._far = tcp_pair()
        self.stream = kind(near, IoLoop(), "127.0.0.1:9")
        self._context = authority.server_context()
        self.sock: ssl.SSLSocket | None = None

    def accept(self) -> None:
        self._far.settimeout(5)
        self.sock = self._context.wrap_socket(self._far, server_side=True, suppress_ragged_eofs=False)

    async def open(self, host: str = "127.0.0.1") -> TlsStream:
        accepting = asyncio.create_task(asyncio.to_thread(self.accept))
        tls = await open_tls(self.stream, make_tls_context(), host, 5)
        await accepting
        return tls

    async def call(self, name: str, *args: Any) -> Any:
        assert self.sock is not None
        return await asyncio.to_thread(getattr(self.sock, name), *args)

    def close(self) -> None:
        self.stream.close()
        (self.sock or self._far).close()


@pytest.fixture
def server(trusted: Authority):
    # The tests make it inside the loop, because a stream belongs to one loop.
    made: list[Server] = []

    def make(kind: StreamKind = KIND) -> Server:
        made.append(Server(trusted, kind))
        return made[-1]

    yield make
    for each in made:
        (each.sock or each._far).close()


async def test_tls_forwards_bytes_in_both_directions(server: Any) -> None:
    far = server()
    tls = await far.open()
    await tls.write(b"question")
    assert await far.call("recv", 100) == b"question"
    await far.call("sendall", b"answer")
    assert await tls.read() == b"answer"
    tls.unread(b"back")
    assert await tls.read() == b"back"
    tls.close()


async def test_tls_forwards_large_streams_in_both_directions_at_once(server: Any) -> None:
    far = server()
    tls = await far.open()
    data = bytes(range(256)) * 8000

    def swap() -> bytes:
        got = b""
        far.sock.sendall(data)
        while len(got) < len(data):
            got += far.sock.recv(65536)
        return got

    swapping = asyncio.create_task(asyncio.to_thread(swap))
    writing = asyncio.create_task(tls.write(data))
    got = bytearray()
    async with asyncio.timeout(5):
        while len(got) < len(data):
            got += await tls.read()
        await writing
        is_whole = await swapping == data and got == data
    assert is_whole
    tls.close()


async def test_close_notify_is_the_end(server: Any) -> None:
    far = server()
    tls = await far.open()
    await far.call("sendall", b"last")
    unwrapping = asyncio.create_task(far.call("unwrap"))
    assert await tls.read() == b"last"
    assert await tls.read() == b""
    assert await tls.read() == b""
    assert not tls.was_cut
    await tls.write_eof()
    await unwrapping
    tls.close()


async def test_an_end_without_close_notify_differs_from_one_with_it(server: Any) -> None:
    far = server()
    tls = await far.open()
    await far.call("close")
    assert await tls.read() == b""
    assert await tls.read() == b""
    assert tls.was_cut
    tls.close()


async def test_a_half_closed_stream_still_reads_all_bytes_in_transit(server: Any) -> None:
    far = server()
    tls = await far.open()
    data = bytes(range(256)) * 2000
    await far.call("sendall", data)
    got = bytearray(await tls.read())  # the rest is still encrypted
    await tls.write_eof()
    async with asyncio.timeout(5):
        while len(got) < len(data):
            piece = await tls.read()
            assert piece, f"ended after {len(got)} of {len(data)}"
            got += piece
    is_whole = got == data
    assert is_whole
    # With suppress_ragged_eofs=False a mere end would raise: it was a close_notify.
    assert await far.call("recv", 100) == b""
    tls.close()


async def test_a_tunnel_through_tls_stays_half_open(server: Any) -> None:
    far = server()
    tls = await far.open()
    io_loop = IoLoop()
    client, wire = open_pair(io_loop)
    with wire:
        relaying = asyncio.create_task(relay(client, tls, io_loop, 30))
        data = bytes(1_000_000)
        sending = asyncio.create_task(far.call("sendall", data))
        await asyncio.sleep(0.02)
        await wire.send(b"question")
        wire.half_close()
        assert len(await wire.read_exactly(len(data))) == len(data)
        await sending
        assert await far.call("recv", 100) == b"question"
        assert await far.call("recv", 100) == b""
        await far.call("unwrap")
        await wire.expect_end()
        await relaying
        client.close()
        tls.close()


def _end_with_close_notify(sock: ssl.SSLSocket) -> None:
    sock.setblocking(False)
    with contextlib.suppress(OSError):  # the other side's close_notify has not come yet
        sock.unwrap()
    sock.close()


def _reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(LINGER_FORMAT, 1, 0))
    sock.close()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(
    "end_far", [_end_with_close_notify, ssl.SSLSocket.close, _reset], ids=["close_notify", "cut", "reset"]
)
@pytest.mark.parametrize(
    "end_client", [Wire.half_close, Wire.close, Wire.reset], ids=["eof", "close", "reset"]
)
@pytest.mark.parametrize("first", ["client", "far", "far while the client still sends", "both"])
async def test_no_end_of_a_tunnel_through_tls_is_reported_as_a_fault_of_px(
    server: Any, kind: StreamKind, end_far: Any, end_client: Any, first: str
) -> None:
    far = server(kind)
    tls = await far.open()
    io_loop = IoLoop()
    client, wire = open_pair(io_loop, kind)
    with wire:
        relaying = asyncio.create_task(relay(client, tls, io_loop, 30))
        await wire.send(b"question")
        assert await far.call("recv", 100) == b"question"
        if first == "client":
            end_client(wire)
            await asyncio.sleep(0.01)
        end_far(far.sock)
        if first.startswith("far"):
            await asyncio.sleep(0.01)
            for _ in range(3 if first != "far" else 0):
                with contextlib.suppress(OSError):
                    await wire.send(b"more")
                await asyncio.sleep(0.01)
        if first != "client":
            with contextlib.suppress(OSError):  # Px may have closed it
                end_client(wire)
        (error,) = await asyncio.gather(relaying, return_exceptions=True)
    assert error is None or isinstance(error, BrokenStreamError)


async def test_silence_ends_a_tunnel_through_tls_even_if_close_notify_cannot_be_sent(server: Any) -> None:
    """The client has ended, and close_notify waits for room that the upstream never makes."""
    far = server()
    far.stream.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    tls = await far.open()
    io_loop = IoLoop()
    client, wire = open_pair(io_loop)
    with wire:
        relaying = asyncio.create_task(relay(client, tls, io_loop, 0.1))
        sending = asyncio.create_task(wire.send(bytes(20_000_000)))
        (error,) = await asyncio.gather(relaying, return_exceptions=True)
        assert isinstance(error, BrokenStreamError)
        assert isinstance(error.error, TimeoutError)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


async def test_an_idle_stream_reports_input(server: Any) -> None:
    far = server()
    tls = await far.open()
    await far.call("sendall", b"answer")
    assert await tls.read() == b"answer"  # followed by the session tickets of TLS 1.3
    reported = asyncio.Event()
    tls.on_idle_input = reported.set
    tls.watch_idle()
    assert not reported.is_set()
    await far.call("close")
    async with asyncio.timeout(5):
        await reported.wait()
    tls.close()


async def test_a_certificate_of_an_unknown_authority_is_refused(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    far = Server(authority)
    accepting = asyncio.create_task(asyncio.to_thread(far.accept))
    with pytest.raises(UnreachableError, match="not trusted") as caught:
        await open_tls(far.stream, make_tls_context(), "127.0.0.1", 5)
    assert caught.value.proxy_status == "tls_certificate_error"
    assert "SSL_CERT_FILE" in caught.value.hint
    far.stream.close()
    await asyncio.gather(accepting, return_exceptions=True)
    far.close()


async def test_a_certificate_for_another_name_is_refused(trusted: Authority) -> None:
    far = Server(trusted)
    accepting = asyncio.create_task(asyncio.to_thread(far.accept))
    with pytest.raises(UnreachableError, match=r"(?i)hostname|not valid for"):
        await open_tls(far.stream, make_tls_context(), "other.test", 5)
    far.stream.close()
    await asyncio.gather(accepting, return_exceptions=True)
    far.close()


async def test_the_error_names_an_upstream_that_does_not_speak_tls() -> None:
    near, far = tcp_pair()
    stream = open_stream(near, IoLoop(), "127.0.0.1:9")
    with Wire(far) as wire:
        await wire.send(b"HTTP/1.1 400 Bad\r\n\r\n")
        with pytest.raises(UnreachableError, match="No TLS with") as caught:
            await open_tls(stream, make_tls_context(), "127.0.0.1", 5)
        assert "https://" in caught.value.hint
    stream.close()


async def test_a_silent_handshake_ends() -> None:
    near, far = tcp_pair()
    stream = open_stream(near, IoLoop(), "127.0.0.1:9")
    with far, pytest.raises(UnreachableError, match="did not finish the TLS handshake"):
        await open_tls(stream, make_tls_context(), "127.0.0.1", 0.05)
    stream.close()


# Through a Px


async def test_a_login_over_tls_is_bound_to_the_certificate(trusted: Authority) -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(get(URL))
        await wire.send(login_required(b"NTLM"))
        await expect_ntlm(wire, channel_bindings=trusted.bindings())
        await wire.send(answer())
        await wire.expect(connect(b"origin.test:443"))
        await wire.send(b"HTTP/1.1 200 OK\r\n\r\n")
        await wire.expect(b"hello")
        await wire.send(b"world")

    tls = TlsScript(script, trusted.server_context())
    async with (
        ScriptedUpstream(tls) as upstream,
        running_px(f"https://{upstream.authority}", **as_user()) as px,
    ):
        assert (await px.get(URL))[1] == b"ok"
        client = await px.connect()
        await client.send(connect(b"origin.test:443"))
        await client.read_head()
        await client.send(b"hello")
        await client.expect(b"world")
        await client.expect_cut()


async def test_an_untrusted_upstream_causes_a_502_with_a_hint(authority: Authority) -> None:
    async def never(wire: Wire) -> None:
        raise AssertionError

    class Refused(TlsScript):
        async def __call__(self, wire: Wire) -> None:
            with pytest.raises((ssl.SSLError, OSError)):
                await super().__call__(wire)

    async with (
        ScriptedUpstream(Refused(never, authority.server_context())) as upstream,
        running_px(f"https://{upstream.authority}") as px,
    ):
        head, body = await px.get(URL)
        assert b" 502 " in head
        assert b"SSL_CERT_FILE" in body
        assert b"tls_certificate_error" in head
