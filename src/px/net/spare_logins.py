"""Connections that are logged in ahead, so that a new tunnel by NTLM takes one exchange and not two.

A tunnel uses its connection up. So while clients open tunnels through an upstream that wants NTLM, a few
connections are opened and logged in for a TRACE that ends there (RFC 9110 7.6.2), and wait in the pool: more
where tunnels come faster, none where nobody asks. An upstream that does not play on is left alone, and while
the secret is unproven none is made: no login is risked for speed.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

from px.core.upstream_login import Method, UpstreamLogin
from px.net.connection import Connection, Hop
from px.net.io_loop import IoLoop
from px.net.message import Request
from px.net.pool import Pool, key_of

#: At one upstream, by all processes of a Px together.
MAX_SPARES = 8
#: How long a tunnel counts for the demand, and how many that count make none: the fifth makes the first.
MEMORY_SECONDS = 10.0
FREE_TUNNELS = 4
#: How long an upstream that did not play on is left alone.
REST_SECONDS = 600.0
#: An upstream that closes an idle connection earlier does not want any.
MIN_IDLE_SECONDS = 20.0

#: A 407 with the challenge, and the answer to the TRACE.
_ANSWERS_TO_LOG_IN = 2
_METHODS = frozenset((Method.NTLM, Method.NEGOTIATE_NTLM))

#: Logs a new connection to a hop in and keeps it in the pool; None: the upstream does not play on.
LogIn = Callable[[Hop, Request], Awaitable[Connection | None]]


class SpareLogins:
    """Sees to spare connections at all upstreams.

    Args:
        io_loop: Of the connections.
        pool: Where they wait.
        log_in: Makes one.
        most: At one upstream.
    """

    def __init__(self, io_loop: IoLoop, pool: Pool, log_in: LogIn, most: int) -> None:
        self._io_loop = io_loop
        self._pool = pool
        self._log_in = log_in
        self._most = most
        self._demands: dict[str, _Demand] = {}
        #: Those under way, with the key of the upstream's hop.
        self._making: dict[asyncio.Task[None], str] = {}

    def note_tunnel(self, connection: Connection, request: Request) -> None:
        """A tunnel was opened over a connection: more may be wanted soon."""
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
        if not (login.can_verify and login.guard.is_proven(login.source)):
            return 0
        # All at once, for each takes as long as a tunnel does; but first, whether the upstream plays on.
        most = self._most if demand.has_made else min(1, self._most)
        return min(most, demand.wanted()) - self._pool.count(key_of(like))

    def _count_under_way(self, key: str) -> int:
        return sum(each == key for each in self._making.values())

    async def _make(self, like: Connection, login: UpstreamLogin, request: Request, demand: _Demand) -> None:
        """Make one, and another one as long as tunnels take them."""
        while self._count_missing(like, login, demand) >= self._count_under_way(like.hop.key):
            made = await self._log_in(like.hop, request)
            if made is None or made.logged_in_by is not like.logged_in_by:
                demand.rest()
            else:
                demand.note_made(made)

    def forget(self) -> None:
        """Make no more, until there are tunnels again."""
        self._demands.clear()
        for making in self._making:
            making.cancel()

    def __repr__(self) -> str:
        return f"<SpareLogins {self._demands}>"


class _Demand:
    """How many spare connections one upstream is worth."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._level = 0.0  # tunnels of late; each counts for less as time goes by
        self._level_at = now()
        self._rests_until = -math.inf
        #: Those made, with the time.
        self._made: list[tuple[float, Connection]] = []
        self.has_made = False

    def count_tunnel(self) -> None:
        """A tunnel was opened."""
        self._level, self._level_at = self._current_level() + 1, self._now()

    def note_made(self, connection: Connection) -> None:
        """A spare connection is there."""
        self.has_made = True
        self._made.append((self._now(), connection))

    def _current_level(self) -> float:
        return self._level * math.exp((self._level_at - self._now()) / MEMORY_SECONDS)

    def wanted(self) -> int:
        """Return how many there should be now."""
        self._judge()
        if self._now() < self._rests_until:
            return 0
        return math.ceil(self._current_level() - FREE_TUNNELS)

    def _judge(self) -> None:
        """Leave an upstream alone that has closed a connection which nobody had used, soon."""
        now = self._now()
        for made_at, connection in list(self._made):
            is_young = now - made_at < MIN_IDLE_SECONDS
            if is_young and not connection.stream.is_closed:
                continue
            self._made.remove((made_at, connection))
            if is_young and connection.answers == _ANSWERS_TO_LOG_IN:
                self.rest()

    def rest(self) -> None:
        """Want none for a while."""
        self._rests_until = self._now() + REST_SECONDS

    def __repr__(self) -> str:
        return f"<demand {self._current_level():.1f} made={len(self._made)}>"
