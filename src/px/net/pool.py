"""Connections kept for the next request.

What a connection may serve is its key: next hop, scheme and identity. A connection is in the pool or
leased to one request, never both, so a login bound to it never serves two at once. One that ends, or says
something nobody asked for, while it is kept is dropped at that moment: a lease is never known to be dead.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from px.core.upstream_login import Method
from px.net.connection import Connection, Hop
from px.net.io_loop import NEVER, IoLoop

#: Below the two minutes after which common upstreams close: SPEC 5.
IDLE_SECONDS = 60.0
MAX_IDLE_A_KEY = 128
#: Of all hops together: each is a descriptor.
MAX_IDLE = 512


_BOUND_METHODS = [method for method in Method if method.is_bound_to_connection]


class PoolKey(NamedTuple):
    """What a kept connection is good for.

    Attributes:
        hop: `px.net.connection.Hop.key`.
        scheme: The method that logged it in, by name; empty for none.
        identity: `px.core.token_source.Identity.key`; empty for none.
    """

    hop: str
    scheme: str = ""
    identity: str = ""


def key_of(connection: Connection) -> PoolKey:
    """Return the key under which a connection is kept."""
    hop, method = connection.hop, connection.logged_in_by
    if method is None or hop.login is None:
        return PoolKey(hop.key)
    return PoolKey(hop.key, method.name, hop.login.source.identity.key)


def keys_for(hop: Hop) -> Iterator[PoolKey]:
    """Return the keys of the connections that may serve a request at a hop: those logged in come first."""
    if hop.login is not None:
        for method in _BOUND_METHODS:
            yield PoolKey(hop.key, method.name, hop.login.source.identity.key)
    yield PoolKey(hop.key)


class Pool:
    """Keeps idle connections, the one used last on top, for `idle_seconds` at most."""

    def __init__(self, io_loop: IoLoop, idle_seconds: float = IDLE_SECONDS) -> None:
        self._io_loop = io_loop
        self._idle_seconds = idle_seconds
        self._idle: dict[PoolKey, list[tuple[float, Connection]]] = {}
        #: Loop time at which the oldest connection may have to go.
        self.deadline = NEVER

    def take(self, key: PoolKey) -> Connection | None:
        """Return a kept connection, which is no longer in the pool then; None when there is none."""
        while kept := self._idle.get(key):
            connection = kept.pop()[1]
            self._set_kept(key, kept)
            connection.stream.on_idle_input = None
            # What came since the loop last looked would be read as the answer to the next request.
            if connection.stream.is_quiet():
                return connection
            connection.close()
        return None

    def put(self, connection: Connection) -> None:
        """Keep a connection that is between two requests."""
        key = key_of(connection)
        kept = self._idle.setdefault(key, [])
        until = self._io_loop.now() + self._idle_seconds
        kept.append((until, connection))
        if len(kept) > MAX_IDLE_A_KEY:
            kept.pop(0)[1].close()
        if sum(map(len, self._idle.values())) > MAX_IDLE:
            self._drop_oldest_key()
        self.deadline = min(self.deadline, until)
        self._io_loop.watch(self)
        connection.stream.deadline = NEVER
        connection.stream.on_idle_input = partial(self._drop, key, connection)
        connection.stream.watch_idle()

    def _drop_oldest_key(self) -> None:
        """Close what was kept for the hop that was not used for longest."""
        for _, connection in self._idle.pop(next(iter(self._idle))):
            connection.close()

    def _drop(self, key: PoolKey, connection: Connection) -> None:
        connection.close()
        kept = [entry for entry in self._idle.get(key, []) if entry[1] is not connection]
        self._set_kept(key, kept)

    def _set_kept(self, key: PoolKey, kept: list[tuple[float, Connection]]) -> None:
        if kept:
            self._idle[key] = kept
        else:
            self._idle.pop(key, None)

    def expire(self) -> None:
        """Close what was kept for too long."""
        now = self._io_loop.now()
        self.deadline = NEVER
        for key, kept in list(self._idle.items()):
            for until, connection in kept:
                if until <= now:
                    connection.close()
            self._set_kept(key, [entry for entry in kept if entry[0] > now])
            self.deadline = min([self.deadline, *(until for until, _ in kept if until > now)])
        if not self._idle:
            self._io_loop.unwatch(self)

    def clear(self) -> None:
        """Close everything kept."""
        for kept in self._idle.values():
            for _, connection in kept:
                connection.close()
        self._idle.clear()

    def __repr__(self) -> str:
        idle = {"/".join(filter(None, key)): len(kept) for key, kept in self._idle.items()}
        return f"<Pool {idle}>"
