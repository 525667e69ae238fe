"""Accepting clients, and letting go of them."""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from ipaddress import ip_address

import pytest

from px.core.access import ALL_INTERFACES
from px.core.startup_errors import ConfigError, PortInUseError
from px.net.listening_socket import open_listening_socket, open_listening_sockets
from tests.free_ports import free_port
from tests.net.running_px import connect, get, running_px
from tests.scripted_upstream import ScriptedUpstream, Wire, answer, field_of, until

URL = b"http://origin.test/"


def test_a_port_in_use_is_told() -> None:
    with open_listening_socket("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(PortInUseError, match=f"port {port} on 127.0.0.1 is in use"):
            open_listening_socket("127.0.0.1", port)


def test_an_address_of_another_computer_is_a_mistake_in_the_configuration() -> None:
    with pytest.raises(ConfigError, match="--listen="):
        open_listening_socket("192.0.2.1", 0)


def test_ipv6_listens_beside_ipv4_on_one_port() -> None:
    with (
        open_listening_socket("127.0.0.1", 0) as first,
        open_listening_socket("::1", first.getsockname()[1]) as second,
    ):
        assert second.family == socket.AF_INET6


def test_all_interfaces_are_those_of_ipv4_and_ipv6() -> None:
    port = free_port()
    sockets = open_listening_sockets(ALL_INTERFACES, port)
    try:
        for host in ("127.0.0.1", "127.0.0.7", "::1"):
            socket.create_connection((host, port), timeout=5).close()
    finally:
        close_all(sockets)


class _WithoutIpv6(socket.socket):
    """What a socket is on a system whose kernel was started without IPv6."""

    def __init__(self, family: int = socket.AF_INET, *args: int) -> None:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        super().__init__(family, *args)


def test_without_ipv6_all_interfaces_are_those_of_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("px.net.listening_socket.socket.socket", _WithoutIpv6)
    (only,) = open_listening_sockets(ALL_INTERFACES, free_port())
    assert only.getsockname()[0] == "0.0.0.0"
    only.close()


def test_without_ipv6_an_address_of_it_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("px.net.listening_socket.socket.socket", _WithoutIpv6)
    with pytest.raises(ConfigError, match="--listen=::1: cannot listen there: address family not"):
        open_listening_sockets([ip_address("127.0.0.1"), ip_address("::1")], free_port())


@pytest.mark.parametrize("taken", ["127.0.0.1", "127.0.0.2", "::1"])
def test_a_port_in_use_on_one_address_is_told_and_the_others_are_free_again(taken: str) -> None:
    addresses = [ip_address(host) for host in ("127.0.0.1", "127.0.0.2", "::1")]
    with open_listening_socket(taken, free_port()) as first:
        port = first.getsockname()[1]
        with pytest.raises(PortInUseError, match=f"port {port} on {taken} is in use"):
            open_listening_sockets(addresses, port)
        with pytest.raises(PortInUseError):
            open_listening_sockets(ALL_INTERFACES, port)
    close_all(open_listening_sockets(addresses, port))


def close_all(sockets: list[socket.socket]) -> None:
    for sock in sockets:
        sock.close()


async def test_a_request_under_way_may_end_when_px_stops_and_its_client_is_told_to_close() -> None:
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


async def test_a_request_under_way_can_still_dial_while_px_stops() -> None:
    """The number of the closed listening socket is given to the next socket."""
    asked, stopping = asyncio.Event(), asyncio.Event()

    async def first(wire: Wire) -> None:
        await wire.expect(get(URL))
        await wire.send(answer())
        await wire.expect(get(URL))
        asked.set()
        await stopping.wait()  # then it closes without an answer: the request goes over a new connection

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


async def test_what_does_not_end_in_time_is_cut_off() -> None:
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


async def test_nobody_is_accepted_after_a_stop() -> None:
    async with ScriptedUpstream() as upstream, running_px(upstream) as px:
        await px.px.stop()
        with pytest.raises(ConnectionRefusedError):
            await px.connect()


async def test_many_clients_leave_nothing_behind() -> None:
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
        assert len(px.px._listener._io_loop._waiters) == 2  # the pool and its one connection
        px.px._pool.clear()
