"""Streams the body of an answer to the client as it comes, and never collects it."""

from __future__ import annotations

import asyncio

from px.core.errors import BadResponseError
from px.core.http.body_reader import body_reader
from px.core.http.framing import Framing, FramingKind
from px.io.io_loop import IoLoop
from px.io.relay import BrokenStreamError, IdleTimeout, copy
from px.io.stream import Stream
from px.upstream.connections.connection import Connection
from px.upstream.request_body import STALL_SECONDS


class AnswerBody:
    """One body.

    Args:
        connection: The body comes over it.
        framing: Where the body ends.
        io_loop: Of the stream.
        decodes: Whether the client gets the payload of a chunked body only (HTTP/1.0 knows no chunks).
    """

    def __init__(self, connection: Connection, framing: Framing, io_loop: IoLoop, *, decodes: bool) -> None:
        self._connection = connection
        self._io_loop = io_loop
        self._framing = framing
        self._reader = body_reader(framing, decode_chunked=decodes, error=BadResponseError)
        self._passed_bytes = 0
        self._is_behind = False  # more of it is here than the reader takes at once
        self._stall_seconds = STALL_SECONDS
        self._idle_timeout: IdleTimeout | None = None

    @property
    def is_complete(self) -> bool:
        """Whether the whole body has been read."""
        return self._reader.is_complete

    def hurry(self, stall_seconds: float) -> None:
        """Shorten the stall timeout: the client may have gone."""
        self._stall_seconds = stall_seconds
        if self._idle_timeout is not None:
            self._idle_timeout.shorten(stall_seconds)
        else:
            self._connection.stream.deadline = self._io_loop.now() + stall_seconds

    def take_ready(self) -> bytes:
        """Return the part of the body that came with the head, to be sent together with the head."""
        return self._receive(self._connection.stream.take_unread())

    def _receive(self, data: bytes) -> bytes:
        piece, rest = self._reader.receive(data)
        self._is_behind = bool(rest)
        if rest:
            self._connection.stream.unread(rest)
        if self._reader.is_repaired:
            self._connection.may_share = False
        self._passed_bytes += len(piece)
        return piece

    async def pass_to(self, client: Stream) -> None:
        """Send the rest of the body.

        Raises:
            BadResponseError: The hop broke off, or the body breaks RFC 9112.
            BrokenStreamError: The client is gone.
        """
        if self._framing.kind in (FramingKind.LENGTH, FramingKind.CLOSE):
            await self._copy_rest(client)
            return
        while not self._reader.is_complete:
            piece = await self._read()
            client.deadline = self._io_loop.now() + self._stall_seconds
            try:
                await client.write(piece)
            except OSError as error:
                raise BrokenStreamError(client, error) from error
            if self._is_behind:
                await asyncio.sleep(0)  # tiny chunks, all here already, must not keep others waiting

    async def _copy_rest(self, client: Stream) -> None:
        limit = (
            self._framing.length - self._passed_bytes if self._framing.kind is FramingKind.LENGTH else None
        )
        if limit == 0:
            return
        try:
            self._idle_timeout = IdleTimeout(self._io_loop, self._stall_seconds)
            source = self._connection.stream
            count = await copy(source, client, self._io_loop, limit=limit, idle_timeout=self._idle_timeout)
        except BrokenStreamError as error:
            if error.stream is client:
                raise
            raise self._make_broken_error() from error
        name = self._connection.hop.name
        if limit is not None and count < limit:
            raise BadResponseError(f"The {name} closed {limit - count} bytes before the end of the body.")
        if limit is None and source.was_cut:  # RFC 9112 9.8
            raise BadResponseError(f"The {name} cut its TLS connection without saying that the body ends.")

    async def _read(self) -> bytes:
        source = self._connection.stream
        source.deadline = self._io_loop.now() + self._stall_seconds
        try:
            data = await source.read()
        except OSError as error:
            raise self._make_broken_error() from error
        if not data:
            self._reader.receive_eof()
        return self._receive(data)

    def _make_broken_error(self) -> BadResponseError:
        return BadResponseError(f"The {self._connection.hop.name} broke off in the middle of the body.")

    def __repr__(self) -> str:
        return f"<AnswerBody {self._framing.kind.value} {self._passed_bytes} bytes passed>"
