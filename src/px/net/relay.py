"""Carries bytes from one stream to another without keeping them.

A `Direction` receives into the loop's one buffer and sends from there at once; only what the sink does
not take is kept, and then nothing more is received until that is gone. So a stalled peer costs at most
one buffer, and two streams with nothing to say cost nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from functools import partial
from typing import Protocol, TypeVar

from px.net.io_loop import NEVER, IoLoop
from px.net.pipes import PIPE_BYTES, UNSUPPORTED, Pipe
from px.net.socket_stream import SocketStream
from px.net.stream import Stream, network_lost

_Result = TypeVar("_Result")

#: Work done for one direction before the loop turns to others: fairness.
RECEIVES_A_WAKE_UP = 4
#: A receive that brings less has emptied the socket: no need to ask again now.
FULL_RECEIVE_BYTES = 64 * 1024

_NOTHING = memoryview(b"")


class BrokenStreamError(OSError):
    """A stream broke while bytes were carried over it.

    Attributes:
        stream: The one that broke.
        error: What the operating system said.
    """

    def __init__(self, stream: Stream, error: OSError) -> None:
        super().__init__(*error.args)
        self.stream = stream
        self.error = error


class _Expirable(Protocol):
    """A direction, or a stream that somebody waits for."""

    def expire(self) -> None:
        """Nothing moved for too long."""


class Activity:
    """How long two streams may be silent together, and what becomes of the directions between them."""

    __slots__ = ("_ended", "_now", "_seconds", "deadline", "waiting")

    def __init__(self, io_loop: IoLoop, idle_seconds: float) -> None:
        self._now = io_loop.now
        self._seconds = idle_seconds
        #: What is told when nothing moved for too long.
        self.waiting: Sequence[_Expirable] = ()
        self.deadline = NEVER
        self._ended: asyncio.Future[None] | None = None
        self.touch()

    def touch(self) -> None:
        """Something moved."""
        if self._seconds:
            self.deadline = self._now() + self._seconds

    def shorten(self, idle_seconds: float) -> None:
        """From now on they may be silent for so long only."""
        self._seconds = idle_seconds
        self.touch()

    def expire(self) -> None:
        """Nothing moved for too long."""
        for each in self.waiting:
            each.expire()

    async def run(self, direction: Direction) -> None:
        """Have one direction carry until it ends."""
        self.waiting = (direction,)
        self._ended = asyncio.get_running_loop().create_future()
        try:
            direction.start()
            await self._ended
        finally:
            self._ended = None
            direction.stop()

    def end_direction(self, direction: object, error: BaseException | None) -> None:  # noqa: ARG002 - see Tunnel
        """A direction has ended, by its source's end if there is no error."""
        ended = self._ended
        if ended is None or ended.done():  # whoever waited for it was cancelled
            return
        if error is None:
            ended.set_result(None)
        else:
            ended.set_exception(error)


