"""Refused clients get the reason, however they behave."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from px.downstream import refusals as module
from px.downstream.http_front_end import HttpFrontEnd
from px.downstream.refusals import MAX_LINGERING, Refusals
from px.io.io_loop import NEVER, IoLoop
from px.io.stream import _RESET_ON_CLOSE
from tests.scripted_upstream import until


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def connect(listening: socket.socket) -> tuple[socket.socket, socket.socket]:
    """Return a client and the accepted end of its connection."""
    client = socket.create_connection(listening.getsockname(), timeout=5)
    accepted, _ = listening.accept()
    accepted.setblocking(False)
    return client, accepted


def read_all(client: socket.socket) -> bytes:
    received = b""
    while data := client.recv(65536):
        received += data
    return received


async def test_a_refused_client_gets_the_reason_and_then_the_end(listening: socket.socket) -> None:
    refusals = Refusals(IoLoop(), "Ask me.")
    client, accepted = connect(listening)
    with client:
        client.sendall(b"GET http://secret.test/ HTTP/1.1\r\nHost: secret.test\r\n\r\n")
        refusals.refuse(accepted, "192.0.2.9", HttpFrontEnd.format_refusal)
        head, _, body = read_all(client).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 403 Px: not allowed\r\n")
    assert b"Connection: close" in head
    assert b"Clients at 192.0.2.9 may not use this Px." in body
    assert b"Ask me." in body
    refusals.close()
    assert accepted.fileno() == -1


async def test_px_cuts_off_a_refused_client_that_stays(
    listening: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LINGER_SECONDS", 0.05)
    io_loop = IoLoop()
    refusals = Refusals(io_loop, "")
    client, accepted = connect(listening)
    with client:
        refusals.refuse(accepted, "192.0.2.9", HttpFrontEnd.format_refusal)
        await until(lambda: accepted.fileno() == -1)
    assert refusals.deadline == NEVER
    assert not io_loop._waiters


async def test_the_number_of_lingering_clients_is_bounded_and_the_oldest_is_closed_first(
    listening: socket.socket,
) -> None:
    refusals = Refusals(IoLoop(), "")
    pairs = [connect(listening) for _ in range(MAX_LINGERING + 3)]
    for _, accepted in pairs:
        refusals.refuse(accepted, "192.0.2.9", HttpFrontEnd.format_refusal)
    open_ones = [accepted for _, accepted in pairs if accepted.fileno() != -1]
    assert open_ones == [accepted for _, accepted in pairs[3:]]
    assert repr(refusals) == f"<Refusals lingering={MAX_LINGERING}>"
    for client, _ in pairs:
        assert b" 403 " in read_all(client)
        client.close()
    refusals.close()


async def test_px_can_refuse_a_client_that_has_already_left(listening: socket.socket) -> None:
    refusals = Refusals(IoLoop(), "")
    client, accepted = connect(listening)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    client.close()  # a reset
    await asyncio.sleep(0)
    refusals.refuse(accepted, "192.0.2.9", HttpFrontEnd.format_refusal)
    refusals.close()
