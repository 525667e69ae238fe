"""The right to send a login that no record counts (`px.core.login.unrecorded_login`), for all workers.

The right is one byte in a pair of connected sockets, which the supervisor makes and all workers inherit. A
process takes the right by receiving the byte, which the system gives to one process only. This needs no file,
and a process that is killed while it has the right cannot give the right back.
"""

from __future__ import annotations

import contextlib
import math
import socket
import time
from collections.abc import Callable
from typing import Self

from px.core.login.token_budget import OUT_SECONDS

_FREE, _USED_UP, _TAKEN = b"1", b"0", b""


class SharedRight(contextlib.AbstractContextManager["SharedRight"]):
    """Implements `px.core.login.unrecorded_login.UnrecordedLogin`; a context manager that closes the sockets.

    Args:
        receiving: The end that has the byte to receive, unless a process has taken it.
        sending: The other end.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        receiving: socket.socket,
        sending: socket.socket,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.sockets = (receiving, sending)
        for sock in self.sockets:
            sock.setblocking(False)
        self._clock = clock
        self._missing_since = math.inf
        self._was_seen_used_up = False  # remembered: the byte is missing while another process looks

    @classmethod
    def create(cls) -> Self:
        """Return a right that no process has taken."""
        right = cls(*socket.socketpair())
        right.give_back()
        return right

    @property
    def is_free(self) -> bool:
        """See `UnrecordedLogin.is_free`."""
        return self._receive(socket.MSG_PEEK) == _FREE

    @property
    def is_used_up(self) -> bool:
        """See `UnrecordedLogin.is_used_up`; also true if the right has been taken for `OUT_SECONDS`."""
        state, now = self._receive(socket.MSG_PEEK), self._clock()
        self._was_seen_used_up = self._was_seen_used_up or state == _USED_UP
        self._missing_since = min(self._missing_since, now) if state == _TAKEN else math.inf
        return self._was_seen_used_up or now - self._missing_since >= OUT_SECONDS

    def take(self) -> bool:
        """See `UnrecordedLogin.take`."""
        state = self._receive()
        if state == _USED_UP:
            self.use_up()
        return state == _FREE

    def give_back(self) -> None:
        """See `UnrecordedLogin.give_back`."""
        self._send(_FREE)

    def use_up(self) -> None:
        """See `UnrecordedLogin.use_up`."""
        self._was_seen_used_up = True
        self._send(_USED_UP)

    def _receive(self, flags: int = 0) -> bytes:
        with contextlib.suppress(OSError):
            return self.sockets[0].recv(1, flags)
        return _TAKEN

    def _send(self, state: bytes) -> None:
        with contextlib.suppress(OSError):
            self.sockets[1].send(state)

    def __exit__(self, *_: object) -> None:
        for sock in self.sockets:
            sock.close()

    def __repr__(self) -> str:
        return f"<SharedRight {self._receive(socket.MSG_PEEK)!r}>"
