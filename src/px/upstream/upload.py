"""Sends a request's body to the next hop while its answer is read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from px.io.relay import BrokenStreamError
from px.io.stream import Stream
from px.upstream.request_body import RequestBody


class Upload:
    """The sending of one body over one connection."""

    def __init__(self, body: RequestBody, stream: Stream, on_sent: Callable[[], None]) -> None:
        """Begin; `on_sent` is called when the whole body was sent, unless the upload was stopped or taken."""
        self._stream = stream
        self._on_sent: Callable[[], None] | None = on_sent
        self._task = asyncio.create_task(body.send_to(stream))
        self._task.add_done_callback(self._end)

    def _end(self, _: asyncio.Task[None]) -> None:
        """Start the time for the answer, or wake the reader if the upload failed at the client's side."""
        if self.client_error is not None:
            self._stream.deadline = 0.0  # wake the reader: a verdict can still come
            self._stream.expire()
        elif self._on_sent is not None and not self._task.cancelled() and self._task.exception() is None:
            self._on_sent()

    @property
    def client_error(self) -> BaseException | None:
        """The error that ended the upload at the client's side; None: no such error."""
        if self._on_sent is None or not self._task.done() or self._task.cancelled():
            return None
        error = self._task.exception()
        is_hops = isinstance(error, BrokenStreamError) and error.stream is self._stream
        return None if is_hops else error

    async def stop(self) -> bool:
        """Stop; return whether the whole body was sent. If not, the connection is useless."""
        self._on_sent = None
        self._task.cancel()
        await asyncio.wait([self._task])
        return not self._task.cancelled() and self._task.exception() is None

    def take(self) -> asyncio.Task[None]:
        """Return the task of the upload: the answer came before its end."""
        self._on_sent = None
        return self._task

    def __repr__(self) -> str:
        return f"<Upload {'ended' if self._task.done() else 'under way'} to {self._stream.peer}>"
