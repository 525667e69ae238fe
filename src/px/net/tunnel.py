"""Tunnels: bytes both ways, until both directions have ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from px.net.io_loop import NEVER, IoLoop
from px.net.relay import Activity, Direction, carry_by_reads
from px.net.socket_stream import SocketStream
from px.net.stream import Stream

OnEnd = Callable[[BaseException | None], None]


class _DirectionByReads:
    """As `Direction`, between streams of which at least one is no plain socket; by a task that reads."""

    __slots__ = ("_activity", "_sink", "_source", "_task")

    def __init__(self, source: Stream, sink: Stream, activity: Activity) -> None:
        self._source = source
        self._sink = sink
        self._activity = activity
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Carry what was already read, then whatever comes."""
        self._task = asyncio.create_task(self._carry())
        self._task.add_done_callback(self._end)

    async def _carry(self) -> None:
        await carry_by_reads(self._source, self._sink, self._activity, None)
        await self._sink.write_eof()

    def _end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            self._activity.end_direction(self, task.exception())

    def expire(self) -> None:
        """Nothing moved for too long."""
        self._source.expire()
        self._sink.expire()

    def stop(self) -> None:
        """Touch the streams no more."""
        if self._task is not None:
            self._task.cancel()


class Tunnel(Activity):
    """Carries bytes both ways until both directions have ended; an end is passed on as an end.

    There is no task behind it: a tunnel that nobody uses is a few small objects.

    Args:
        io_loop: Of the streams.
        idle_seconds: How long both may be silent; 0: for ever.
        on_end: Called once, unless it was stopped; with a `BrokenStreamError` when a side broke.
    """

    __slots__ = ("_directions", "_io_loop", "_on_end", "_open")

    def __init__(self, io_loop: IoLoop, idle_seconds: float, on_end: OnEnd) -> None:
        super().__init__(io_loop, idle_seconds)
        self._io_loop = io_loop
        self._on_end: OnEnd | None = on_end
        self._directions: tuple[Direction | _DirectionByReads, ...] = ()
        self._open = 2

    def begin(self, first: Stream, second: Stream) -> None:
        """Carry what was already read, then whatever comes; it may end at once."""
        first.deadline = second.deadline = NEVER
        self._directions = self._make_direction(first, second), self._make_direction(second, first)
        self.waiting = self._directions
        self._io_loop.watch(self)
        for direction in self._directions:
            if self._on_end is not None:
                direction.start()

    def _make_direction(self, source: Stream, sink: Stream) -> Direction | _DirectionByReads:
        if isinstance(source, SocketStream) and isinstance(sink, SocketStream):
            return Direction(source, sink, self._io_loop, self)
        return _DirectionByReads(source, sink, self)

    def end_direction(self, direction: object, error: BaseException | None) -> None:
        """See `Activity.end_direction`. The sink of the last one is closed, which is an end, too."""
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
        """Touch the streams no more. Safe to call again."""
        self._on_end = None
        directions, self._directions, self.waiting = self._directions, (), ()
        self._io_loop.unwatch(self)
        for direction in directions:
            direction.stop()
