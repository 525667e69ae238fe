"""The body of one request: streamed to the next hop, and sent again when a 407 interrupts it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from px.core.errors import BadRequestError
from px.core.http.body_reader import body_reader
from px.core.http.framing import NO_BODY, Framing, FramingKind
from px.io.io_loop import IoLoop
from px.io.relay import BrokenStreamError, IdleTimeout, copy
from px.io.stream import Stream

#: Most bytes kept to be sent again.
REPLAY_BYTES = 256 * 1024
#: How long a client may be silent in the middle of its body, or a hop take nothing.
STALL_SECONDS = 300.0


class RequestBody:
    """A body, read from the client as the next hop takes it.

    A body of up to `REPLAY_BYTES` is kept, so that it can be sent again; a longer one cannot.
    """

    def __init__(self, client: Stream, framing: Framing, io_loop: IoLoop) -> None:
        self._client = client
        self._framing = framing
        self._io_loop = io_loop
        self._reader = body_reader(framing, decode_chunked=False, error=BadRequestError)
        self._kept: list[bytes] | None = []
        self._read_bytes = 0
        self._is_behind = False  # more bytes are here than the reader takes at once
        self._when_read: Callable[[], None] | None = None

    @classmethod
    def of_px(cls, io_loop: IoLoop) -> RequestBody:
        """Return the body of a request of Px's own: empty, so that there is no client to read from."""
        return cls(cast("Stream", None), NO_BODY, io_loop)

    def without_content(self) -> RequestBody:
        """Return the body of another request for the same client, an empty one."""
        return RequestBody(self._client, NO_BODY, self._io_loop)

    @property
    def is_empty(self) -> bool:
        """Whether there is no body."""
        return self._framing.kind is FramingKind.NONE

    @property
    def is_small(self) -> bool:
        """Whether the whole body can surely be sent again."""
        is_short = self._framing.kind is not FramingKind.CHUNKED and self._framing.length <= REPLAY_BYTES
        return is_short or (self._reader.is_complete and self._kept is not None)

    @property
    def is_complete(self) -> bool:
        """Whether the client has sent the whole body."""
        return self._reader.is_complete

    @property
    def can_replay(self) -> bool:
        """Whether the body can be sent from its beginning."""
        return self._kept is not None

    def call_when_read(self, callback: Callable[[], None] | None) -> None:
        """Call back once the client has sent the whole body, now or later; None: call back no more."""
        self._when_read = callback
        self._tell_when_read()

    def _tell_when_read(self) -> None:
        if self._when_read is not None and self._reader.is_complete:
            callback, self._when_read = self._when_read, None
            callback()

    def take_ready(self) -> bytes | None:
        """Return the whole body if it has come already, else None."""
        if not self._reader.is_complete:
            data = self._client.take_unread()
            if data:
                self._receive(data)
        return b"".join(self._kept) if self._reader.is_complete and self._kept is not None else None

    async def send_to(self, stream: Stream) -> None:
        """Send the whole body.

        Raises:
            BrokenStreamError: The client or the hop broke.
            BadRequestError: The body breaks RFC 9112, or the client closed in the middle.
        """
        for piece in list(self._kept or ()):
            await self._write(stream, piece)
        while not self._reader.is_complete:
            if self._kept is None and self._framing.kind is FramingKind.LENGTH:
                await self._copy_rest(stream)
                return
            await self._write(stream, await self._read())
            if self._is_behind:
                await asyncio.sleep(0)  # tiny chunks, all here already, must not keep others waiting

    async def discard(self, max_bytes: int) -> bool:
        """Read and drop the body unless it is too long; return whether the whole body was read.

        Raises:
            BrokenStreamError: The client broke.
            BadRequestError: The body breaks RFC 9112, or the client closed in the middle.
        """
        self._kept = None
        if self._framing.length > max_bytes:
            return False
        while not self._reader.is_complete and self._read_bytes <= max_bytes:
            await self._read()
        return self._reader.is_complete

    async def _read(self) -> bytes:
        self._client.deadline = self._io_loop.now() + STALL_SECONDS
        try:
            data = await self._client.read()
        except OSError as error:
            raise BrokenStreamError(self._client, error) from error
        if not data:
            self._reader.receive_eof()
        return self._receive(data)

    def _receive(self, data: bytes) -> bytes:
        piece, rest = self._reader.receive(data)
        self._client.unread(rest)
        self._is_behind = bool(rest)
        self._read_bytes += len(piece)
        if self._read_bytes > REPLAY_BYTES:
            self._kept = None
        elif self._kept is not None:
            self._kept.append(piece)
        self._tell_when_read()
        return piece

    async def _write(self, stream: Stream, piece: bytes) -> None:
        stream.deadline = self._io_loop.now() + STALL_SECONDS
        try:
            await stream.write(piece)
        except OSError as error:
            raise BrokenStreamError(stream, error) from error

    async def _copy_rest(self, stream: Stream) -> None:
        rest = self._framing.length - self._read_bytes
        idle_timeout = IdleTimeout(self._io_loop, STALL_SECONDS)
        count = await copy(self._client, stream, self._io_loop, limit=rest, idle_timeout=idle_timeout)
        if count < rest:
            self._reader.receive_eof()
        self._reader = body_reader(Framing(FramingKind.NONE), decode_chunked=False, error=BadRequestError)
        self._tell_when_read()

    def __repr__(self) -> str:
        state = "complete" if self.is_complete else "coming"
        return f"<RequestBody {self._framing.kind.value} {self._read_bytes} bytes read, {state}>"
