"""The body of an answer on its way to the client: streamed as it comes, never collected."""

from __future__ import annotations

import asyncio

from px.core.errors import BadResponseError
from px.core.framing import Framing, FramingKind, body_reader
from px.net.connection import Connection
from px.net.io_loop import IoLoop
from px.net.relay import Activity, BrokenStreamError, copy
from px.net.request_body import STALL_SECONDS
from px.net.stream import Stream


class AnswerBody:
    """One body.

    Args:
        connection: It comes over.
        framing: Where it ends.
        io_loop: Of its stream.
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
        self._activity: Activity | None = None

    @property
    def is_complete(self) -> bool:
        """Whether all of it was taken by `take_ready`."""
        return self._reader.is_complete

    def hurry(self, stall_seconds: float) -> None:
        """Bear with less silence from now on: perhaps nobody reads any more."""
        self._stall_seconds = stall_seconds
        if self._activity is not None:
            self._activity.shorten(stall_seconds)
        else:
            self._connection.stream.deadline = self._io_loop.now() + stall_seconds

    def take_ready(self) -> bytes:
        """Return what came together with the head: it is sent together with it, too."""
        return self._receive(self._connection.stream.take_unread())

    def _receive(self, data: bytes) -> bytes:
        piece, rest = self._reader.receive(data)
        self._is_behind = bool(rest)
        if rest:
            self._connection.stream.unread(rest)
        self._passed_bytes += len(piece)
        return piece

    async def pass_to(self, client: Stream) -> None:
        """Send the rest of it.

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
            self._activity = Activity(self._io_loop, self._stall_seconds)
            source = self._connection.stream
            count = await copy(source, client, self._io_loop, limit=limit, activity=self._activity)
        except BrokenStreamError as error:
            if error.stream is client:
                raise
            raise self._say_broken() from error
        if limit is not None and count < limit:
            name = self._connection.hop.name
            raise BadResponseError(f"The {name} closed {limit - count} bytes before the end of the body.")

    async def _read(self) -> bytes:
        source = self._connection.stream
        source.deadline = self._io_loop.now() + self._stall_seconds
        try:
            data = await source.read()
        except OSError as error:
            raise self._say_broken() from error
        if not data:
            self._reader.receive_eof()
        return self._receive(data)

    def _say_broken(self) -> BadResponseError:
        return BadResponseError(f"The {self._connection.hop.name} broke off in the middle of the body.")

    def __repr__(self) -> str:
        return f"<AnswerBody {self._framing.kind.value} {self._passed_bytes} bytes passed>"
