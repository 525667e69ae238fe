"""Notices a client that ends its direction while it is served: perhaps it has left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from px.net.completion_stream import CompletionStream
from px.net.socket_stream import SocketStream

#: So much of what a client sends ahead is taken, to see whether its end is behind it.
READ_AHEAD_BYTES = 64 * 1024


class ClientWatch:
    """Watches one client while nobody reads from it. What it sends ahead is kept, and read next."""

    __slots__ = ("_ahead", "_client")

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
    """How long a task goes on for a client that has perhaps left: made when that is noticed.

    As `asyncio.timeout`, which costs something each time, though few clients leave.

    Args:
        task: Cancelled when the time is up, unless `end` was called before.
        seconds: From now on.
    """

    __slots__ = ("_has_cancelled", "_task", "_timer")

    def __init__(self, task: asyncio.Task[None], seconds: float) -> None:
        self._task = task
        self._has_cancelled = False
        self._timer = asyncio.get_running_loop().call_later(seconds, self._cancel)

    def _cancel(self) -> None:
        self._has_cancelled = True
        self._task.cancel()

    def end(self) -> bool:
        """Let the task go on; return whether the time was up, and only that has cancelled it."""
        self._timer.cancel()
        return self._has_cancelled and not self._task.uncancel()

    def __repr__(self) -> str:
        return f"<Patience {'lost' if self._has_cancelled else 'left'}>"
