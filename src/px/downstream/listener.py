"""Accepts clients and begins their sessions."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from heapq import nlargest
from itertools import count
from operator import attrgetter
from typing import Any

from px.core.report_limits import MAX_ACTIVE
from px.downstream.activity.counters import Counters
from px.downstream.activity.traffic import Totals, TrafficHistory
from px.downstream.client import Client
from px.downstream.front_end import FrontEndKind
from px.downstream.refusals import Refusals
from px.downstream.service import Service
from px.downstream.session import Session
from px.io.acceptor import accepting
from px.io.io_loop import IoLoop
from px.io.listening_socket import DRAIN_SECONDS
from px.io.socket_stream import open_stream


class Listener:
    """Serves clients on some sockets.

    Args:
        kinds: Listening sockets, and the protocol that the clients of each one speak.
        service: What the sessions share.
        admits: Whether a client's IP address may use Px.
        is_from_here: Whether a client at an IP address is a program of this computer.
        refusals: Answers clients that may not use Px.
    """

    def __init__(
        self,
        kinds: Mapping[socket.socket, FrontEndKind],
        service: Service,
        admits: Callable[[str], bool],
        is_from_here: Callable[[str], bool],
        refusals: Refusals,
    ) -> None:
        self._kinds = kinds
        self._service = service
        self._admits = admits
        self._is_from_here = is_from_here
        self._refusals = refusals
        self._io_loop: IoLoop = service.io_loop
        self._counters = service.counters
        self._sessions: set[Session] = set()
        self._all_left = asyncio.Event()
        self._names = count(1)
        self._accepting: list[asyncio.Task[None]] = []
        self.traffic = TrafficHistory(self._io_loop, self._count_traffic, lambda: bool(self._sessions))

    async def serve(self) -> None:
        """Accept clients until `stop`, or until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._accepting = [
                group.create_task(self._accept(sock, kind)) for sock, kind in self._kinds.items()
            ]

    async def _accept(self, listening: socket.socket, kind: FrontEndKind) -> None:
        async with accepting(listening) as accept:
            while True:
                sock, address = await accept()
                host = _name_host(address)
                if self._admits(host):
                    self._begin(sock, kind, host, int(address[1]))
                else:
                    self._refusals.refuse(sock, host, kind.format_refusal)

    def _begin(self, sock: socket.socket, kind: FrontEndKind, host: str, port: int) -> None:
        stream = open_stream(sock, self._io_loop, f"{host}:{port}")
        name, is_from_here = f"c{next(self._names)}", self._is_from_here(host)
        client = Client(stream, self._service, name, is_from_here=is_from_here)
        session = Session(client, kind, self._forget)
        self._sessions.add(session)
        self._counters.connections += 1
        self.traffic.begin()
        session.begin()

    def _forget(self, session: Session) -> None:
        self._sessions.discard(session)
        self._counters.add_traffic(session.client.stream)
        if not self._sessions:
            self._all_left.set()

    @property
    def open_connections(self) -> int:
        """How many client connections there are, tunnels among them."""
        return len(self._sessions)

    @property
    def open_tunnels(self) -> int:
        """How many client connections are tunnels."""
        return sum(session.tunnel is not None for session in self._sessions)

    def count(self) -> Counters:
        """Return the counters with the bytes of open connections added."""
        counters = replace(self._counters)
        for session in self._sessions:
            counters.add_traffic(session.client.stream)
        return counters

    def _count_traffic(self) -> Totals:
        """Return what has gone through for clients; Px's own pages do not count."""
        counters = self.count()
        return Totals(
            counters.received_bytes,
            counters.sent_bytes - counters.page_bytes,
            counters.requests - counters.pages,
        )

    @property
    def active_clients(self) -> list[Client]:
        """The clients with a request or tunnel under way."""
        return [session.client for session in self._sessions if session.is_active]

    def report_active(self) -> dict[str, object]:
        """Return the requests and tunnels under way as JSON: the newest ones, and how many there are."""
        unix_offset = time.time() - self._io_loop.now()
        active = [session for session in self._sessions if session.is_active]
        newest = nlargest(MAX_ACTIVE, active, key=attrgetter("begun"))
        return {
            "active": [asdict(session.describe(unix_offset)) for session in newest],
            "active_total": len(active),
        }

    async def stop(self, drain_seconds: float | None = DRAIN_SECONDS) -> None:
        """Stop accepting, let requests under way end, then cut off the connections that are left.

        Safe to cancel and to call again: the last call decides how long the connections may take.

        Args:
            drain_seconds: How long connections may take to end; None: no limit, also for tunnels.
        """
        for task in self._accepting:
            task.cancel()
        await asyncio.gather(*self._accepting, return_exceptions=True)
        for sock in self._kinds:
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
        return f"<Listener sockets={len(self._kinds)} sessions={len(self._sessions)}>"


def _name_host(address: tuple[Any, ...]) -> str:
    """Return a peer's IP address, a link-local one with the number of its link: ``fe80::1%3``."""
    host, _, *ipv6 = address
    return f"{host}%{ipv6[1]}" if ipv6 and ipv6[1] else str(host)
