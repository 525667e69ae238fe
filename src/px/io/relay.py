"""Carries bytes from one stream to another without keeping them.

A `Direction` receives into the loop's shared buffer and sends from there at once. It keeps only the bytes
that the sink does not take, and receives nothing more until these are sent. So a stalled peer costs at most
one buffer, and two silent streams cost nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Protocol, TypeVar

from px.io.io_loop import NEVER, IoLoop
from px.io.pipes import PIPE_BYTES, UNSUPPORTED, Pipe
from px.io.socket_stream import SocketStream
from px.io.stream import Stream, name_break, network_lost

_Result = TypeVar("_Result")

#: Receives for one direction before the loop turns to others: fairness.
MAX_RECEIVES_PER_WAKEUP = 4
#: A smaller receive has emptied the socket: another one now would find nothing.
FULL_RECEIVE_BYTES = 64 * 1024

_NOTHING = memoryview(b"")


class BrokenStreamError(OSError):
    """A stream broke while bytes were carried over it.

    Attributes:
        stream: The stream that broke.
        error: The error of the operating system.
    """

    def __init__(self, stream: Stream, error: OSError) -> None:
        super().__init__(*error.args)
        self.stream = stream
        self.error = error


class _Expirable(Protocol):
    """A direction, or a stream on which a task waits."""

    def expire(self) -> None:
        """End the wait: no bytes moved for too long."""


class IdleTimeout:
    """The idle timeout that two streams share; `px.io.io_loop.IoLoop.watch` calls `expire` after it."""

    __slots__ = ("_now", "_seconds", "deadline", "waiting")

    def __init__(self, io_loop: IoLoop, idle_seconds: float) -> None:
        self._now = io_loop.now
        self._seconds = idle_seconds
        #: The objects that expire after the timeout.
        self.waiting: Sequence[_Expirable] = ()
        self.deadline = NEVER
        self.touch()

    def touch(self) -> None:
        """Start the timeout again: bytes have moved."""
        if self._seconds:
            self.deadline = self._now() + self._seconds

    def shorten(self, idle_seconds: float) -> None:
        """Replace the timeout by a shorter one."""
        self._seconds = idle_seconds
        self.touch()

    def expire(self) -> None:
        """End the wait: no bytes moved for too long."""
        for each in self.waiting:
            each.expire()


class Direction:
    """Carries bytes from one socket to another by callbacks; ends with the source or at the limit.

    Args:
        source: The stream to read.
        sink: The stream to write.
        io_loop: The loop of both streams.
        idle_timeout: Started again whenever bytes move.
        on_end: Called once with the direction, and with an error if a stream broke; not after `stop`.
        limit: The most bytes to carry; None for no limit.
    """

    __slots__ = (
        "_idle_timeout",
        "_io_loop",
        "_is_bulk",
        "_is_over",
        "_on_end",
        "_pipe",
        "_remaining",
        "_unsent",
        "count",
        "sink",
        "source",
    )

    def __init__(
        self,
        source: SocketStream,
        sink: SocketStream,
        io_loop: IoLoop,
        idle_timeout: IdleTimeout,
        on_end: Callable[[Direction, BaseException | None], object],
        *,
        limit: int | None = None,
    ) -> None:
        self.source = source
        self.sink = sink
        self.count = 0
        self._idle_timeout = idle_timeout
        self._on_end = on_end
        self._io_loop = io_loop
        self._is_over = False
        self._remaining = limit
        self._unsent = _NOTHING
        self._is_bulk = False  # the last receive filled a buffer
        self._pipe: Pipe | None = None

    def start(self) -> None:
        """Carry the bytes already read, then all that come."""
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
        """Carry what the source has: it is readable."""
        for _ in range(MAX_RECEIVES_PER_WAKEUP):
            if self._is_bulk:
                self._pipe = self._io_loop.pipes.take()
            count = self._receive() if self._pipe is None else self._splice(self._pipe)
            self._is_bulk = count >= FULL_RECEIVE_BYTES
            if not self._is_bulk or self._is_over or not self.source.is_receiving:
                return

    def _receive(self) -> int:
        """Receive once and send the bytes on; return their number, 0 if no more have come."""
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
        self._idle_timeout.touch()
        self.count += len(data)
        if self._remaining is not None:
            self._remaining -= len(data)
        try:
            sent = self.sink.write_now(data)
        except OSError as error:
            self._fail(self.sink, error)
            return
        if sent < len(data):
            self._unsent = memoryview(bytes(data[sent:]))
            self.source.pause()
            self.sink.on_writable(self._flush)
        elif self._remaining == 0:
            self._end(None)

    def _flush(self) -> None:
        try:
            sent = self.sink.write_now(self._unsent)
        except OSError as error:
            self._fail(self.sink, error)
            return
        self._idle_timeout.touch()
        self._unsent = self._unsent[sent:]
        if self._unsent:
            return
        self.sink.on_writable(None)
        self._unsent = _NOTHING
        if self._remaining == 0:
            self._end(None)
        else:
            self.source.resume()

    def _splice(self, pipe: Pipe) -> int:
        """Do as `_receive`, but through a pipe, which is kept only while it holds bytes."""
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
        """Send the bytes that a pipe holds."""
        sink = self.sink
        try:
            sink.sent_bytes += pipe.drain(sink.sock.fileno())
        except OSError as error:
            self._fail(sink, error)
            return
        self._idle_timeout.touch()
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
        """End the wait: no bytes moved for too long."""
        self._end(BrokenStreamError(self.source, TimeoutError("nothing moved past the idle timeout")))

    def _end_by_source(self) -> None:
        self._end(BrokenStreamError(self.source, network_lost()) if self.source.is_lost else None)

    def _fail(self, stream: Stream, error: OSError) -> None:
        self._end(BrokenStreamError(stream, name_break(error)))

    def _end(self, error: BrokenStreamError | None) -> None:
        if not self._is_over:
            self.stop()
            self._on_end(self, error)

    def stop(self) -> None:
        """Leave the streams alone from now on."""
        if self._is_over:
            return
        self._is_over = True
        self.source.divert(None)
        if self._unsent or self._pipe is not None:
            self._unsent = _NOTHING
            self.sink.on_writable(None)
            self._give_pipe_back()


async def copy(
    source: Stream, sink: Stream, io_loop: IoLoop, *, limit: int | None, idle_timeout: IdleTimeout
) -> int:
    """Carry `limit` bytes, or all until the source ends; return the number carried.

    Raises:
        BrokenStreamError: A side broke, or nothing moved for as long as `idle_timeout` allows.
    """
    source.deadline = sink.deadline = NEVER
    io_loop.watch(idle_timeout)
    try:
        if isinstance(source, SocketStream) and isinstance(sink, SocketStream):
            return await _copy_by_callbacks(source, sink, io_loop, idle_timeout, limit)
        idle_timeout.waiting = (source, sink)
        return await carry_by_reads(source, sink, idle_timeout, limit)
    finally:
        idle_timeout.waiting = ()
        io_loop.unwatch(idle_timeout)


async def _copy_by_callbacks(
    source: SocketStream, sink: SocketStream, io_loop: IoLoop, idle_timeout: IdleTimeout, limit: int | None
) -> int:
    ended: asyncio.Future[None] = io_loop.loop.create_future()

    def end(_: Direction, error: BaseException | None) -> None:
        if ended.done():  # the waiting task was cancelled
            return
        if error is None:
            ended.set_result(None)
        else:
            ended.set_exception(error)

    direction = Direction(source, sink, io_loop, idle_timeout, end, limit=limit)
    idle_timeout.waiting = (direction,)
    try:
        direction.start()
        await ended
    finally:
        direction.stop()
    return direction.count


async def carry_by_reads(source: Stream, sink: Stream, idle_timeout: IdleTimeout, limit: int | None) -> int:
    """Do as `copy`, for any streams, even if one is no plain socket."""
    count = 0
    while limit is None or count < limit:
        data = await _attributed(source, source.read())
        if not data:
            break
        if limit is not None and len(data) > limit - count:
            source.unread(data[limit - count :])
            data = data[: limit - count]
        await _attributed(sink, sink.write(data))
        idle_timeout.touch()
        count += len(data)
    return count


async def _attributed(stream: Stream, operation: Awaitable[_Result]) -> _Result:
    try:
        return await operation
    except OSError as error:
        raise BrokenStreamError(stream, error) from error