class Direction:
    """Source to sink between two sockets, by callbacks; it ends with the source, or the limit.

    Args:
        source: Where bytes come from.
        sink: Where they go.
        io_loop: Of both.
        activity: Touched whenever something moves, and told of the end, unless that was a `stop`.
        limit: Most bytes that are carried; None: all.
    """

    __slots__ = (
        "_activity",
        "_io_loop",
        "_is_fat",
        "_is_over",
        "_left",
        "_pipe",
        "_remaining",
        "count",
        "sink",
        "source",
    )

    def __init__(
        self,
        source: SocketStream,
        sink: SocketStream,
        io_loop: IoLoop,
        activity: Activity,
        *,
        limit: int | None = None,
    ) -> None:
        self.source = source
        self.sink = sink
        self.count = 0
        self._activity = activity
        self._io_loop = io_loop
        self._is_over = False
        self._remaining = limit
        self._left = _NOTHING
        self._is_fat = False  # the last receive filled a buffer
        self._pipe: Pipe | None = None

    def start(self) -> None:
        """Carry what was already read, then whatever comes."""
        early = self.source.take_unread()
        if self._remaining is not None and len(early) > self._remaining:
            self.source.unread(early[self._remaining :])
            early = early[: self._remaining]
        self.source.divert(self)
        if early:
            self._send(memoryview(early))
        elif self._remaining == 0:
            self._end(None)

    def forward(self) -> None:
        """The source can be read from."""
        for _ in range(RECEIVES_A_WAKE_UP):
            if self._is_fat:
                self._pipe = self._io_loop.pipes.take()
            count = self._receive() if self._pipe is None else self._splice(self._pipe)
            self._is_fat = count >= FULL_RECEIVE_BYTES
            if not self._is_fat or self._is_over or not self.source.is_receiving:
                return

    def _receive(self) -> int:
        """Receive once and send on; return how much came, 0 when there is no more for now."""
        buffer = self._io_loop.receive_buffer
        if self._remaining is not None and self._remaining < len(buffer):
            buffer = buffer[: self._remaining]
        try:
            count = self.source.sock.recv_into(buffer)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            self._fail(self.source, error)
            return 0
        if not count:
            self._end_by_source()
            return 0
        self.source.received_bytes += count
        self._send(buffer[:count])
        return count

    def _send(self, data: memoryview) -> None:
        self._activity.touch()
        self.count += len(data)
        if self._remaining is not None:
            self._remaining -= len(data)
        try:
            sent = self.sink.write_now(data)
        except OSError as error:
            self._fail(self.sink, error)
            return
        if sent < len(data):
            self._left = memoryview(bytes(data[sent:]))
            self.source.pause()
            self.sink.on_writable(self._flush)
        elif self._remaining == 0:
            self._end(None)

    def _flush(self) -> None:
        try:
            sent = self.sink.write_now(self._left)
        except OSError as error:
            self._fail(self.sink, error)
            return
        self._activity.touch()
        self._left = self._left[sent:]
        if self._left:
            return
        self.sink.on_writable(None)
        self._left = _NOTHING
        if self._remaining == 0:
            self._end(None)
        else:
            self.source.resume()

    def _splice(self, pipe: Pipe) -> int:
        """As `_receive`, through a pipe; it is kept only while it holds something."""
        count = 0
        try:
            count = pipe.fill(self.source.sock.fileno(), self._remaining or PIPE_BYTES)
        except (BlockingIOError, InterruptedError):
            self._give_pipe_back()
            return 0
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                self._fail(self.source, error)
                return 0
            self._give_pipe_back()
            self._io_loop.pipes.forbid()
            return self._receive()
        if not count:
            self._end_by_source()
            return 0
        self.source.received_bytes += count
        self.count += count
        if self._remaining is not None:
            self._remaining -= count
        self._drain(pipe)
        return count

    def _drain(self, pipe: Pipe) -> None:
        """Send on what a pipe holds."""
        sink = self.sink
        try:
            sink.sent_bytes += pipe.drain(sink.sock.fileno())
        except OSError as error:
            self._fail(sink, error)
            return
        self._activity.touch()
        if pipe.held_bytes:
            self.source.pause()
            sink.on_writable(partial(self._drain, pipe))
            return
        sink.on_writable(None)
        self._give_pipe_back()
        if self._remaining == 0:
            self._end(None)
        else:
            self.source.resume()

    def _give_pipe_back(self) -> None:
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            self._io_loop.pipes.give_back(pipe)

    def expire(self) -> None:
        """Nothing moved for too long."""
        self._fail(self.source, TimeoutError("nothing moved past the idle timeout"))

    def _end_by_source(self) -> None:
        self._end(BrokenStreamError(self.source, network_lost()) if self.source.is_lost else None)

    def _fail(self, stream: Stream, error: OSError) -> None:
        self._end(BrokenStreamError(stream, error))

    def _end(self, error: BrokenStreamError | None) -> None:
        if not self._is_over:
            self.stop()
            self._activity.end_direction(self, error)

    def stop(self) -> None:
        """Touch the streams no more."""
        if self._is_over:
            return
        self._is_over = True
        self.source.divert(None)
        if self._left or self._pipe is not None:
            self._left = _NOTHING
            self.sink.on_writable(None)
            self._give_pipe_back()


async def copy(
    source: Stream, sink: Stream, io_loop: IoLoop, *, limit: int | None, activity: Activity
) -> int:
    """Carry `limit` bytes, or all until the source ends; return the number carried.

    Raises:
        BrokenStreamError: A side broke, or nothing moved for as long as `activity` allows.
    """
    source.deadline = sink.deadline = NEVER
    io_loop.watch(activity)
    try:
        if isinstance(source, SocketStream) and isinstance(sink, SocketStream):
            direction = Direction(source, sink, io_loop, activity, limit=limit)
            await activity.run(direction)
            return direction.count
        activity.waiting = (source, sink)
        return await carry_by_reads(source, sink, activity, limit)
    finally:
        activity.waiting = ()
        io_loop.unwatch(activity)


async def carry_by_reads(source: Stream, sink: Stream, activity: Activity, limit: int | None) -> int:
    """As `copy`, between any streams, of which one may be no plain socket."""
    count = 0
    while limit is None or count < limit:
        data = await _attributed(source, source.read())
        if not data:
            break
        if limit is not None and len(data) > limit - count:
            source.unread(data[limit - count :])
            data = data[: limit - count]
        await _attributed(sink, sink.write(data))
        activity.touch()
        count += len(data)
    return count


async def _attributed(stream: Stream, operation: Awaitable[_Result]) -> _Result:
    try:
        return await operation
    except OSError as error:
        raise BrokenStreamError(stream, error) from error
