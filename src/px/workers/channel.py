"""The line between a supervisor and a worker's process."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Mapping
from typing import Self

from px.core.message_line import MAX_LINE_BYTES, format_line, parse_line


class Channel:
    """Carries messages both ways, until one side has gone."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, sock: socket.socket) -> Self:
        """Return the channel over this side's socket of a pair."""
        return cls(*await asyncio.open_connection(sock=sock, limit=MAX_LINE_BYTES))

    async def receive(self) -> dict[str, object] | None:
        """Return the next message; None when the other side has gone."""
        with contextlib.suppress(OSError, ValueError):
            return parse_line(await self._reader.readline())
        return None

    def post(self, message: Mapping[str, object]) -> None:
        """Send a message, a short one; it is lost if the other side has gone."""
        if not self._writer.is_closing():
            self._writer.write(format_line(message))

    async def close(self) -> None:
        """Go, once everything has been sent."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
