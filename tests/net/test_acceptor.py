"""Accepting with the help of a thread, as Windows needs it."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from px.net.acceptor import ThreadAcceptor, accepting
from px.net.listening_socket import open_listening_socket
from tests.scripted_upstream import until

_SECONDS = 5.0


def connect(listening: socket.socket) -> socket.socket:
    return socket.create_connection(listening.getsockname(), _SECONDS)


async def test_connections_are_accepted_before_and_while_it_waits():
    with open_listening_socket("127.0.0.1", 0) as listening, connect(listening) as early:
        acceptor = ThreadAcceptor(listening)
        try:
            sock, address = await acceptor.accept()
            with sock:
                assert address == early.getsockname()
            waiting = asyncio.create_task(acceptor.accept())
            await asyncio.sleep(0.05)
            with connect(listening) as late:
                async with asyncio.timeout(_SECONDS):
                    sock, address = await waiting
                with sock:
                    assert address == late.getsockname()
        finally:
            acceptor.close()


async def test_two_share_a_socket_and_none_loses_a_connection():
    with open_listening_socket("127.0.0.1", 0) as listening, listening.dup() as other:
        acceptors = [ThreadAcceptor(listening), ThreadAcceptor(other)]
        accepted: list[tuple[str, int]] = []

        async def accept(acceptor: ThreadAcceptor) -> None:
            while True:
                sock, address = await acceptor.accept()
                sock.close()
                accepted.append((address[0], address[1]))

        tasks = [asyncio.create_task(accept(acceptor)) for acceptor in acceptors]
        clients = []
        for _ in range(50):
            clients.append(connect(listening))
            await asyncio.sleep(0)
        await until(lambda: len(accepted) == 50)
        assert sorted(accepted) == sorted(client.getsockname() for client in clients)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for acceptor in acceptors:
            acceptor.close()
        for client in clients:
            client.close()


async def test_a_wait_that_is_given_up_leaves_no_thread():
    with open_listening_socket("127.0.0.1", 0) as listening:
        acceptor = ThreadAcceptor(listening)
        waiting = asyncio.create_task(acceptor.accept())
        await asyncio.sleep(0.05)
        assert any(thread.name.startswith("px-accept") for thread in threading.enumerate())
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        acceptor.close()
        assert not any(thread.name.startswith("px-accept") for thread in threading.enumerate())


async def test_the_way_to_accept_is_that_of_the_loop(monkeypatch):
    monkeypatch.setattr(asyncio, "SelectorEventLoop", type("NoLoop", (), {}))  # which the running one is not
    with open_listening_socket("127.0.0.1", 0) as listening:
        async with accepting(listening) as accept:
            with connect(listening) as client:
                sock, address = await accept()
                with sock:
                    assert address == client.getsockname()
