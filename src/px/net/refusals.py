"""Tells clients that may not use Px so, at a cost that is bounded whatever they do.

Nothing is read from them, none gets a task, and their connections stay open only so that the answer arrives:
closing at once, with a request unread, would reset the connection and could destroy it (RFC 9112 9.6).
"""

from __future__ import annotations

import contextlib
import logging
import socket
from collections import deque
from collections.abc import Callable

from px.core.access_record import AccessRecord
from px.core.errors import ForbiddenError
from px.core.own_answer import format_error
from px.net.io_loop import NEVER, IoLoop

#: How long a refused connection stays open.
LINGER_SECONDS = 2.0
#: How many do at once: each is a descriptor. The one after them takes the place of the oldest.
MAX_LINGERING = 64

_LOGGER = logging.getLogger("px.listener")


class Refusals:
    """The clients that were refused lately.

    Args:
        io_loop: Its timer closes their connections.
        mend: What to do about a refusal: a sentence for the client.
        log_access: Called with each; None: there is no access log.
    """

    def __init__(
        self, io_loop: IoLoop, mend: str, log_access: Callable[[AccessRecord], None] | None = None
    ) -> None:
        self._io_loop = io_loop
        self._mend = mend
        self._log_access = log_access
        self._lingering: deque[tuple[float, socket.socket]] = deque()

    @property
    def deadline(self) -> float:
        """Loop time at which the oldest connection has to go."""
        return self._lingering[0][0] if self._lingering else NEVER

    def refuse(self, sock: socket.socket, host: str) -> None:
        """Send a client a 403 and see to its end.

        Args:
            sock: Its connection, non-blocking.
            host: Its address.
        """
        _LOGGER.warning("refused %s", host)
        if self._log_access is not None:
            self._log_access(AccessRecord(client=host, status=ForbiddenError.status))
        error = ForbiddenError(f"Clients at {host} may not use this Px.", self._mend)
        with contextlib.suppress(OSError):  # it has gone, and that is all right
            sock.send(format_error(error, None, keep_alive=False))  # a new connection takes that much
            sock.shutdown(socket.SHUT_WR)
        self._lingering.append((self._io_loop.now() + LINGER_SECONDS, sock))
        if len(self._lingering) > MAX_LINGERING:
            self._close_oldest()
        self._io_loop.watch(self)

    def _close_oldest(self) -> None:
        self._lingering.popleft()[1].close()

    def expire(self) -> None:
        """Close the connections whose time is up."""
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
