"""Connects, raced over all addresses of a host (RFC 8305)."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from px.core.errors import UnreachableError
from px.core.target import Authority
from px.net import dial
from px.net.dial import Dialer, interleave_families
from px.net.io_loop import IoLoop
from px.net.resolver import Resolver
from tests.net.silent import Silent

OWN = Authority("127.0.0.9", 3128)


def dialer(*addresses: str, timeout_seconds: float = 5) -> Dialer:
    async def run(function: object, host: str) -> list[str]:
        return list(addresses)

    io_loop = IoLoop()
    return Dialer(io_loop, Resolver(run, io_loop.now), timeout_seconds, lambda at: at == OWN)


@pytest.fixture
def listening():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


async def test_a_connection_stands(listening: socket.socket) -> None:
    port = listening.getsockname()[1]
    stream = await dialer("127.0.0.1").connect("host.test", port)
    assert stream.peer == f"host.test:{port}"
    stream.close()


async def test_a_refusal_goes_on_to_the_next_address_at_once(listening: socket.socket) -> None:
    begun = time.monotonic()
    stream = await dialer("127.0.0.3", "127.0.0.1").connect("host.test", listening.getsockname()[1])
    assert time.monotonic() - begun < dial.ATTEMPT_DELAY_SECONDS
    assert stream.sock.getpeername()[0] == "127.0.0.1"
    stream.close()


async def test_a_silent_address_delays_a_quarter_of_a_second(listening: socket.socket) -> None:
    port = listening.getsockname()[1]
    with Silent(port):
        begun = time.monotonic()
        stream = await dialer("127.0.0.2", "127.0.0.1").connect("host.test", port)
        assert 0.2 < time.monotonic() - begun < 1
        assert stream.sock.getpeername()[0] == "127.0.0.1"
        stream.close()


async def test_no_address_that_answers_in_time_is_unreachable(listening: socket.socket) -> None:
    port = listening.getsockname()[1]
    with Silent(port), pytest.raises(UnreachableError, match=r"within 0\.1 s") as caught:
        await dialer("127.0.0.2", timeout_seconds=0.1).connect("host.test", port)
    assert caught.value.proxy_status == "connection_timeout"


async def test_a_refusal_is_said_in_plain_words() -> None:
    for addresses in (("127.0.0.1",), ("127.0.0.1", "127.0.0.3")):
        with pytest.raises(UnreachableError, match="nothing listens there") as caught:
            await dialer(*addresses).connect("host.test", 1)
        assert caught.value.proxy_status == "connection_refused"


async def test_of_two_that_stand_one_is_closed(listening: socket.socket) -> None:
    port = listening.getsockname()[1]
    with socket.create_server(("127.0.0.2", port)) as other:
        stream = await dialer("127.0.0.1", "127.0.0.2").connect("host.test", port)
        await asyncio.sleep(0)
        listening.accept()[0].close()
        other.setblocking(False)
        try:
            late, _ = other.accept()
        except BlockingIOError:
            late = None
        if late is not None:
            late.settimeout(5)
            assert late.recv(1) == b""
            late.close()
        stream.close()


def test_families_alternate_beginning_with_the_preferred_one() -> None:
    assert interleave_families(["::1", "::2", "1.1.1.1", "::3"]) == ["::1", "1.1.1.1", "::2", "::3"]
    assert interleave_families(["1.1.1.1", "1.1.1.2", "::1"]) == ["1.1.1.1", "::1", "1.1.1.2"]
    assert interleave_families(["1.1.1.1"]) == ["1.1.1.1"]


async def test_px_never_connects_to_itself_whatever_the_name(listening: socket.socket) -> None:
    """Without Via one request would come back until there is no descriptor left."""
    with pytest.raises(UnreachableError, match="where Px itself listens") as caught:
        await dialer(OWN.host).connect("evil.test", OWN.port)
    assert (caught.value.status, caught.value.proxy_status) == (508, "proxy_loop_detected")
    stream = await dialer(OWN.host, "127.0.0.1").connect("host.test", listening.getsockname()[1])
    stream.close()
