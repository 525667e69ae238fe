"""Carries bytes from one stream to another without keeping them.

A `_Direction` receives into the loop's one buffer and sends from there at once; only what the sink does
not take is kept, and then nothing more is received until that is gone. So a stalled peer costs at most
one buffer, and two streams with nothing to say cost nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeVar

from px.net.io_loop import NEVER, IoLoop
from px.net.socket_stream import SocketStream
from px.net.stream import Stream

_Result = TypeVar("_Result")

#: Work done for one direction before the loop turns to others: fairness.
RECEIVES_A_WAKE_UP = 4
#: A receive that brings less has emptied the socket: no need to ask again now.
FULL_RECEIVE_BYTES = 64 * 1024


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


class RelayedBytes(NamedTuple):
    """Bytes carried by a tunnel, a direction each."""

    from_first: int
    from_second: int


class Activity:
    """How long two streams may be silent together."""

    __slots__ = ("_expire", "_now", "_seconds", "deadline")

    def __init__(self, io_loop: IoLoop, idle_seconds: float) -> None:
        self._now = io_loop.now
        self._seconds = idle_seconds
        self._expire: list[Callable[[], None]] = []
        self.deadline = NEVER
        self.touch()

    def touch(self) -> None:
        """Something moved."""
        if self._seconds:
            self.deadline = self._now() + self._seconds

    def shorten(self, idle_seconds: float) -> None:
        """From now on they may be silent for so long only."""
        self._seconds = idle_seconds
        self.touch()

    def on_expiry(self, expire: Callable[[], None]) -> None:
        """Have something called when nothing moved for too long."""
        self._expire.append(expire)

    def expire(self) -> None:
        """Nothing moved for too long."""
        for expire in self._expire:
            expire()


class _Direction:
    """Source to sink between two sockets, by callbacks. `done` ends with the source, or the limit."""

    __slots__ = (
        "_activity",
        "_buffer",
        "_left",
        "_passes_end",
        "_remaining",
        "count",
        "done",
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
        passes_end: bool = False,
    ) -> None:
        self.source = source
        self.sink = sink
        self.count = 0
        self.done: asyncio.Future[None] = io_loop.loop.create_future()
        self._activity = activity
        self._buffer = io_loop.receive_buffer
        self._remaining = limit
        self._passes_end = passes_end
        self._left = memoryview(b"")
        activity.on_expiry(self._expire)

    def start(self) -> None:
        """Carry what was already read, then whatever comes."""
        early = self.source.take_unread()
        if self._remaining is not None and len(early) > self._remaining:
            self.source.unread(early[self._remaining :])
            early = early[: self._remaining]
        self.source.divert(self._forward)
        if early:
            self._send(memoryview(early))
        elif self._remaining == 0:
            self._finish()

    def _forward(self) -> None:
        for _ in range(RECEIVES_A_WAKE_UP):
            count = self._receive()
            if count < FULL_RECEIVE_BYTES or self._left or self.done.done():
                return

    def _receive(self) -> int:
        """Receive once and send on; return how much came, 0 when there is no more for now."""
        buffer = self._buffer
        if self._remaining is not None and self._remaining < len(buffer):
            buffer = buffer[: self._remaining]
        try:
            count = self.source.sock.recv_into(buffer)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            self.fail(self.source, error)
            return 0
        if not count:
            self._finish()
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
            self.fail(self.sink, error)
            return
        if sent < len(data):
            self._left = memoryview(bytes(data[sent:]))
            self.source.pause()
            self.sink.on_writable(self._flush)
        elif self._remaining == 0:
            self._finish()

    def _flush(self) -> None:
        try:
            sent = self.sink.write_now(self._left)
        except OSError as error:
            self.fail(self.sink, error)
            return
        self._activity.touch()
        self._left = self._left[sent:]
        if self._left:
            return
        self.sink.on_writable(None)
        if self._remaining == 0:
            self._finish()
        else:
            self.source.resume()

    def _finish(self) -> None:
        self.stop()
        if self._passes_end:
            self.sink.shut_down_writing()
        if not self.done.done():
            self.done.set_result(None)

    def _expire(self) -> None:
        self.fail(self.source, TimeoutError("nothing moved past the idle timeout"))

    def fail(self, stream: Stream, error: OSError) -> None:
        """End with an error, unless it has ended."""
        self.stop()
        if not self.done.done():
            self.done.set_exception(BrokenStreamError(stream, error))

    def stop(self) -> None:
        """Touch the streams no more."""
        self.source.divert(None)
        if self._left:
            self._left = memoryview(b"")
            self.sink.on_writable(None)


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
            return await _carry(_Direction(source, sink, io_loop, activity, limit=limit))
        return await _carry_by_reads(source, sink, activity, limit)
    finally:
        io_loop.unwatch(activity)


async def relay(first: Stream, second: Stream, io_loop: IoLoop, idle_seconds: float) -> RelayedBytes:
    """Carry bytes both ways until both directions have ended; an end is passed on as an end.

    Raises:
        BrokenStreamError: A side broke, or both were silent for `idle_seconds` (0: for ever).
    """
    activity = Activity(io_loop, idle_seconds)
    first.deadline = second.deadline = NEVER
    io_loop.watch(activity)
    both = [
        asyncio.create_task(_carry_to_end(first, second, io_loop, activity)),
        asyncio.create_task(_carry_to_end(second, first, io_loop, activity)),
    ]
    try:
        return RelayedBytes(*await asyncio.gather(*both))
    finally:
        for direction in both:
            direction.cancel()
        await asyncio.gather(*both, return_exceptions=True)
        io_loop.unwatch(activity)


async def _carry(direction: _Direction) -> int:
    try:
        direction.start()
        await direction.done
    finally:
        direction.stop()
    return direction.count


async def _carry_to_end(source: Stream, sink: Stream, io_loop: IoLoop, activity: Activity) -> int:
    if isinstance(source, SocketStream) and isinstance(sink, SocketStream):
        return await _carry(_Direction(source, sink, io_loop, activity, passes_end=True))
    count = await _carry_by_reads(source, sink, activity, None)
    await sink.write_eof()
    return count


async def _carry_by_reads(source: Stream, sink: Stream, activity: Activity, limit: int | None) -> int:
    activity.on_expiry(source.expire)
    activity.on_expiry(sink.expire)
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
