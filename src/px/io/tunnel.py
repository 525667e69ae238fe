"""Tunnels: carry bytes both ways, until both directions have ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from px.io.io_loop import NEVER, IoLoop
from px.io.relay import Direction, IdleTimeout, carry_by_reads
from px.io.socket_stream import SocketStream
from px.io.stream import Stream

OnEnd = Callable[[BaseException | None], None]


class _DirectionByReads:
    """A direction between streams of which at least one is no plain socket; a task reads and writes."""

    __slots__ = ("_idle_timeout", "_on_end", "_sink", "_source", "_task")

    def __init__(
        self,
        source: Stream,
        sink: Stream,
        idle_timeout: IdleTimeout,
        on_end: Callable[[_DirectionByReads, BaseException | None], object],
    ) -> None:
        self._source = source
        self._sink = sink
        self._idle_timeout = idle_timeout
        self._on_end = on_end
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Carry the bytes already read, then all that come."""
        self._task = asyncio.create_task(self._carry())
        self._task.add_done_callback(self._end)

    async def _carry(self) -> None:
        await carry_by_reads(self._source, self._sink, self._idle_timeout, None)
        await self._sink.write_eof()

    def _end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            self._on_end(self, task.exception())

    def expire(self) -> None:
        """End the direction: no bytes moved for too long."""
        self._source.expire()
        self._sink.expire()

    def stop(self) -> None:
        """Leave the streams alone from now on."""
        if self._task is not None:
            self._task.cancel()


class Tunnel:
    """Carries bytes both ways until both directions have ended; passes each end on.

    A tunnel has no task of its own: an idle one is a few small objects.

    Args:
        io_loop: The loop of the streams.
        idle_seconds: How long both streams may be silent; 0 for no limit.
        on_end: Called once, unless the tunnel was stopped; with a `BrokenStreamError` if a side broke.
    """

    __slots__ = ("_directions", "_idle_timeout", "_io_loop", "_on_end", "_open")

    def __init__(self, io_loop: IoLoop, idle_seconds: float, on_end: OnEnd) -> None:
        self._io_loop = io_loop
        self._idle_timeout = IdleTimeout(io_loop, idle_seconds)
        self._on_end: OnEnd | None = on_end
        self._directions: tuple[Direction | _DirectionByReads, ...] = ()
        self._open = 2

    def begin(self, first: Stream, second: Stream) -> None:
        """Carry the bytes already read, then all that come. The tunnel may end at once."""
        first.deadline = second.deadline = NEVER
        self._directions = self._make_direction(first, second), self._make_direction(second, first)
        self._idle_timeout.waiting = self._directions
        self._io_loop.watch(self._idle_timeout)
        for direction in self._directions:
            if self._on_end is not None:
                direction.start()

    def _make_direction(self, source: Stream, sink: Stream) -> Direction | _DirectionByReads:
        if isinstance(source, SocketStream) and isinstance(sink, SocketStream):
            return Direction(source, sink, self._io_loop, self._idle_timeout, self._end_direction)
        return _DirectionByReads(source, sink, self._idle_timeout, self._end_direction)

    def _end_direction(self, direction: Direction | _DirectionByReads, error: BaseException | None) -> None:
        """Pass the end of a direction on; after the last one, or an error, end the tunnel.

        The owner of the tunnel then closes both streams, which passes the last end on.
        """
        self._open -= 1
        if error is None and self._open:
            if isinstance(direction, Direction):
                direction.sink.shut_down_writing()
            return
        on_end = self._on_end
        self.stop()
        if on_end is not None:
            on_end(error)

    def stop(self) -> None:
        """Leave the streams alone from now on. Safe to call again."""
        self._on_end = None
        directions, self._directions, self._idle_timeout.waiting = self._directions, (), ()
        self._io_loop.unwatch(self._idle_timeout)
        for direction in directions:
            direction.stop()
