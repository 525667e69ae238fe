"""The state of all workers for everybody who looks, and as server-sent events.

Nothing runs while nobody looks. However many look, the supervisor is asked one question at a time, and the
answer serves all of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any, Final

from px.downstream.page_answer import Events, PageError

#: Time from one event to the next.
EVENT_SECONDS: Final = 2.0
#: An answer serves everybody who asks within this time.
FRESH_SECONDS: Final = 0.5
#: Each stream of events is a client connection with a task.
MAX_STREAMS: Final = 16
#: When a browser whose stream has ended asks again: in milliseconds, as the format wants.
_RETRY: Final = b"retry: 1000\n\n"

#: Returns the state of all workers; None if the supervisor does not answer in time.
AskStatus = Callable[[], Awaitable[Mapping[str, Any] | None]]


class StatusFeed:
    """Asks for the state of all workers.

    Args:
        ask: Asks the supervisor.
    """

    def __init__(self, ask: AskStatus) -> None:
        self._ask = ask
        self._now = asyncio.get_running_loop().time
        self._asking: asyncio.Task[Mapping[str, Any] | None] | None = None
        self._asked_at = float("-inf")
        self._closed = asyncio.Event()
        self._streams: set[_Stream] = set()

    async def get(self) -> Mapping[str, Any]:
        """Return the state of all workers, at most `FRESH_SECONDS` old.

        Raises:
            PageError: The supervisor does not answer.
        """
        if self._asking is None or (self._asking.done() and self._now() - self._asked_at >= FRESH_SECONDS):
            self._asked_at = self._now()
            self._asking = asyncio.ensure_future(self._ask())
        status = await asyncio.shield(self._asking)
        if status is None:
            raise PageError(503, "The supervisor of this Px does not answer now.", "Try again in a moment.")
        return status

    def open_stream(self) -> Events:
        """Return a stream of events, one each `EVENT_SECONDS` until `close`; it counts until it is closed.

        Raises:
            PageError: Too many streams are open.
        """
        if len(self._streams) >= MAX_STREAMS:
            raise PageError(
                503, f"{MAX_STREAMS} pages watch this worker already.", "Close some of them, and try again."
            )
        stream = _Stream(self._make_events(), self._streams.discard)
        self._streams.add(stream)
        return stream

    async def _make_events(self) -> AsyncGenerator[bytes, None]:
        yield _RETRY
        while not self._closed.is_set():
            began = self._now()
            yield await self._make_event()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(began + EVENT_SECONDS):
                    await self._closed.wait()

    async def _make_event(self) -> bytes:
        try:
            return b"data: %b\n\n" % format_status(await self.get())
        except PageError:
            return b": no answer\n\n"

    def close(self) -> None:
        """End all streams: Px ends, or has another configuration. Browsers ask again by themselves."""
        self._closed.set()

    def __repr__(self) -> str:
        return f"<StatusFeed streams={len(self._streams)}>"


class _Stream:
    """Implements `Events`. A generator that was never asked would not notice that it is closed."""

    def __init__(self, events: AsyncGenerator[bytes, None], on_close: Callable[[_Stream], object]) -> None:
        self._events = events
        self._on_close = on_close

    def __anext__(self) -> Awaitable[bytes]:
        return self._events.__anext__()

    async def aclose(self) -> None:
        """Close the stream. Safe to call again."""
        self._on_close(self)
        await self._events.aclose()


def format_status(status: Mapping[str, Any]) -> bytes:
    """Return a state as one line of JSON."""
    return json.dumps(status, separators=(",", ":")).encode("ascii")
