"""Connections that are logged in ahead of need, so that a new tunnel by NTLM takes one exchange, not two.

A tunnel uses up its connection. So while clients open tunnels through an upstream that wants NTLM, Px opens a
few connections, logs them in with a TRACE that ends at the upstream (RFC 9110 7.6.2), and keeps them in the
pool: more when tunnels come faster, none when no client opens tunnels. Px stops for a while at an upstream
that does not accept such logins. While the secret is uncertain (`px.core.login`), Px prewarms no connection,
because a refused login counts towards a lock-out.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

from px.core.login.method import Method
from px.core.login.upstream_state import UpstreamLogin
from px.io.io_loop import IoLoop
from px.upstream.connections.connection import Connection, Hop
from px.upstream.connections.pool import Pool, key_of
from px.upstream.message import Request

#: Most prewarmed connections to one upstream, of all processes of a Px together.
MAX_PREWARMED = 8
#: How long a tunnel counts towards the demand. The first `FREE_TUNNELS` that count cause no connection.
MEMORY_SECONDS = 10.0
FREE_TUNNELS = 4
#: How long Px prewarms no connection to an upstream that did not accept such a login.
REST_SECONDS = 600.0
#: If an upstream closes an idle connection earlier than this, Px prewarms no more for `REST_SECONDS`.
MIN_IDLE_SECONDS = 20.0

#: A 407 with the challenge, and the answer to the TRACE.
_ANSWERS_TO_LOG_IN = 2
_METHODS = frozenset((Method.NTLM, Method.NEGOTIATE_NTLM))

#: Opens a connection to a hop, logs it in and keeps it in the pool; None: the upstream did not accept that.
LogIn = Callable[[Hop, Request], Awaitable[Connection | None]]


class PrewarmedConnections:
    """Keeps prewarmed connections to the upstreams through which clients open tunnels.

    Args:
        io_loop: The loop of the connections.
        pool: Keeps the connections until a tunnel takes them.
        log_in: Opens one connection and logs it in.
        most: The most prewarmed connections to one upstream.
    """

    def __init__(self, io_loop: IoLoop, pool: Pool, log_in: LogIn, most: int) -> None:
        self._io_loop = io_loop
        self._pool = pool
        self._log_in = log_in
        self._most = most
        self._demands: dict[str, _Demand] = {}
        #: Tasks that make a connection, with the key of the upstream's hop.
        self._making: dict[asyncio.Task[None], str] = {}

    def note_tunnel(self, connection: Connection, request: Request) -> None:
        """Count a tunnel that was opened over a connection, and prewarm more connections if needed."""
        login = connection.hop.login
        if login is None or connection.logged_in_by not in _METHODS:
            return
        key = connection.hop.key
        demand = self._demands.setdefault(key, _Demand(self._io_loop.now))
        demand.count_tunnel()
        for _ in range(self._count_missing(connection, login, demand) - self._count_under_way(key)):
            making = self._io_loop.loop.create_task(self._make(connection, login, request, demand))
            self._making[making] = key
            making.add_done_callback(self._making.pop)

    def _count_missing(self, like: Connection, login: UpstreamLogin, demand: _Demand) -> int:
        if not (login.can_verify and login.guard.is_accepted_lately(login.source)):
            return 0
        # Make all at the same time, because each takes as long as a tunnel. At a new upstream try one first.
        most = self._most if demand.has_made else min(1, self._most)
        return min(most, demand.wanted()) - self._pool.count(key_of(like))

    def _count_under_way(self, key: str) -> int:
        return sum(each == key for each in self._making.values())

    async def _make(self, like: Connection, login: UpstreamLogin, request: Request, demand: _Demand) -> None:
        """Make connections one after another while tunnels use them up."""
        while self._count_missing(like, login, demand) >= self._count_under_way(like.hop.key):
            made = await self._log_in(like.hop, request)
            if made is None or made.logged_in_by is not like.logged_in_by:
                demand.rest()
            else:
                demand.note_made(made)

    def forget(self) -> None:
        """Stop making connections until clients open tunnels again."""
        self._demands.clear()
        for making in self._making:
            making.cancel()

    def __repr__(self) -> str:
        return f"<PrewarmedConnections {self._demands}>"


class _Demand:
    """Measures how many prewarmed connections one upstream should have."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._level = 0.0  # recent tunnels; each counts for less as time goes by
        self._level_at = now()
        self._rests_until = -math.inf
        #: Prewarmed connections that are still watched, each with the time when it was made.
        self._made: list[tuple[float, Connection]] = []
        self.has_made = False

    def count_tunnel(self) -> None:
        """Count a tunnel."""
        self._level, self._level_at = self._current_level() + 1, self._now()

    def note_made(self, connection: Connection) -> None:
        """Watch a new prewarmed connection: the upstream may close it early."""
        self.has_made = True
        self._made.append((self._now(), connection))

    def _current_level(self) -> float:
        return self._level * math.exp((self._level_at - self._now()) / MEMORY_SECONDS)

    def wanted(self) -> int:
        """Return how many connections there should be now."""
        self._judge()
        if self._now() < self._rests_until:
            return 0
        return math.ceil(self._current_level() - FREE_TUNNELS)

    def _judge(self) -> None:
        """Stop prewarming for a while if the upstream closed an unused connection early."""
        now = self._now()
        for made_at, connection in list(self._made):
            is_young = now - made_at < MIN_IDLE_SECONDS
            if is_young and not connection.stream.is_closed:
                continue
            self._made.remove((made_at, connection))
            if is_young and connection.answers == _ANSWERS_TO_LOG_IN and not connection.is_retired:
                self.rest()

    def rest(self) -> None:
        """Want no connections for `REST_SECONDS`."""
        self._rests_until = self._now() + REST_SECONDS

    def __repr__(self) -> str:
        return f"<demand {self._current_level():.1f} made={len(self._made)}>"
