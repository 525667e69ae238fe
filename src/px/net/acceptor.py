"""Accepts connections from a listening socket that several processes may share."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

#: Returns the next connection and its peer's address, when there is one.
Accept = Callable[[], Awaitable[tuple[socket.socket, tuple[Any, ...]]]]


@contextlib.asynccontextmanager
async def accepting(listening: socket.socket) -> AsyncIterator[Accept]:
    """Give the way to accept connections that the running loop allows."""
    loop = asyncio.get_running_loop()
    watches = isinstance(loop, asyncio.SelectorEventLoop)
    acceptor = WatchingAcceptor(listening) if watches else ThreadAcceptor(listening)
    try:
        yield acceptor.accept
    finally:
        acceptor.close()


class WatchingAcceptor:
    """Accepts on a loop that watches descriptors: one connection each time the loop looks.

    So a queue of them keeps nobody waiting, and other processes have their share. `loop.sock_accept` would
    begin and end watching for each.

    Args:
        listening: Non-blocking; it stays open.
    """

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self._is_watching = False

    async def accept(self) -> tuple[socket.socket, tuple[Any, ...]]:
        """Return the next connection.

        Raises:
            OSError: The client has left already, or there is no descriptor for it.
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
            self.close()  # whoever accepts has no time now
        else:
            self._waiter.set_result(None)

    def close(self) -> None:
        """Accept no more."""
        if self._is_watching:
            self._loop.remove_reader(self._listening)
            self._is_watching = False

    def __repr__(self) -> str:
        return f"<WatchingAcceptor {self._listening.getsockname()}>"


class ThreadAcceptor:
    """Accepts on a loop that completes operations (Windows Proactor), helped by a thread.

    Such a loop would take the socket into its completion port, and a socket is in one port at most: the
    other processes that listen on it could not accept any more. So a thread waits for connections, and this
    accepts all that are there.

    Args:
        listening: Non-blocking; it stays open.
    """

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening
        self._wake, self._woken = socket.socketpair()
        self._thread = ThreadPoolExecutor(1, "px-accept")

    async def accept(self) -> tuple[socket.socket, tuple[Any, ...]]:
        """Return the next connection.

        Raises:
            OSError: The client has left already, or there is no descriptor for it.
        """
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(0)  # a queue of them must not keep others waiting, nor other workers idle
            with contextlib.suppress(BlockingIOError):  # none is there, or another process was faster
                return self._listening.accept()
            await loop.run_in_executor(self._thread, self._wait)

    def _wait(self) -> None:
        select.select([self._listening, self._woken], [], [])

    def close(self) -> None:
        """Accept no more."""
        self._wake.close()  # ends the wait
        self._thread.shutdown()
        self._woken.close()

    def __repr__(self) -> str:
        return f"<ThreadAcceptor {self._listening.getsockname()}>"
