"""Tunnels: Px closes each direction separately, and a stalled peer delays no other tunnel."""

from __future__ import annotations

import hashlib
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.corpnet.network import CorporateNetwork
from tests.corpnet.payload import payload, payload_bytes
from tests.px_process import PxProcess

from . import exchanges
from .exchanges import HOST
from .http_client import Client
from .logins import LOGINS
from .peers import read_all, read_head, running_peer

_LENGTH = 3_000_017
_MUCH_BYTES = 200_000_000
_MAX_GROWTH_BYTES = 20 * 1024 * 1024


@pytest.fixture
def px(tmp_path: Path):
    """Yield a Px that connects directly."""
    with PxProcess(tmp_path, "--noproxy=*", "--idle=20", "--verbose") as running:
        yield running


def _open(px: PxProcess, port: int) -> Client:
    client = Client(px.port)
    assert client.connect(f"127.0.0.1:{port}").status == 200
    return client


@pytest.mark.px_under_wine
def test_a_client_that_ends_first_still_gets_its_answer(px: PxProcess) -> None:
    received = []

    def serve(connection: socket.socket) -> None:
        received.append(read_all(connection))
        connection.sendall(payload_bytes(_LENGTH))

    with running_peer(serve) as peer, _open(px, peer.port) as client:
        client.send(payload_bytes(_LENGTH))
        client.shut_down_writing()
        assert client.read_to_end() == payload_bytes(_LENGTH)
    assert received == [payload_bytes(_LENGTH)]


@pytest.mark.px_under_wine
def test_a_server_that_ends_first_still_gets_the_bytes_of_the_client(px: PxProcess) -> None:
    received = []

    def serve(connection: socket.socket) -> None:
        connection.sendall(b"all I have to say")
        connection.shutdown(socket.SHUT_WR)
        received.append(read_all(connection))

    with running_peer(serve) as peer, _open(px, peer.port) as client:
        assert client.read_to_end() == b"all I have to say"
        client.send(payload_bytes(_LENGTH))
        client.shut_down_writing()
        assert peer.is_through.wait(20)
    assert received == [payload_bytes(_LENGTH)]


@pytest.mark.px_under_wine
def test_bytes_that_follow_the_head_of_a_connect_reach_the_server(px: PxProcess) -> None:
    received = []

    def serve(connection: socket.socket) -> None:
        received.append(read_all(connection))

    with running_peer(serve) as peer, Client(px.port) as client:
        authority = f"127.0.0.1:{peer.port}"
        client.send(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\nglued".encode())
        assert client.read_answer("CONNECT").status == 200
        client.send(b" and later")
        client.shut_down_writing()
        assert client.read_to_end() == b""
    assert received == [b"glued and later"]


@pytest.mark.px_under_wine
def test_a_reset_of_one_side_ends_the_other_side(px: PxProcess) -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    with running_peer(serve) as peer, _open(px, peer.port) as client:
        client.send(b"x")
        assert client.is_closed_by_peer()


@pytest.mark.px_under_wine
def test_px_forwards_large_streams_in_both_directions_without_storing_them(px: PxProcess) -> None:
    before = px.memory_bytes()
    with running_peer(_exchange_much) as peer, socket.create_connection(("127.0.0.1", px.port), 30) as client:
        client.sendall(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: x\r\n\r\n" % peer.port)
        assert read_head(client).startswith(b"HTTP/1.1 200 ")
        _exchange_much(client)
    assert px.peak_memory_bytes() - before < _MAX_GROWTH_BYTES


def _exchange_much(connection: socket.socket) -> None:
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(_send_much, connection)
        digest = hashlib.sha256()
        while piece := connection.recv(262_144):
            digest.update(piece)
        sending.result()
    assert digest.hexdigest() == exchanges.checksum(_MUCH_BYTES)


def _send_much(connection: socket.socket) -> None:
    for piece in payload(_MUCH_BYTES):
        connection.sendall(piece)
    connection.shutdown(socket.SHUT_WR)


@pytest.mark.px_under_wine
@pytest.mark.parametrize("kind", ["CONNECT", "GET"])
def test_a_client_that_reads_nothing_delays_no_other_client(
    px: PxProcess, network: CorporateNetwork, kind: str
) -> None:
    huge = 100_000_000
    with Client(px.port) as stalled:
        if kind == "CONNECT":
            assert stalled.connect(f"127.0.0.1:{network.origin.port}").status == 200
            stalled.send_head("GET", f"/bytes/{huge}", [("Host", HOST)])
        else:
            stalled.send_head("GET", network.origin.url(f"/bytes/{huge}"))
        assert stalled.read_head().status == 200
        before = px.memory_bytes()
        for _ in range(20):
            with Client(px.port) as client:
                assert client.get(network.origin.url()).text == "origin\n"
            with _open(px, network.origin.port) as client:
                exchanges.check_origin_is_reached(client)
        assert px.peak_memory_bytes() - before < _MAX_GROWTH_BYTES
        digest, left = hashlib.sha256(), huge
        while left:
            piece = stalled.reader.read(min(1 << 20, left))
            assert piece
            digest.update(piece)
            left -= len(piece)
        assert digest.hexdigest() == exchanges.checksum(huge)


@pytest.mark.px_under_wine
def test_a_server_that_reads_nothing_delays_no_other_client(px: PxProcess, network: CorporateNetwork) -> None:
    may_read = threading.Event()
    received = []

    def serve(connection: socket.socket) -> None:
        assert may_read.wait(20)
        received.append(read_all(connection))

    with running_peer(serve) as peer, _open(px, peer.port) as client:
        sending = threading.Thread(target=client.send, args=(payload_bytes(20 * _LENGTH),))
        sending.start()
        for _ in range(20):
            with Client(px.port) as other:
                assert other.get(network.origin.url()).text == "origin\n"
        assert sending.is_alive(), "60 MB were sent although the server read nothing"
        may_read.set()
        sending.join(20)
        client.shut_down_writing()
        assert client.read_to_end() == b""
    assert received == [payload_bytes(20 * _LENGTH)]


@pytest.mark.shows("--idle")
@pytest.mark.px_under_wine
def test_a_silent_tunnel_is_closed_after_idle(tmp_path: Path, network: CorporateNetwork) -> None:
    with (
        PxProcess(tmp_path, "--noproxy=*", "--idle=1", "--verbose") as px,
        _open(px, network.origin.port) as silent,
    ):
        assert silent.is_closed_by_peer()


@pytest.mark.px_under_wine("ntlm")
@pytest.mark.parametrize("login", ["ntlm", "kerberos-ad-ticket"])
def test_many_concurrent_tunnels_through_an_upstream_work(
    network: CorporateNetwork, tmp_path: Path, login: str
) -> None:
    with LOGINS[login].running_px(network, tmp_path) as px:
        clients = [Client(px.port) for _ in range(60)]
        try:
            for client in clients:
                client.send_head("CONNECT", f"{HOST}:{network.origin.port}")
            for client in clients:
                assert client.read_answer("CONNECT").status == 200
            for client in clients:
                exchanges.check_origin_is_reached(client)
        finally:
            for client in clients:
                client.close()
