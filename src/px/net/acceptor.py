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
    if isinstance(loop, asyncio.SelectorEventLoop):
        yield lambda: loop.sock_accept(listening)
        return
    acceptor = ThreadAcceptor(listening)
    try:
        yield acceptor.accept
    finally:
        acceptor.close()


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
