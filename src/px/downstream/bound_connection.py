"""The connection to a hop that belongs to one client alone.

A login by NTLM or Negotiate logs a connection in (RFC 4559), so a connection that a client has logged in must
carry no request of another client, and the client must not get another connection instead. The same holds for
the connection under a tunnel. `BoundConnection` decides which answers bind their connection, and what follows
for the client's own connection.
"""

from __future__ import annotations

from px.core.auth.connection_login import offers_connection_login
from px.io.stream import Stream
from px.upstream.connections.connection import Connection
from px.upstream.message import Answer, Request

_UNAUTHORIZED = 401


class BoundConnection:
    """What one client's session knows of the connection that belongs to this client; none at first.

    Args:
        client: The client's stream. It is closed when the bound connection ends, and the other way round.
        logs_in: Whether Px logs in upstream. If not (auth=NONE), clients do, over connections of their own.
    """

    __slots__ = ("_client", "_connection", "_logs_in")

    def __init__(self, client: Stream, *, logs_in: bool) -> None:
        self._client = client
        self._logs_in = logs_in
        self._connection: Connection | None = None

    @property
    def is_lost(self) -> bool:
        """Whether the connection was closed: the client's login is gone, and the client must begin again."""
        return self._connection is not None and self._connection.stream.is_closed

    def bind(self, connection: Connection) -> None:
        """Let a connection belong to the client; the one before is closed."""
        if self._connection is not connection:
            self.close()
            self._connection = connection

    def receive_answer(self, request: Request, answer: Answer) -> None:
        """Bind the connection of an answer from the client's first connection-bound login on."""
        connection, head = answer.connection, answer.head
        is_login = request.is_bound or (connection.hop.is_upstream and not self._logs_in)
        offers = head.status == _UNAUTHORIZED and offers_connection_login(head)
        if is_login or offers or self.is_lost:
            self.bind(connection)

    def owns(self, connection: Connection) -> bool:
        """Return whether a connection belongs to the client, so that it must not go back to the pool."""
        return self._connection is connection

    def ends_with(self, answer: Answer) -> bool:
        """Return whether the bound connection ends after an answer, and the client's connection must, too."""
        return self._connection is answer.connection and not answer.head.keep_alive

    def lend(self) -> Connection | None:
        """Return the connection for the client's next request; None: the client has none of its own."""
        if self._connection is not None:
            self._connection.stream.on_idle_input = None
        return self._connection

    def watch(self) -> None:
        """Close the client's connection if the bound one ends while no request is under way."""
        if self._connection is not None and not self.is_lost:
            self._connection.stream.on_idle_input = self._client.close
            self._connection.stream.watch_idle()

    def close(self) -> None:
        """Close the bound connection, if there is one. Safe to call again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __repr__(self) -> str:
        return f"<BoundConnection {self._connection!r}>"
