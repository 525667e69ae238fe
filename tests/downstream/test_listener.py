"""Accepting clients, and closing their connections when Px stops."""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from ipaddress import ip_address

import pytest

from px.core.rules.access import ALL_INTERFACES, LOCALHOST
from px.core.startup_errors import ConfigError, PortInUseError
from px.downstream import session
from px.io.listening_socket import open_listening_socket, open_listening_sockets
from tests.free_ports import free_port
from tests.proxy.running_px import connect, get, running_px
from tests.scripted_upstream import ScriptedUpstream, Wire, answer, field_of, until

URL = b"http://origin.test/"


def test_a_port_in_use_is_an_error() -> None:
    with open_listening_socket("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(PortInUseError, match=f"port {port} on 127.0.0.1 is in use"):
            open_listening_socket("127.0.0.1", port)


def test_the_address_of_another_computer_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="--listen="):
        open_listening_socket("192.0.2.1", 0)


def test_ipv6_listens_beside_ipv4_on_one_port() -> None:
    with (
        open_listening_socket("127.0.0.1", 0) as first,
        open_listening_socket("::1", first.getsockname()[1]) as second,
    ):
        assert second.family == socket.AF_INET6


def test_all_interfaces_include_ipv4_and_ipv6() -> None:
    port = free_port()
    sockets, _ = open_listening_sockets(ALL_INTERFACES, port)
    try:
        for host in ("127.0.0.1", "127.0.0.7", "::1"):
            socket.create_connection((host, port), timeout=5).close()
    finally:
        close_all(sockets)


class _WithoutIpv6(socket.socket):
    """A socket of a system whose kernel was started without IPv6."""

    def __init__(self, family: int = socket.AF_INET, *args: int) -> None:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        super().__init__(family, *args)


def test_without_ipv6_all_interfaces_means_ipv4_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("px.io.listening_socket.socket.socket", _WithoutIpv6)
    (only,), warnings = open_listening_sockets(ALL_INTERFACES, free_port())
    assert warnings == []
    assert only.getsockname()[0] == "0.0.0.0"
    only.close()


def test_without_ipv6_an_ipv6_address_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("px.io.listening_socket.socket.socket", _WithoutIpv6)
    with pytest.raises(ConfigError, match="--listen=::1: cannot listen there: address family not"):
        open_listening_sockets([ip_address("127.0.0.1"), ip_address("::1")], free_port())


@pytest.mark.parametrize("taken", ["127.0.0.1", "127.0.0.2", "::1"])
def test_a_port_in_use_on_one_address_is_an_error_and_frees_the_other_addresses(taken: str) -> None:
    addresses = [ip_address(host) for host in ("127.0.0.1", "127.0.0.2", "::1")]
    with open_listening_socket(taken, free_port()) as first:
        port = first.getsockname()[1]
        with pytest.raises(PortInUseError, match=f"port {port} on {taken} is in use"):
            open_listening_sockets(addresses, port)
        with pytest.raises(PortInUseError):
            open_listening_sockets(ALL_INTERFACES, port)
    close_all(open_listening_sockets(addresses, port)[0])


def test_an_optional_address_in_use_is_left_out_with_a_warning() -> None:
    with open_listening_socket("::1", free_port()) as first:
        port = first.getsockname()[1]
        (only,), warnings = open_listening_sockets(LOCALHOST, port, optional=LOCALHOST[1:])
        assert only.getsockname() == ("127.0.0.1", port)
        in_use = f"port {port} on ::1 is in use, perhaps by another Px; end it or choose another --port"
        assert warnings == [f"Px does not listen on ::1, where some programs look for localhost: {in_use}"]
    only.close()


