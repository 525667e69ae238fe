"""Accepts clients and begins their sessions."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import sys
from collections.abc import Callable
from itertools import count

from px.core.errors import ForbiddenError
from px.core.own_answer import format_error
from px.core.startup_errors import ConfigError, PortInUseError
from px.net.completion_stream import CompletionStream
from px.net.io_loop import IoLoop
from px.net.service import Service
from px.net.session import LINGER_SECONDS, Session
from px.net.socket_stream import SocketStream, open_stream

BACKLOG = 1024
#: SPEC 5: requests under way at a stop may end within this time.
DRAIN_SECONDS = 5.0
#: How long to wait for descriptors to become free before accepting again.
EXHAUSTED_SECONDS = 0.1

_LOGGER = logging.getLogger("px.listener")


def open_listening_socket(address: str, port: int) -> socket.socket:
    """Listen on an address; a second Px on the same one is refused by the system.

    Raises:
        PortInUseError: Somebody listens there.
        ConfigError: The address is not one of this computer's, or the port not one of this user's.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform == "win32":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:  # only connections of a Px that has ended may be in the way, not one that listens
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address, port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise _explain(error, address, port) from error
    sock.setblocking(False)
    return sock


def _explain(error: OSError, address: str, port: int) -> ConfigError | PortInUseError:
    if error.errno in (errno.EADDRINUSE, getattr(errno, "WSAEADDRINUSE", errno.EADDRINUSE)):
        return PortInUseError(
            f"port {port} on {address} is in use, perhaps by another Px; end it or choose another --port"
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return PortInUseError(f"port {port} on {address} may not be used by this user; choose another --port")
    return ConfigError(f"--listen={address}: cannot listen there: {(error.strerror or str(error)).lower()}")


class Listener:
    """Serves clients on some sockets.

    Args:
        sockets: That listen.
        service: What the sessions share.
        admits: Whether a client's IP address may use Px.
    """

    def __init__(self, sockets: list[socket.socket], service: Service, admits: Callable[[str], bool]) -> None:
        self._sockets = sockets
        self._service = service
        self._admits = admits
        self._io_loop: IoLoop = service.io_loop
        self._sessions: dict[asyncio.Task[None], Session | None] = {}
        self._names = count(1)
        self._accepting: list[asyncio.Task[None]] = []

    async def serve(self) -> None:
        """Accept clients until `stop`, or until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._accepting = [group.create_task(self._accept(sock)) for sock in self._sockets]

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, address = await loop.sock_accept(listening)
            except OSError as error:  # the client left already, or no descriptor is free
                _LOGGER.warning("accept: %s", error)
                if error.errno != errno.ECONNABORTED:
                    await asyncio.sleep(EXHAUSTED_SECONDS)
                continue
            self._begin(sock, str(address[0]), int(address[1]))

    def _begin(self, sock: socket.socket, host: str, port: int) -> None:
        stream = open_stream(sock, self._io_loop, f"{host}:{port}")
        if self._admits(host):
            session = Session(stream, self._service, f"c{next(self._names)}")
            task = asyncio.create_task(session.run())
        else:
            session = None
            task = asyncio.create_task(_refuse(stream, self._io_loop, host))
        self._sessions[task] = session
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        del self._sessions[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOGGER.error("a session failed, which is a fault of Px", exc_info=error)

    async def stop(self, drain_seconds: float = DRAIN_SECONDS) -> None:
        """Accept nobody more, let requests under way end, then cut off what is left."""
        for task in self._accepting:
            task.cancel()
        await asyncio.gather(*self._accepting, return_exceptions=True)
        for sock in self._sockets:
            sock.close()
        for session in self._sessions.values():
            if session is not None:
                session.end()
        if self._sessions:
            await asyncio.wait(list(self._sessions), timeout=drain_seconds)
        left = list(self._sessions)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def __repr__(self) -> str:
        return f"<Listener sockets={len(self._sockets)} sessions={len(self._sessions)}>"


async def _refuse(stream: SocketStream | CompletionStream, io_loop: IoLoop, host: str) -> None:
    """Tell a client that may not use Px so, without reading what it wants."""
    error = ForbiddenError(
        f"Clients at {host} may not use this Px.", "Who runs it can admit them with --allow."
    )
    _LOGGER.warning("refused %s", host)
    stream.deadline = io_loop.now() + LINGER_SECONDS
    try:
        with contextlib.suppress(OSError):
            await stream.write(format_error(error, None, keep_alive=False))
            await stream.write_eof()
            while await stream.read():
                pass
    finally:
        stream.close()
