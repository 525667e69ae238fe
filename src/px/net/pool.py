"""Connections kept for the next request.

What a connection may serve is its key: next hop, scheme and identity. A connection is in the pool or
leased to one request, never both, so a login bound to it never serves two at once. One that ends, or says
something nobody asked for, while it is kept is dropped at that moment: a lease is never known to be dead.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import NamedTuple

from px.core.upstream_login import Method
from px.net.connection import Connection, Hop
from px.net.io_loop import NEVER, IoLoop

#: Below the two minutes after which common upstreams close: SPEC 5.
IDLE_SECONDS = 60.0
#: Of all hops together: each is a descriptor. No more than were in use at once are ever kept.
MAX_IDLE = 4096


_BOUND_SCHEMES = [method.name for method in Method if method.is_bound_to_connection]


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


def keys_for(hop: Hop) -> Sequence[PoolKey]:
    """Return the keys of the connections that may serve a request at a hop: those logged in come first."""
    return _keys(hop.key, None if hop.login is None else hop.login.source.identity.key)


@lru_cache(maxsize=1024)  # asked for each request, at few hops
def _keys(hop_key: str, identity: str | None) -> Sequence[PoolKey]:
    if identity is None:
        return (PoolKey(hop_key),)
    return (*(PoolKey(hop_key, scheme, identity) for scheme in _BOUND_SCHEMES), PoolKey(hop_key))


class Pool:
    """Keeps idle connections, the one used last on top, for `idle_seconds` at most.

    Args:
        io_loop: Of the connections.
        idle_seconds: How long one is kept.
        max_idle: Most that are kept.
    """

    def __init__(self, io_loop: IoLoop, idle_seconds: float = IDLE_SECONDS, max_idle: int = MAX_IDLE) -> None:
        self._io_loop = io_loop
        self._idle_seconds = idle_seconds
        self._max_idle = max_idle
        # By key, the hop used last at the end; of each the connections and until when, likewise.
        self._idle: dict[PoolKey, dict[Connection, float]] = {}
        self._count = 0
        #: Loop time at which the oldest connection may have to go.
        self.deadline = NEVER

    def take(self, key: PoolKey) -> Connection | None:
        """Return a kept connection, which is no longer in the pool then; None when there is none."""
        while kept := self._idle.get(key):
            connection = next(reversed(kept))
            self._remove(key, connection)
            connection.stream.on_idle_input = None
            # What came since the loop last looked would be read as the answer to the next request.
            if connection.stream.is_quiet():
                return connection
            connection.close()
        return None

    def put(self, connection: Connection) -> None:
        """Keep a connection that is between two requests."""
        key = key_of(connection)
        until = self._io_loop.now() + self._idle_seconds
        kept = self._idle[key] = self._idle.pop(key, {})
        kept[connection] = until
        self._count += 1
        if self._count > self._max_idle:
            self._drop_oldest()
        if until < self.deadline:
            self.deadline = until
            self._io_loop.watch(self)
        connection.stream.deadline = NEVER
        connection.stream.on_idle_input = partial(self._drop, key, connection)
        connection.stream.watch_idle()

    def count(self, key: PoolKey) -> int:
        """Return how many are kept."""
        return len(self._idle.get(key, ()))

    def _remove(self, key: PoolKey, connection: Connection) -> None:
        kept = self._idle[key]
        del kept[connection]
        self._count -= 1
        if not kept:
            del self._idle[key]

    def _drop(self, key: PoolKey, connection: Connection) -> None:
        connection.close()
        self._remove(key, connection)

    def _drop_oldest(self) -> None:
        """Close the oldest one of the hop that was not used for longest."""
        key, kept = next(iter(self._idle.items()))
        self._drop(key, next(iter(kept)))

    def expire(self) -> None:
        """Close what was kept for too long."""
        now = self._io_loop.now()
        for key, kept in list(self._idle.items()):
            for connection in [each for each, until in kept.items() if until <= now]:
                self._drop(key, connection)
        self.deadline = min((min(kept.values()) for kept in self._idle.values()), default=NEVER)
        if not self._idle:
            self._io_loop.unwatch(self)

    def clear(self) -> None:
        """Close everything kept."""
        for key, kept in list(self._idle.items()):
            for connection in list(kept):
                self._drop(key, connection)

    def __repr__(self) -> str:
        idle = {"/".join(filter(None, key)): len(kept) for key, kept in self._idle.items()}
        return f"<Pool {idle}>"
