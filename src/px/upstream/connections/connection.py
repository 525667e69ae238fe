"""Connections to the next hop: their properties, and reading answers from them."""

from __future__ import annotations

from dataclasses import dataclass, field

from px.core.errors import BadResponseError
from px.core.http.body_reader import body_reader
from px.core.http.framing import FramingKind
from px.core.http.keep_alive import parse_keep_alive
from px.core.http.response_head import (
    ResponseHead,
    ResponseHeadReader,
    check_response_beginning,
    take_response,
)
from px.core.login.method import Method
from px.core.login.upstream_state import UpstreamLogin
from px.core.rules.route import UpstreamAddress
from px.io.stream import Stream

#: Reading a longer page of a 407 costs more than a new connection.
MAX_DRAIN_BYTES = 64 * 1024

_LOGIN_REQUIRED = 407


class ClosedBeforeAnswerError(BadResponseError):
    """The next hop closed the connection before the first byte of its answer.

    Attributes:
        was_kept: Whether the connection had served other requests. The hop has then probably closed an idle
            connection, and this request is not the cause.
    """

    was_kept = False


@dataclass(frozen=True, slots=True, eq=False)
class Hop:
    """The destination of connections: an upstream, or an origin itself.

    Attributes:
        name: For messages: ``upstream http://host:port`` or ``origin host:port``.
        key: Distinguishes hops.
        host: The name or address to connect to, as written.
        port: The port to connect to.
        is_upstream: Whether the hop is a proxy: absolute-form, CONNECT and logins are for proxies.
        is_tls: Whether connections to the hop use TLS.
        login: The state of logins at the hop; None if Px does not log in (an origin, or auth=NONE).
        by: The SOCKS upstream that connects to the hop for Px; None if Px connects itself.
    """

    name: str
    key: str
    host: str
    port: int
    is_upstream: bool = False
    is_tls: bool = False
    login: UpstreamLogin | None = None
    by: UpstreamAddress | None = None

    @property
    def route(self) -> str:
        """``direct``, or the upstream."""
        return self.key if self.is_upstream else str(self.by or "direct")


@dataclass(slots=True, eq=False)
class Connection:
    """One connection to a hop.

    Attributes:
        stream: The byte stream.
        hop: The destination.
        channel_bindings: Those of its TLS, for logins (RFC 5929); None without TLS.
        logged_in_by: The method that logged the connection in; None if it is not logged in.
        answers: The number of final answer heads received over the connection.
        may_share: Whether other requests may use the connection later. Not after a repaired answer: an
            upstream may have seen another end of that answer, and would send the rest as the next one.
        kept_seconds: How long the hop says it keeps the connection idle; None if it does not say.
        idle_since: The loop time of the last use, while the connection is kept.
        is_retired: Whether Px closed the connection because a newer one took its place.
    """

    stream: Stream
    hop: Hop
    channel_bindings: bytes | None = field(default=None, repr=False)
    logged_in_by: Method | None = None
    answers: int = 0
    may_share: bool = True
    kept_seconds: int | None = None
    idle_since: float = 0.0
    is_retired: bool = False

    async def read_response(self, method: bytes) -> ResponseHead:
        """Return the next head, interim or final; the bytes after it stay in the stream.

        Args:
            method: The method of the request that the head answers.

        Raises:
            ClosedBeforeAnswerError: The connection ended before the first byte.
            BadResponseError: The head breaks RFC 9112, or the connection ended within it.
            TimeoutError: The stream's deadline passed.
        """
        received = await self._read_more(b"")
        try:
            while (taken := take_response(received, method)) is None:
                received = await self._read_rest(received)
        except BadResponseError as error:
            if self.hop.name not in error.cause:
                error.hint = self._format_hint()
            raise
        head, end = taken
        if end < len(received):
            self.stream.unread(received[end:])
        self.answers += not head.is_interim
        if (values := head.notable.get(b"keep-alive")) is not None:
            self.kept_seconds = parse_keep_alive(values)
        if head.is_repaired and head.status != _LOGIN_REQUIRED:  # the answer after the login decides
            self.may_share = False
        return head

    async def _read_rest(self, received: bytes) -> bytes:
        """Return a head that came in pieces, with the bytes after it."""
        reader = ResponseHeadReader()
        while reader.receive(received) < 0:
            check_response_beginning(reader)
            received = await self._read_more(reader.received)
        return bytes(reader.received)

    async def _read_more(self, received: bytes | bytearray) -> bytes:
        try:
            data = await self.stream.read()
        except TimeoutError:
            self.stream.unread(bytes(received))  # after waiting for a 100, the caller continues to read later
            raise
        except OSError as error:
            raise self._closed_error(received) from error
        if not data:
            raise self._closed_error(received)
        return data

    def _format_hint(self) -> str:
        name = self.hop.name
        if self.hop.is_upstream and not self.answers:
            return (
                f"The answer came through the {name}. Is that an HTTP proxy? If it is, ask the people who run"
                " the site to repair it."
            )
        route = "through" if self.hop.is_upstream else "from"
        return f"The answer came {route} the {name}. Ask the people who run the site to repair it."

    def _closed_error(self, received: bytes | bytearray) -> BadResponseError:
        if received:
            return BadResponseError(f"The {self.hop.name} closed the connection in the middle of its answer.")
        may_want_tls = self.hop.is_upstream and not self.hop.is_tls and not self.answers
        return ClosedBeforeAnswerError(
            f"The {self.hop.name} closed the connection without an answer.",
            "Perhaps it wants TLS: write https:// before it in --proxy." if may_want_tls else "",
            proxy_status="connection_terminated",
        )

    async def drain(self, head: ResponseHead) -> bool:
        """Read and discard the body of an answer; return whether the connection can be used again."""
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
        """Close the connection. Safe to call again."""
        self.stream.close()
