"""Accepts clients and begins their sessions."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

from px.net.acceptor import accepting
from px.net.counters import Counters
from px.net.io_loop import IoLoop
from px.net.listening_socket import DRAIN_SECONDS
from px.net.refusals import Refusals
from px.net.service import Service
from px.net.session import Session
from px.net.socket_stream import open_stream

#: How long to wait for descriptors to become free before accepting again.
EXHAUSTED_SECONDS = 0.1

_LOGGER = logging.getLogger("px.listener")


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
        sockets: Sequence[socket.socket],
        service: Service,
        admits: Callable[[str], bool],
        refusals: Refusals,
    ) -> None:
        self._sockets = sockets
        self._service = service
        self._admits = admits
        self._refusals = refusals
        self._io_loop: IoLoop = service.io_loop
        self._counters = service.counters
        self._sessions: set[Session] = set()
        self._all_left = asyncio.Event()
        self._names = count(1)
        self._accepting: list[asyncio.Task[None]] = []

    async def serve(self) -> None:
        """Accept clients until `stop`, or until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._accepting = [group.create_task(self._accept(sock)) for sock in self._sockets]

    async def _accept(self, listening: socket.socket) -> None:
        async with accepting(listening) as accept:
            while True:
                try:
                    sock, address = await accept()
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

    def _begin(self, sock: socket.socket, host: str, port: int) -> None:
        stream = open_stream(sock, self._io_loop, f"{host}:{port}")
        session = Session(stream, self._service, f"c{next(self._names)}", self._forget)
        self._sessions.add(session)
        self._counters.connections += 1
        session.begin()

    def _forget(self, session: Session) -> None:
        self._sessions.discard(session)
        self._counters.add_traffic(session.client)
        if not self._sessions:
            self._all_left.set()

    @property
    def open_connections(self) -> int:
        """How many client connections there are, tunnels among them."""
        return len(self._sessions)

    @property
    def open_tunnels(self) -> int:
        """How many of them are tunnels."""
        return sum(session.tunnel is not None for session in self._sessions)

    def count(self) -> Counters:
        """Return the counters as they stand, connections that are open included."""
        counters = replace(self._counters)
        for session in self._sessions:
            counters.add_traffic(session.client)
        return counters

    async def stop(self, drain_seconds: float | None = DRAIN_SECONDS) -> None:
        """Accept nobody more, let requests under way end, then cut off what is left.

        Safe to cancel and to call again: the last call says how long they may take.

        Args:
            drain_seconds: How long; None: as long as they want, tunnels too.
        """
        for task in self._accepting:
            task.cancel()
        await asyncio.gather(*self._accepting, return_exceptions=True)
        for sock in self._sockets:
            sock.close()
        self._refusals.close()
        for session in list(self._sessions):
            session.end()
        await self._wait_left(drain_seconds)
        for session in list(self._sessions):
            session.cut()
        await self._wait_left(None)

    async def _wait_left(self, seconds: float | None) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._sessions:
                    self._all_left.clear()
                    await self._all_left.wait()

    def __repr__(self) -> str:
        return f"<Listener sockets={len(self._sockets)} sessions={len(self._sessions)}>"


def _name_host(address: tuple[Any, ...]) -> str:
    """Return a peer's IP address, a link-local one with the number of its link: ``fe80::1%3``."""
    host, _, *ipv6 = address
    return f"{host}%{ipv6[1]}" if ipv6 and ipv6[1] else str(host)
