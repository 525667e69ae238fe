"""Notices when a client ends its direction while its request is served: the client may have left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from px.io.completion_stream import CompletionStream
from px.io.socket_stream import SocketStream

#: Px reads ahead this many bytes of what a client sends, to see whether the client ends its direction.
READ_AHEAD_BYTES = 64 * 1024


class ClientWatch:
    """Watches one client while no request is read from it. Bytes that come are kept and read next."""

    __slots__ = ("_ahead", "_client")

    def __init__(self, client: SocketStream | CompletionStream) -> None:
        self._client = client
        self._ahead = b""

    def begin(self, on_end: Callable[[], None]) -> None:
        """Call back once when the client has ended its direction, unless `stop` is called before."""
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
        """Stop watching; bytes that came meanwhile are read next. Safe to call again."""
        self._client.on_idle_input = None
        self._client.unread(self._ahead)
        self._ahead = b""

    def __repr__(self) -> str:
        return f"<ClientWatch {self._client!r} ahead={len(self._ahead)}>"


class HangUpTimer:
    """Cancels a task after some time; made when Px notices that the client may have left.

    It works like `asyncio.timeout`, which would cost something for each request, although few clients leave.

    Args:
        task: Cancelled when the time is up, unless `stop` was called before.
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

    def stop(self) -> bool:
        """Stop the timer; return whether the time was up, and nothing else cancelled the task."""
        self._timer.cancel()
        return self._has_cancelled and not self._task.uncancel()

    def __repr__(self) -> str:
        return f"<HangUpTimer {'over' if self._has_cancelled else 'running'}>"
