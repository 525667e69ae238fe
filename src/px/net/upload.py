"""A request's body on its way to the next hop, beside the reading of the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from px.net.relay import BrokenStreamError
from px.net.request_body import RequestBody
from px.net.stream import Stream


class Upload:
    """The sending of one body over one connection."""

    def __init__(self, body: RequestBody, stream: Stream, on_sent: Callable[[], None]) -> None:
        """Begin it; `on_sent` is called when all of it has gone, unless it was stopped or taken before."""
        self._stream = stream
        self._on_sent: Callable[[], None] | None = on_sent
        self._task = asyncio.create_task(body.send_to(stream))
        self._task.add_done_callback(self._end)

    def _end(self, _: asyncio.Task[None]) -> None:
        """The time for the answer begins; but an upload that failed at the client's side needs none."""
        if self.client_error is not None:
            self._stream.deadline = 0.0  # wake the one who waits: a verdict can still be read from it
            self._stream.expire()
        elif self._on_sent is not None and not self._task.cancelled() and self._task.exception() is None:
            self._on_sent()

    @property
    def client_error(self) -> BaseException | None:
        """What ended it at the client's side, if anything did."""
        if self._on_sent is None or not self._task.done() or self._task.cancelled():
            return None
        error = self._task.exception()
        is_hops = isinstance(error, BrokenStreamError) and error.stream is self._stream
        return None if is_hops else error

    async def stop(self) -> bool:
        """End it; return whether the whole body had gone (else the connection is of no more use)."""
        self._on_sent = None
        self._task.cancel()
        await asyncio.wait([self._task])
        return not self._task.cancelled() and self._task.exception() is None

    def take(self) -> asyncio.Task[None]:
        """Hand over what is left of it: the answer was earlier."""
        self._on_sent = None
        return self._task

    def __repr__(self) -> str:
        return f"<Upload {'ended' if self._task.done() else 'under way'} to {self._stream.peer}>"
