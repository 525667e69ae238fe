"""Accepting connections in a thread, which Windows needs."""

from __future__ import annotations

import asyncio
import errno
import socket
import threading

import pytest

from px.io.acceptor import ThreadAcceptor, accepting
from px.io.listening_socket import open_listening_socket
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


async def test_two_acceptors_share_a_socket_and_lose_no_connection():
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


async def test_a_cancelled_wait_leaves_no_thread():
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


async def test_the_kind_of_acceptor_depends_on_the_loop(monkeypatch):
    # Now the running loop counts as one that completes operations.
    monkeypatch.setattr(asyncio, "SelectorEventLoop", type("NoLoop", (), {}))
    with open_listening_socket("127.0.0.1", 0) as listening:
        async with accepting(listening) as accept:
            with connect(listening) as client:
                sock, address = await accept()
                with sock:
                    assert address == client.getsockname()


class _FailingOnce(socket.socket):
    """A listening socket whose first `accept` fails: the client has left, or no descriptor is free."""

    failure: OSError | None = None

    def accept(self) -> tuple[socket.socket, tuple[str, int]]:
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure
        return super().accept()


@pytest.mark.parametrize("number", [errno.ECONNABORTED, errno.ECONNRESET, errno.EMFILE])
async def test_a_failure_to_accept_is_logged_and_the_next_client_is_accepted(number, caplog):
    with _FailingOnce() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.setblocking(False)
        listening.failure = OSError(number, "a test")
        with connect(listening) as client:
            async with asyncio.timeout(_SECONDS), accepting(listening) as accept:
                sock, address = await accept()
                with sock:
                    assert address == client.getsockname()
    assert "a test" in caplog.text
