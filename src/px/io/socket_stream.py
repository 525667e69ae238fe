"""Streams on loops that watch descriptors (Linux, macOS).

A `SocketStream` registers its reader once, for life. The callback receives at once and wakes the task that
waits. If no task waits, the callback unregisters the reader, and the kernel's buffer fills: back-pressure.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Protocol

from px.io.completion_stream import CompletionStream
from px.io.io_loop import IoLoop
from px.io.stream import READ_BYTES, OwnedSocket, closed_here, name_break, network_lost, timed_out


class Forwarder(Protocol):
    """An object that receives from the socket instead of a reading task."""

    def forward(self) -> None:
        """Receive from the socket: it is readable."""


class SocketStream(OwnedSocket):
    """A stream on a loop that watches descriptors."""

    __slots__ = ("_diverted", "_fd", "_is_writing", "_reading", "_writing", "is_receiving")

    def __init__(self, sock: socket.socket, io_loop: IoLoop, peer: str = "") -> None:
        super().__init__(sock, io_loop, peer)
        self._fd = sock.fileno()
        self.is_receiving = False
        self._is_writing = False
        self._diverted: Forwarder | None = None
        self._reading: asyncio.Future[bytes] | None = None
        self._writing: asyncio.Future[None] | None = None
        io_loop.watch(self)

    async def read(self) -> bytes:
        """Return the next bytes; empty at the end. See `Stream.read`."""
        if self._unread:
            return self.take_unread()
        if self._ended:
            return b""
        if self.is_closed:
            raise closed_here()
        waiter: asyncio.Future[bytes] = self._io_loop.loop.create_future()
        self._reading = waiter
        if not self.is_receiving:
            self._register()
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.unread(waiter.result())  # the bytes came just before the cancellation
            raise
        finally:
            self._reading = None
            del waiter  # see `px.io.stream`: its error would keep this frame alive

    def _register(self) -> None:
        self._io_loop.loop.add_reader(self._fd, self._readable)
        self.is_receiving = True

    def _unregister(self) -> None:
        if self.is_receiving:
            self._io_loop.loop.remove_reader(self._fd)
            self.is_receiving = False

    def _readable(self) -> None:
        if self._diverted is None:
            self._receive()
        else:
            self._diverted.forward()

    def _receive(self) -> None:
        waiter = self._reading
        if waiter is None or waiter.done():
            self._unregister()
            self._report_idle_input()
            return
        try:
            count = self.sock.recv_into(self._io_loop.receive_buffer, READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._ended = True
            self._unregister()
            waiter.set_exception(name_break(error).with_traceback(None))
            return
        if not count:
            self._ended = True
            self._unregister()
            if self.is_lost:
                waiter.set_exception(network_lost())
                return
        self.received_bytes += count
        waiter.set_result(bytes(self._io_loop.receive_buffer[:count]))

    async def write(self, data: bytes | memoryview) -> None:
        """Return when the kernel has taken all bytes. See `Stream.write`."""
        sent = self.write_now(data)
        if sent == len(data):
            return
        rest = memoryview(data)[sent:]
        while rest:
            await self._wait_writable()
            rest = rest[self.write_now(rest) :]

    async def _wait_writable(self) -> None:
        if self.is_closed:
            raise closed_here()
        waiter = self._writing = self._io_loop.loop.create_future()
        self.on_writable(self._wake_writer)
        try:
            await waiter
        finally:
            self._writing = None
            self.on_writable(None)
            del waiter

    def _wake_writer(self) -> None:
        if self._writing is not None and not self._writing.done():
            self._writing.set_result(None)

    async def write_eof(self) -> None:
        """Send the end of the stream. See `Stream.write_eof`."""
        self.shut_down_writing()

    def watch_idle(self) -> None:
        """Watch for input while no task reads. See `Stream.watch_idle`."""
        if self._unread or self._ended:
            self._report_idle_input()
        elif not self.is_receiving and not self.is_closed:
            self._register()

    def is_quiet(self) -> bool:
        """Return whether nothing is there to read. See `Stream.is_quiet`."""
        return not (self._unread or self._ended) and self._peek() is None

    def has_ended(self) -> bool:
        """Return whether the peer has ended the stream. See `Stream.has_ended`."""
        if self._unread or self._ended:
            return not self._unread
        return self._peek() == b""

    def receive_now(self) -> bytes:
        """Return the bytes received so far, without waiting; empty also at the end (see `has_ended`)."""
        try:
            data = self.sock.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return b""
        except OSError:
            self.is_broken = True
            data = b""
        self._ended = not data
        self.received_bytes += len(data)
        return data

    def divert(self, forwarder: Forwarder | None) -> None:
        """Call a forwarder, instead of waking reads, whenever the socket is readable; None ends that.

        The forwarder receives from `sock` itself. `pause` and `resume` stop and continue its calls.
        """
        self._diverted = forwarder
        if forwarder is None:
            self._unregister()
            if not self.is_closed:
                self._io_loop.watch(self)
        else:
            self._io_loop.unwatch(self)  # no task waits for this stream now
            self.resume()

    def pause(self) -> None:
        """Stop receiving for now: back-pressure."""
        self._unregister()

    def resume(self) -> None:
        """Continue receiving."""
        if not self.is_receiving and not self.is_closed:
            self._register()

    def on_writable(self, callback: Callable[[], None] | None) -> None:
        """Call a function whenever the socket accepts bytes again; None ends that."""
        if self.is_closed:
            return
        if callback is not None:
            self._io_loop.loop.add_writer(self._fd, callback)
        elif self._is_writing:
            self._io_loop.loop.remove_writer(self._fd)
        self._is_writing = callback is not None

    def expire(self) -> None:
        """Raise TimeoutError in the tasks that wait: the deadline has passed."""
        for waiter in (self._reading, self._writing):
            if waiter is not None and not waiter.done():
                waiter.set_exception(timed_out())

    def close(self) -> None:
        """Close at once. See `Stream.close`."""
        if self.is_closed:
            return
        self._unregister()
        self.on_writable(None)
        self.is_closed = True
        self._io_loop.unwatch(self)
        self.on_idle_input = self._diverted = None
        self.sock.close()
        for waiter in (self._reading, self._writing):
            if waiter is not None and not waiter.done():
                waiter.set_exception(closed_here())


def open_stream(sock: socket.socket, io_loop: IoLoop, peer: str = "") -> SocketStream | CompletionStream:
    """Wrap a connected socket in the kind of stream that the running loop supports."""
    watches_descriptors = isinstance(io_loop.loop, asyncio.SelectorEventLoop)
    kind = SocketStream if watches_descriptors else CompletionStream
    return kind(sock, io_loop, peer)
