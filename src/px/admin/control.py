"""Where a running Px takes commands: a loopback port, one JSON line each way, for who knows the token.

Other users of this computer, and pages in its user's browser, reach the port as well. So it says nothing to
anybody, not even what it is, before the token has come; and who does not send it at once is cut off.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping

from px.core.message_line import MAX_LINE_BYTES, format_line, parse_line

LOOPBACK = "127.0.0.1"
#: A stranger has so long to show the token.
STRANGER_SECONDS = 2.0
#: So many strangers at once; the next ones are cut off unheard.
MAX_STRANGERS = 16
MAX_REQUEST_BYTES = 4096

#: Does what a request wants and returns the answer.
Obey = Callable[[Mapping[str, object]], Awaitable[Mapping[str, object]]]

_LOGGER = logging.getLogger("px.control")


class Control:
    """Takes commands.

    Args:
        token: Of those who may give them.
        obey: Called with each request that shows it.
    """

    def __init__(self, token: str, obey: Obey) -> None:
        self._token = token.encode("ascii")
        self._obey = obey
        self._strangers = 0
        self._server: asyncio.Server | None = None

    async def open(self) -> int:
        """Begin to listen; return the port.

        Raises:
            OSError: There is none.
        """
        self._server = await asyncio.start_server(self._serve, LOOPBACK, 0, limit=MAX_REQUEST_BYTES)
        return int(self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Listen no more; a request under way gets its answer."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, ValueError):
                request = await self._admit(reader)
                writer.write(format_line(await self._obey(request)))
                await writer.drain()
        finally:
            writer.close()

    async def _admit(self, reader: asyncio.StreamReader) -> dict[str, object]:
        """Return the request of somebody who knows the token.

        Raises:
            ValueError: It is not that.
            OSError: It did not come in time.
        """
        if self._strangers >= MAX_STRANGERS:
            raise ValueError("too many strangers")
        self._strangers += 1
        try:
            async with asyncio.timeout(STRANGER_SECONDS):
                request = parse_line(await reader.readline())
        finally:
            self._strangers -= 1
        if not hmac.compare_digest(str(request.pop("token", "")).encode(), self._token):
            _LOGGER.warning("somebody without the token wants to give a command")
            raise ValueError("wrong token")
        return request

    def __repr__(self) -> str:
        return f"<Control strangers={self._strangers}>"


def ask(port: int, token: str, request: Mapping[str, object], timeout_seconds: float) -> dict[str, object]:
    """Give a command to the Px that listens on a port, and return its answer.

    Raises:
        OSError: Nobody listens there, or there is no answer in time.
        ValueError: What answers is not a Px that knows the token.
    """
    with socket.create_connection((LOOPBACK, port), timeout_seconds) as sock:
        sock.sendall(format_line({**request, "token": token}))
        with sock.makefile("rb") as stream:
            return parse_line(stream.readline(MAX_LINE_BYTES))
