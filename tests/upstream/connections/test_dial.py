"""Connects, raced over all addresses of a host (RFC 8305)."""

from __future__ import annotations

import asyncio
import errno
import socket
import time

import pytest

from px.core.errors import UnreachableError
from px.core.http.target import Authority
from px.io.io_loop import IoLoop
from px.upstream.connections import dial
from px.upstream.connections.dial import Dialer, interleave_families
from px.upstream.connections.resolver import Resolver
from tests.io.silent import Silent

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


async def test_the_dialer_opens_a_connection(listening: socket.socket) -> None:
    port = listening.getsockname()[1]
    stream = await dialer("127.0.0.1").connect("host.test", port)
    assert stream.peer == f"host.test:{port}"
    stream.close()


async def test_the_dialer_tries_the_next_address_at_once_after_a_refusal(listening: socket.socket) -> None:
    begun = time.monotonic()
    stream = await dialer("127.0.0.3", "127.0.0.1").connect("host.test", listening.getsockname()[1])
    assert time.monotonic() - begun < dial.ATTEMPT_DELAY_SECONDS
    assert stream.sock.getpeername()[0] == "127.0.0.1"
    stream.close()


async def test_a_silent_address_costs_a_quarter_of_a_second(listening: socket.socket) -> None:
    port = listening.getsockname()[1]
    with Silent(port):
        begun = time.monotonic()
        stream = await dialer("127.0.0.2", "127.0.0.1").connect("host.test", port)
        assert 0.2 < time.monotonic() - begun < 1
        assert stream.sock.getpeername()[0] == "127.0.0.1"
        stream.close()


async def test_a_host_without_an_answering_address_is_unreachable(listening: socket.socket) -> None:
    port = listening.getsockname()[1]
    with Silent(port), pytest.raises(UnreachableError, match=r"within 0\.1 s") as caught:
        await dialer("127.0.0.2", timeout_seconds=0.1).connect("host.test", port)
    assert caught.value.proxy_status == "connection_timeout"


async def test_a_refused_connection_is_described_in_plain_words() -> None:
    for addresses in (("127.0.0.1",), ("127.0.0.1", "127.0.0.3")):
        with pytest.raises(UnreachableError, match="nothing listens there") as caught:
            await dialer(*addresses).connect("host.test", 1)
        assert caught.value.proxy_status == "connection_refused"


@pytest.mark.parametrize(
    ("number", "proxy_status"),
    [
        (errno.ENETUNREACH, "destination_ip_unroutable"),
        (errno.EHOSTUNREACH, "destination_ip_unroutable"),
        (errno.ETIMEDOUT, "connection_timeout"),
        (errno.ECONNRESET, "connection_refused"),
    ],
)
def test_the_error_type_matches_the_error_of_the_system(number: int, proxy_status: str) -> None:
    assert dial._explain(OSError(number, "")).proxy_status == proxy_status


async def test_the_dialer_closes_one_of_two_connections(listening: socket.socket) -> None:
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


async def test_px_never_connects_to_itself_under_any_name(listening: socket.socket) -> None:
    """Without a Via field one request would loop until no descriptor is left."""
    with pytest.raises(UnreachableError, match="Px itself listens there") as caught:
        await dialer(OWN.host).connect("evil.test", OWN.port)
    assert (caught.value.status, caught.value.proxy_status) == (508, "proxy_loop_detected")
    stream = await dialer(OWN.host, "127.0.0.1").connect("host.test", listening.getsockname()[1])
    stream.close()