def test_without_ipv6_an_optional_address_of_it_is_left_out_silently(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("px.io.listening_socket.socket.socket", _WithoutIpv6)
    (only,), warnings = open_listening_sockets(LOCALHOST, free_port(), optional=LOCALHOST[1:])
    assert (only.getsockname()[0], warnings) == ("127.0.0.1", [])
    only.close()


def close_all(sockets: list[socket.socket]) -> None:
    for sock in sockets:
        sock.close()


async def test_a_stopping_px_lets_a_request_end_and_tells_the_client_to_close(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "GRACE_SECONDS", 0.1)
    asked, stopping = asyncio.Event(), asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.expect(get(URL))
        asked.set()
        await stopping.wait()
        await wire.send(answer())

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        busy, idle = await px.connect(), await px.connect()
        await busy.send(get(URL))
        await asked.wait()
        begun = time.monotonic()
        stop = asyncio.create_task(px.px.stop())
        await idle.expect_end()
        stopping.set()
        head, body = await busy.read_answer()
        assert (field_of(head, b"connection"), body) == (b"close", b"ok")
        half = asyncio.create_task(busy.expect_end())
        await half
        busy.close()
        await stop
        assert time.monotonic() - begun < 2


async def test_a_request_can_still_connect_while_px_stops() -> None:
    """The next socket gets the descriptor number of the closed listening socket."""
    asked, stopping = asyncio.Event(), asyncio.Event()

    async def first(wire: Wire) -> None:
        await wire.expect(get(URL))
        await wire.send(answer())
        await wire.expect(get(URL))
        asked.set()
        # Then the upstream closes without an answer, so Px sends the request over a new connection.
        await stopping.wait()

    async def second(wire: Wire) -> None:
        await wire.expect(get(URL))
        await wire.send(answer(200, b"again"))

    async with ScriptedUpstream(first, second) as upstream, running_px(upstream) as px:
        await px.get(URL)
        client = await px.connect()
        await client.send(get(URL))
        await asked.wait()
        stop = asyncio.create_task(px.px.stop())
        await asyncio.sleep(0.02)
        stopping.set()
        assert (await client.read_answer())[1] == b"again"
        client.close()
        await stop


async def test_a_stopping_px_cuts_off_requests_that_do_not_end_in_time() -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(connect(b"origin.test:443"))
        await wire.send(b"HTTP/1.1 200 OK\r\n\r\n")
        await wire.expect_cut()

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(connect(b"origin.test:443"))
        await client.read_head()
        await px.px._listener.stop(0.05)
        await client.expect_cut()
        assert "sessions=0" in repr(px.px._listener)


async def test_px_accepts_no_client_after_a_stop() -> None:
    async with ScriptedUpstream() as upstream, running_px(upstream) as px:
        await px.px.stop()
        with pytest.raises(ConnectionRefusedError):
            await px.connect()


async def test_many_clients_leave_no_objects_in_memory() -> None:
    async def script(wire: Wire) -> None:
        for _ in range(50):
            await wire.expect(get(URL))
            await wire.send(answer())
        await wire.expect_cut()

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        for _ in range(50):
            client = await px.connect()
            await client.send(get(URL))
            await client.expect(answer())
            client.close()
        await until(lambda: "sessions=0" in repr(px.px._listener))
        # The three are the pool, its one connection, and the traffic until the end of its slot.
        assert len(px.px._listener._io_loop._waiters) == 3
        px.px._pool.clear()


async def test_a_stopping_px_waits_for_the_first_request_of_a_new_connection() -> None:
    async def script(wire: Wire) -> None:
        await wire.read_head()
        await wire.send(answer())

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await until(lambda: px.px._listener.open_connections == 1)
        stop = asyncio.create_task(px.px.stop())
        await until(
            lambda: px.px._listener._sessions and next(iter(px.px._listener._sessions)).client.is_ending
        )
        await client.send(get(URL))
        head, body = await client.read_answer()
        assert (field_of(head, b"connection"), body) == (b"close", b"ok")
        client.close()
        await stop


async def test_a_stopping_px_accepts_one_more_request_over_a_connection_announced_as_kept() -> None:
    """Px stops during an answer whose head did not announce the end of the connection."""
    begun, stopping = asyncio.Event(), asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.read_head()
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
        begun.set()
        await stopping.wait()
        await wire.send(b"k")
        await wire.read_head()
        await wire.send(answer(200, b"again"))

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(get(URL))
        assert field_of(await client.read_head(), b"connection") is None
        await begun.wait()
        stop = asyncio.create_task(px.px.stop())
        await until(lambda: next(iter(px.px._listener._sessions)).client.is_ending)
        stopping.set()
        assert await client.read_exactly(2) == b"ok"
        await client.send(get(URL))
        head, body = await client.read_answer()
        assert (field_of(head, b"connection"), body) == (b"close", b"again")
        client.close()
        await stop


async def test_a_stopping_px_cuts_off_a_silent_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "GRACE_SECONDS", 0.0)
    async with running_px("127.0.0.1:1") as px:
        fresh, used = await px.connect(), await px.connect()
        await used.send(get(URL))
        await used.read_answer()
        stop = asyncio.create_task(px.px.stop(None))
        await fresh.expect_end()
        await used.expect_end()
        await stop


async def test_a_stopping_px_reads_a_partial_head_to_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "GRACE_SECONDS", 0.0)
    async with running_px("127.0.0.1:1") as px:
        client = await px.connect()
        await client.send(get(URL)[:-2])
        await until(lambda: any(each.client.stream.received_bytes for each in px.px._listener._sessions))
        stop = asyncio.create_task(px.px.stop(None))
        await until(lambda: next(iter(px.px._listener._sessions)).client.is_ending)
        await client.send(b"\r\n")
        assert field_of((await client.read_answer())[0], b"connection") == b"close"
        client.close()
        await stop
