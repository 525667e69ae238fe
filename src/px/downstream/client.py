"""One client of Px: its connection, and all that belongs to this connection alone."""

from __future__ import annotations

from px.core.auth.connection_login import carries_connection_login
from px.core.http.request_head import RequestHead
from px.core.trace.request_trace import RequestTrace
from px.downstream.authenticator import ClientAuthenticator
from px.downstream.bound_connection import BoundConnection
from px.downstream.client_end import linger
from px.downstream.client_request import fields_to_set
from px.downstream.client_watch import ClientWatch
from px.downstream.service import Service
from px.downstream.trace_log import TraceLog
from px.io.completion_stream import CompletionStream
from px.io.relay import BrokenStreamError
from px.io.socket_stream import SocketStream
from px.upstream.message import OnInterim, Request
from px.upstream.request_body import RequestBody


class Client:
    """What the session of a client and its front end share.

    Args:
        stream: The client's connection.
        service: What all sessions share.
        name: Short, unique in this process: the id in logs.
        is_from_here: Whether the client is a program of this computer.
    """

    __slots__ = (
        "authenticator",
        "bound",
        "is_ending",
        "is_from_here",
        "name",
        "program",
        "requests",
        "service",
        "stream",
        "trace_log",
        "watch",
    )

    def __init__(
        self, stream: SocketStream | CompletionStream, service: Service, name: str, *, is_from_here: bool
    ) -> None:
        self.stream = stream
        self.service = service
        self.name = name
        self.is_from_here = is_from_here
        #: The name of the client's program; empty: the system does not tell; None: nobody has asked.
        self.program: str | None = None
        auth = service.client_auth
        #: Asks the client to log in; None: clients need no login.
        self.authenticator = ClientAuthenticator(stream, service.io_loop, auth) if auth is not None else None
        self.bound = BoundConnection(stream, logs_in=service.logs_in)
        self.trace_log = TraceLog(stream, service, name, self.authenticator)
        self.watch = ClientWatch(stream)
        #: How many requests the client has sent.
        self.requests = 0
        #: Whether Px ends, or has another configuration now: the client gets no further request served.
        self.is_ending = False

    @property
    def end(self) -> tuple[str, int]:
        """The IP address and port of the client's socket."""
        host, _, port = self.stream.peer.rpartition(":")
        return host, int(port)

    @property
    def own_end(self) -> tuple[str, int]:
        """The IP address and port of Px that the client is connected to."""
        host, port, *_ = self.stream.sock.getsockname()
        return str(host), int(port)

    @property
    def trace(self) -> RequestTrace:
        """The trace of the request under way."""
        return self.trace_log.trace

    def make_request(self, head: RequestHead, on_interim: OnInterim) -> Request:
        """Return a request as it goes on.

        Args:
            head: As the front end read it.
            on_interim: Called with each 1xx that is the client's.
        """
        service = self.service
        return Request(
            head,
            RequestBody(self.stream, head.framing, service.io_loop),
            service.format_via(head.minor_version),
            fields_to_set(head, service),
            is_bound=carries_connection_login(head),
            trace=self.trace_log.trace,
            client_retries=self.requests > 1,
            is_from_here=self.is_from_here,
            on_interim=on_interim,
            bound=self.bound.lend(),
        )

    async def write(self, data: bytes, seconds: float) -> None:
        """Send bytes to the client.

        Args:
            data: To send.
            seconds: How long the client may take nothing.

        Raises:
            BrokenStreamError: The client is gone.
        """
        self.stream.deadline = self.service.io_loop.now() + seconds
        try:
            await self.stream.write(data)
        except OSError as error:
            raise BrokenStreamError(self.stream, error) from error

    async def linger(self) -> None:
        """Let the client read its last answer before its connection is closed."""
        self.trace_log.end()
        await linger(self.stream, self.service.io_loop)

    def close(self) -> None:
        """Close the client's connection and the one that is bound to it. Safe to call again."""
        self.stream.close()
        self.bound.close()

    def __repr__(self) -> str:
        return f"<Client {self.name} requests={self.requests}>"
