"""The system's knowledge of a connection."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest

from px.io.liveness import SILENT_SECONDS, is_stranded, set_liveness_timeouts, unsent_bytes


@pytest.fixture
def connected() -> Iterator[socket.socket]:
    """Yield a socket that is connected to another one over the loopback interface."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()) as near,
        closing(listening.accept()[0]),
    ):
        yield near


def test_a_connection_over_the_loopback_interface_is_not_stranded(connected: socket.socket) -> None:
    verdicts: dict[tuple[str, str], bool] = {}
    assert not is_stranded(connected, verdicts)
    assert verdicts == {("127.0.0.1", "127.0.0.1"): False}


def test_a_verdict_is_reused_for_the_same_addresses(connected: socket.socket) -> None:
    assert is_stranded(connected, {("127.0.0.1", "127.0.0.1"): True})


def test_a_closed_socket_is_stranded_and_has_nothing_unsent(connected: socket.socket) -> None:
    connected.close()
    assert is_stranded(connected, {})
    assert unsent_bytes(connected) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not report unconfirmed bytes")
def test_bytes_that_the_peer_has_no_room_for_are_unsent(connected: socket.socket) -> None:
    connected.setblocking(False)
    sent = 0
    while True:
        try:
            sent += connected.send(bytes(64 * 1024))
        except BlockingIOError:
            break
    unsent = unsent_bytes(connected)
    assert unsent is not None
    assert 0 < unsent <= sent


@pytest.mark.skipif(sys.platform != "linux", reason="the socket option has this name only on Linux")
def test_a_connection_breaks_when_its_peer_confirms_nothing(connected: socket.socket) -> None:
    set_liveness_timeouts(connected)
    assert connected.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == SILENT_SECONDS * 1000
