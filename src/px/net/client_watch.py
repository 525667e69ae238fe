"""Notices a client that ends its direction while it is served: perhaps it has left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from px.net.completion_stream import CompletionStream
from px.net.socket_stream import SocketStream

#: So much of what a client sends ahead is taken, to see whether its end is behind it.
READ_AHEAD_BYTES = 64 * 1024


class ClientWatch:
    """Watches one client while nobody reads from it. What it sends ahead is kept, and read next."""

    def __init__(self, client: SocketStream | CompletionStream) -> None:
        self._client = client
        self._ahead = b""

    def begin(self, on_end: Callable[[], None]) -> None:
        """Have a callback called once when the client has ended its direction, until `stop`."""
        client = self._client
        self._ahead += client.take_unread()
        if len(self._ahead) <= READ_AHEAD_BYTES:
            client.on_idle_input = partial(self._notice_input, on_end)
            client.watch_idle()

    def _notice_input(self, on_end: Callable[[], None]) -> None:
        self._ahead += self._client.receive_now()
        if self._client.has_ended():
            on_end()
        else:
            self.begin(on_end)

    def stop(self) -> None:
        """Watch no longer: what came meanwhile is read next. Safe to call again."""
        self._client.on_idle_input = None
        self._client.unread(self._ahead)
        self._ahead = b""

    def __repr__(self) -> str:
        return f"<ClientWatch {self._client!r} ahead={len(self._ahead)}>"


class Patience:
    """How long a task goes on for a client that has perhaps left.

    As `asyncio.timeout`, but it costs nothing until the client has ended its direction, which few do.
    """

    def __init__(self, seconds: float) -> None:
        #: That is cancelled when the time is up.
        self.task: asyncio.Task[Any] | None = None
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None
        self._cancelled: asyncio.Task[Any] | None = None

    def begin(self) -> None:
        """Let the time run, until `end`."""
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._cancel)

    def _cancel(self) -> None:
        self._cancelled = self.task
        if self.task is not None:
            self.task.cancel()

    def end(self) -> bool:
        """Go on for as long as it takes; return whether the time was up, and only that."""
        timer, self._timer = self._timer, None
        if timer is None:
            return False
        timer.cancel()
        cancelled, self._cancelled = self._cancelled, None
        return cancelled is not None and not cancelled.uncancel()

    def __repr__(self) -> str:
        return f"<Patience {self._seconds:g} s {'running' if self._timer else 'endless'}>"
