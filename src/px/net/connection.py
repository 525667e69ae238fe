"""Connections to the next hop: what they are good for, and the answers read from them."""

from __future__ import annotations

from dataclasses import dataclass, field

from px.core.errors import BadResponseError
from px.core.framing import FramingKind, body_reader
from px.core.head import ResponseHead, check_response_head_size, find_head_end, parse_response
from px.core.route import UpstreamAddress
from px.core.upstream_login import Method, UpstreamLogin
from px.net.stream import Stream

#: A 407's page that is longer costs more to read than a new connection.
MAX_DRAIN_BYTES = 64 * 1024


class ClosedBeforeAnswerError(BadResponseError):
    """The next hop closed the connection before a byte of its answer."""


@dataclass(frozen=True, slots=True, eq=False)
class Hop:
    """Where connections go: an upstream, or an origin itself.

    Attributes:
        name: For messages: ``upstream http://host:port`` or ``origin host:port``.
        key: What tells two hops apart.
        host: Name or address to connect to, as written.
        port: To connect to.
        is_upstream: Whether it is a proxy: absolute-form, CONNECT and logins are for proxies.
        is_tls: Whether the connection to it is TLS.
        login: What is known of logging in there; None: Px does not (an origin, or auth=NONE).
        by: The SOCKS upstream that connects to it for Px; None: Px does so itself.
    """

    name: str
    key: str
    host: str
    port: int
    is_upstream: bool = False
    is_tls: bool = False
    login: UpstreamLogin | None = None
    by: UpstreamAddress | None = None


@dataclass(slots=True, eq=False)
class Connection:
    """One connection to a hop.

    Attributes:
        stream: Its bytes.
        hop: Where it goes.
        channel_bindings: Of its TLS, for logins (RFC 5929); None without TLS.
        logged_in_by: The method by which it is logged in, None if it is not.
        answers: Heads received over it, interim ones not counted.
    """

    stream: Stream
    hop: Hop
    channel_bindings: bytes | None = field(default=None, repr=False)
    logged_in_by: Method | None = None
    answers: int = 0

    async def read_response(self, method: bytes) -> ResponseHead:
        """Return the next head, interim or final; what follows it stays in the stream.

        Args:
            method: Of the request that it answers.

        Raises:
            ClosedBeforeAnswerError: The connection ended before a byte of it.
            BadResponseError: It breaks RFC 9112, or the connection ended in the middle.
            TimeoutError: The stream's deadline passed.
        """
        received = await self._read_more(b"")
        while (end := find_head_end(received)) < 0:
            check_response_head_size(received)
            received += await self._read_more(received)
        if end < len(received):
            self.stream.unread(received[end:])
        head = parse_response(received[:end], method)
        self.answers += not head.is_interim
        return head

    async def _read_more(self, received: bytes) -> bytes:
        try:
            data = await self.stream.read()
        except TimeoutError:
            self.stream.unread(received)  # who waits for a 100 only goes on reading later
            raise
        except OSError as error:
            raise self._say_closed(received) from error
        if not data:
            raise self._say_closed(received)
        return data

    def _say_closed(self, received: bytes) -> BadResponseError:
        if received:
            return BadResponseError(f"The {self.hop.name} closed the connection in the middle of its answer.")
        may_want_tls = self.hop.is_upstream and not self.hop.is_tls and not self.answers
        return ClosedBeforeAnswerError(
            f"The {self.hop.name} closed the connection without an answer.",
            "Perhaps it wants TLS: write https:// before it in --proxy." if may_want_tls else "",
            proxy_status="connection_terminated",
        )

    async def drain(self, head: ResponseHead) -> bool:
        """Read over the body of an answer; return whether the connection can be used again."""
        if not head.keep_alive:
            return False
        reader = body_reader(head.framing, decode_chunked=False, error=BadResponseError)
        drained = 0
        while not reader.is_complete and drained <= MAX_DRAIN_BYTES:
            data = await self._read_more(b"")
            drained += len(data)
            self.stream.unread(reader.receive(data)[1])
        return reader.is_complete and head.framing.kind is not FramingKind.CLOSE

    def close(self) -> None:
        """Close it. Safe to call again."""
        self.stream.close()
