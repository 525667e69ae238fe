"""Refuses clients whose address may not use Px, at a bounded cost whatever they do.

Px reads nothing from them and makes no task for them. Their connections stay open for a moment so that the
answer arrives: to close a connection with a request unread resets it, which can destroy the answer on its way
(RFC 9112 9.6).
"""

from __future__ import annotations

import contextlib
import logging
import socket
from collections import deque
from collections.abc import Callable

from px.core.errors import ForbiddenError, PxError
from px.core.trace.access_record import AccessRecord
from px.io.io_loop import NEVER, IoLoop

#: How long a refused connection stays open.
LINGER_SECONDS = 2.0
#: Most of them open at once, because each is a file descriptor. One more closes the oldest.
MAX_LINGERING = 64

_LOGGER = logging.getLogger("px.listener")


class Refusals:
    """The connections of clients that were refused a moment ago.

    Args:
        io_loop: Its timer closes their connections.
        hint: What to do about a refusal: a sentence for the client.
        log_access: Writes the access log line of a refusal; None: the access log is off.
    """

    def __init__(
        self, io_loop: IoLoop, hint: str, log_access: Callable[[AccessRecord], None] | None = None
    ) -> None:
        self._io_loop = io_loop
        self._hint = hint
        self._log_access = log_access
        self._lingering: deque[tuple[float, socket.socket]] = deque()

    @property
    def deadline(self) -> float:
        """Loop time at which the oldest connection is closed."""
        return self._lingering[0][0] if self._lingering else NEVER

    def refuse(self, sock: socket.socket, host: str, format_refusal: Callable[[PxError], bytes]) -> None:
        """Send a client a refusal, and close its connection soon.

        Args:
            sock: Its connection, non-blocking.
            host: Its address.
            format_refusal: Formats the refusal in the client's protocol.
        """
        _LOGGER.warning("refused %s", host)
        if self._log_access is not None:
            self._log_access(AccessRecord(client=host, status=ForbiddenError.status))
        error = ForbiddenError(f"Clients at {host} may not use this Px.", self._hint)
        with contextlib.suppress(OSError):  # the client may have gone already
            sock.send(format_refusal(error))  # the buffer of a new connection has room for all of it
            sock.shutdown(socket.SHUT_WR)
        self._lingering.append((self._io_loop.now() + LINGER_SECONDS, sock))
        if len(self._lingering) > MAX_LINGERING:
            self._close_oldest()
        self._io_loop.watch(self)

    def _close_oldest(self) -> None:
        self._lingering.popleft()[1].close()

    def expire(self) -> None:
        """Close the connections that have been open long enough."""
        while self.deadline <= self._io_loop.now():
            self._close_oldest()
        if not self._lingering:
            self._io_loop.unwatch(self)

    def close(self) -> None:
        """Close all of them now."""
        while self._lingering:
            self._close_oldest()
        self._io_loop.unwatch(self)

    def __repr__(self) -> str:
        return f"<Refusals lingering={len(self._lingering)}>"
