"""The pool of connections kept for later requests.

The key of a connection says which requests it may serve: next hop, scheme and identity. A connection is in
the pool or leased to one request, never both, so a login bound to it never serves two requests at once. A
kept connection that ends, or sends bytes unasked, is dropped at once: the pool leases no connection that is
known to be dead.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import NamedTuple

from px.core.login.method import Method
from px.io.io_loop import NEVER, IoLoop
from px.upstream.connections.connection import Connection, Hop

#: Less than the two minutes after which common upstreams close.
IDLE_SECONDS = 60.0
#: If a hop says how long it keeps an idle connection, Px closes it this much earlier, or after half the time.
EARLY_SECONDS = 1.0
#: Servers close idle connections after one second at the earliest, and a request takes some time to arrive.
RECENT_SECONDS = 0.5
#: For all hops together: each connection takes a descriptor. No more are kept than were once in use together.
MAX_IDLE = 4096


_BOUND_SCHEMES = [method.name for method in Method if method.is_bound_to_connection]


class PoolKey(NamedTuple):
    """The requests that a kept connection may serve.

    Attributes:
        hop: `px.upstream.connections.connection.Hop.key`.
        scheme: The name of the method that logged the connection in; empty for none.
        identity: `px.core.auth.token_source.Identity.key`; empty for none.
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
    """Return the keys of the connections that may serve a request at a hop; logged-in ones come first."""
    return _keys(hop.key, None if hop.login is None else hop.login.source.identity.key)


@lru_cache(maxsize=1024)  # called for each request, with few hops
def _keys(hop_key: str, identity: str | None) -> Sequence[PoolKey]:
    if identity is None:
        return (PoolKey(hop_key),)
    return (*(PoolKey(hop_key, scheme, identity) for scheme in _BOUND_SCHEMES), PoolKey(hop_key))


class Pool:
    """Keeps idle connections for `idle_seconds` at most, and leases the one used last.

    Args:
        io_loop: The loop of the connections.
        idle_seconds: How long a connection is kept.
        max_idle: The most connections that are kept.
    """

    def __init__(self, io_loop: IoLoop, idle_seconds: float = IDLE_SECONDS, max_idle: int = MAX_IDLE) -> None:
        self._io_loop = io_loop
        self._idle_seconds = idle_seconds
        self._max_idle = max_idle
        # Connections and their expiry times by key; keys and connections used last come last.
        self._idle: dict[PoolKey, dict[Connection, float]] = {}
        self._count = 0
        #: The loop time at which the next connection may expire.
        self.deadline = NEVER

    def take_first(self, keys: Sequence[PoolKey]) -> Connection | None:
        """Return the result of `take` for the first key that has a connection."""
        for key in keys:
            if (connection := self.take(key)) is not None:
                return connection
        return None

    def take_safe(self, keys: Sequence[PoolKey], *, client_retries: bool) -> Connection | None:
        """Do as `take_first`, for a request that must not be repeated if the connection closes as it arrives.

        So the hop must have used the connection just now, or have said that it keeps it. A client that would
        not send the request again gets a fresh connection, unless that would lose a login at the upstream. If
        no such connection exists, the caller opens a fresh one, and the oldest is closed to make room.

        Args:
            keys: As for `take_first`.
            client_retries: See `px.upstream.message.Request`.
        """
        for key in keys:
            if not (client_retries or key.scheme):
                continue
            if (connection := self.take(key, RECENT_SECONDS)) is not None:
                return connection
        self._close_oldest(keys)
        return None

    def _close_oldest(self, keys: Sequence[PoolKey]) -> None:
        """Close the oldest connection of the first key that has one."""
        for key in keys:
            if kept := self._idle.get(key):
                connection = next(iter(kept))
                connection.is_retired = True
                self._drop(key, connection)
                return

    def take(self, key: PoolKey, max_idle_seconds: float = NEVER) -> Connection | None:
        """Remove and return a kept connection; None if none can be used.

        Args:
            key: The requests that the connection may serve.
            max_idle_seconds: How long the connection may have been idle, if its hop does not say how long it
                keeps it.
        """
        now = self._io_loop.now()
        while kept := self._idle.get(key):
            connection = next(reversed(kept))
            if connection.kept_seconds is None and now - connection.idle_since > max_idle_seconds:
                return None
            is_in_time = kept[connection] > now
            self._remove(key, connection)
            connection.stream.on_idle_input = None
            # Bytes that came since the loop last polled would be taken for the answer to the next request.
            if is_in_time and connection.stream.is_quiet():
                return connection
            connection.close()
        return None

    def put(self, connection: Connection) -> None:
        """Keep a connection between two requests; close it if it may not be shared or kept."""
        now = self._io_loop.now()
        seconds = connection.kept_seconds
        until = now + (self._idle_seconds if seconds is None else self._shorten(seconds))
        if until <= now or not connection.may_share:
            connection.close()
            return
        key = key_of(connection)
        connection.idle_since = now
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

    def _shorten(self, seconds: int) -> float:
        """Return how long to keep a connection that its hop keeps idle for some seconds."""
        return min(self._idle_seconds, max(seconds - EARLY_SECONDS, seconds / 2))

    def count(self, key: PoolKey) -> int:
        """Return the number of connections kept for a key."""
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
        """Close the oldest connection of the hop that has been unused for longest."""
        key, kept = next(iter(self._idle.items()))
        self._drop(key, next(iter(kept)))

    def expire(self) -> None:
        """Close the connections that have been kept too long."""
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
