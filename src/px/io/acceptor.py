"""Accepts connections from a listening socket that several processes may share."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import select
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

#: Waits for the next connection; returns its socket and the peer's address.
Accept = Callable[[], Awaitable[tuple[socket.socket, tuple[Any, ...]]]]

#: How long to wait for descriptors to become free before accepting again.
EXHAUSTED_SECONDS = 0.1

_LOGGER = logging.getLogger("px.listener")


@contextlib.asynccontextmanager
async def accepting(listening: socket.socket) -> AsyncIterator[Accept]:
    """Yield the `Accept` function that suits the running loop. It logs failures, then tries again.

    asyncio's own servers do not serve here: on Windows they close the listening socket for good when a client
    leaves before its connection is accepted, and leak the socket of that client.
    """
    loop = asyncio.get_running_loop()
    watches = isinstance(loop, asyncio.SelectorEventLoop)
    acceptor = WatchingAcceptor(listening) if watches else ThreadAcceptor(listening)

    async def accept() -> tuple[socket.socket, tuple[Any, ...]]:
        while True:
            try:
                return await acceptor.accept()
            except OSError as error:  # the client left already, or no descriptor is free
                _LOGGER.warning("accept: %s", error)
                if not isinstance(error, ConnectionError):
                    await asyncio.sleep(EXHAUSTED_SECONDS)

    try:
        yield accept
    finally:
        acceptor.close()


class WatchingAcceptor:
    """Accepts on a loop that watches descriptors: one connection each time the loop polls.

    So a long queue does not delay other tasks, and other processes get their share. `loop.sock_accept` would
    register and unregister the socket for each connection.

    Args:
        listening: A non-blocking socket, which stays open.
    """

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self._is_watching = False

    async def accept(self) -> tuple[socket.socket, tuple[Any, ...]]:
        """Return the next connection.

        Raises:
            OSError: The client has left already, or no descriptor is free.
        """
        while True:
            await self._wait()
            with contextlib.suppress(BlockingIOError):  # another process was faster
                return self._listening.accept()

    async def _wait(self) -> None:
        if not self._is_watching:
            self._loop.add_reader(self._listening, self._wake)
            self._is_watching = True
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is None or self._waiter.done():
            self.close()  # no task waits for a connection now
        else:
            self._waiter.set_result(None)

    def close(self) -> None:
        """Stop accepting."""
        if self._is_watching:
            self._loop.remove_reader(self._listening)
            self._is_watching = False

    def __repr__(self) -> str:
        return f"<WatchingAcceptor {self._listening.getsockname()}>"


class ThreadAcceptor:
    """Accepts on a loop that completes operations (Windows Proactor), with the help of a thread.

    Such a loop would bind the socket to its completion port, and a socket can belong to one port only: the
    other processes that listen on it could no longer accept. So a thread waits for connections, and this
    object accepts all that have arrived.

    Args:
        listening: A non-blocking socket, which stays open.
    """

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening
        self._wake, self._woken = socket.socketpair()
        self._thread = ThreadPoolExecutor(1, "px-accept")

    async def accept(self) -> tuple[socket.socket, tuple[Any, ...]]:
        """Return the next connection.

        Raises:
            OSError: The client has left already, or no descriptor is free.
        """
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(0)  # a long queue must not delay other tasks, or leave other workers idle
            with contextlib.suppress(BlockingIOError):  # no connection waits, or another process was faster
                return self._listening.accept()
            await loop.run_in_executor(self._thread, self._wait)

    def _wait(self) -> None:
        select.select([self._listening, self._woken], [], [])

    def close(self) -> None:
        """Stop accepting."""
        self._wake.close()  # ends the wait
        self._thread.shutdown()
        self._woken.close()

    def __repr__(self) -> str:
        return f"<ThreadAcceptor {self._listening.getsockname()}>"
