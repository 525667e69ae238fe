"""Accepts clients and begins their sessions."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import sys
from collections.abc import Callable, Sequence
from ipaddress import IPv6Address
from itertools import count
from typing import Any

from px.core.host import Address
from px.core.startup_errors import ConfigError, PortInUseError
from px.net.io_loop import IoLoop
from px.net.refusals import Refusals
from px.net.service import Service
from px.net.session import Session
from px.net.socket_stream import open_stream

BACKLOG = 1024
#: SPEC 5: requests under way at a stop may end within this time.
DRAIN_SECONDS = 5.0
#: How long to wait for descriptors to become free before accepting again.
EXHAUSTED_SECONDS = 0.1

_ALL_IPV6 = IPv6Address("::")

_LOGGER = logging.getLogger("px.listener")


def open_listening_socket(address: str, port: int) -> socket.socket:
    """Listen on an address; a second Px on the same one is refused by the system.

    Raises:
        PortInUseError: Somebody listens there.
        ConfigError: The address is not one of this computer's, or the port not one of this user's.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except OSError as error:  # no such version of IP here
        raise _explain(error, address, port) from error
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


def open_listening_sockets(addresses: Sequence[Address], port: int) -> list[socket.socket]:
    """Listen on all these addresses, or on none.

    All of IPv6 is left out on a system that has none.

    Raises:
        PortInUseError: Somebody listens on one of them.
        ConfigError: One is not this computer's, or the port not one of this user's.
    """
    with contextlib.ExitStack() as opened:
        sockets: list[socket.socket] = []
        for address in addresses:
            try:
                sock = open_listening_socket(str(address), port)
            except ConfigError as error:
                if sockets and address == _ALL_IPV6 and _lacks_address_family(error.__cause__):
                    continue
                raise
            sockets.append(opened.enter_context(sock))
        opened.pop_all()
        return sockets


def _lacks_address_family(error: BaseException | None) -> bool:
    return isinstance(error, OSError) and error.errno in {
        errno.EAFNOSUPPORT,
        errno.EADDRNOTAVAIL,
        getattr(errno, "WSAEAFNOSUPPORT", None),
        getattr(errno, "WSAEADDRNOTAVAIL", None),
    }


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
        refusals: For those that may not.
    """

    def __init__(
        self,
        sockets: list[socket.socket],
        service: Service,
        admits: Callable[[str], bool],
        refusals: Refusals,
    ) -> None:
        self._sockets = sockets
        self._service = service
        self._admits = admits
        self._refusals = refusals
        self._io_loop: IoLoop = service.io_loop
        self._sessions: dict[asyncio.Task[None], Session] = {}
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
            host = _name_host(address)
            if self._admits(host):
                self._begin(sock, host, int(address[1]))
            else:
                self._refusals.refuse(sock, host)
                await asyncio.sleep(0)  # a queue of them must not keep others waiting

    def _begin(self, sock: socket.socket, host: str, port: int) -> None:
        stream = open_stream(sock, self._io_loop, f"{host}:{port}")
        session = Session(stream, self._service, f"c{next(self._names)}")
        task = asyncio.create_task(session.run())
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
        self._refusals.close()
        for session in self._sessions.values():
            session.end()
        if self._sessions:
            await asyncio.wait(list(self._sessions), timeout=drain_seconds)
        left = list(self._sessions)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def __repr__(self) -> str:
        return f"<Listener sockets={len(self._sockets)} sessions={len(self._sessions)}>"


def _name_host(address: tuple[Any, ...]) -> str:
    """Return a peer's IP address, a link-local one with the number of its link: ``fe80::1%3``."""
    host, _, *ipv6 = address
    return f"{host}%{ipv6[1]}" if ipv6 and ipv6[1] else str(host)
