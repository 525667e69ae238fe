"""Streams on loops that complete operations (Windows Proactor), with the loop's own ``sock_`` calls."""

from __future__ import annotations

import asyncio
import socket

from px.net.io_loop import IoLoop
from px.net.stream import READ_BYTES, OwnedSocket, closed_here, network_lost, timed_out

#: A receive under way owns its memory, and most wait for little: so much until more has come at once.
FIRST_READ_BYTES = 16 * 1024


class CompletionStream(OwnedSocket):
    """A stream on a loop that completes operations (Windows Proactor).

    A receive once begun is never cancelled, for bytes could be lost with it: it stays under way, and
    the next read takes its result. That is also how an idle connection's end is noticed.
    """

    __slots__ = ("_is_reading", "_read_bytes", "_receiving", "_sending", "_waiting")

    def __init__(self, sock: socket.socket, io_loop: IoLoop, peer: str = "") -> None:
        super().__init__(sock, io_loop, peer)
        self._read_bytes = FIRST_READ_BYTES
        self._is_reading = False
        self._receiving: asyncio.Task[bytes] | None = None
        self._sending: asyncio.Task[None] | None = None
        self._waiting: set[asyncio.Future[object]] = set()
        io_loop.watch(self)

    async def read(self) -> bytes:
        """Return what has come; empty at the end. See `Stream.read`."""
        if self._unread:
            return self.take_unread()
        if self._ended:
            return b""
        if self.is_closed:
            raise closed_here()
        receiving = self._begin_receiving()
        self._is_reading = True
        try:
            await self._wait_for(receiving)
        finally:
            self._is_reading = False
        self._receiving = None
        try:
            data = receiving.result()
        except OSError:
            self._ended = True
            raise
        self._ended = not data
        if self._ended and self.is_lost:
            raise network_lost()
        self.received_bytes += len(data)
        return data

    def _begin_receiving(self) -> asyncio.Task[bytes]:
        if self._receiving is None:
            self._receiving = self._io_loop.loop.create_task(self._receive())
        return self._receiving

    async def _receive(self) -> bytes:
        try:
            data = await self._io_loop.loop.sock_recv(self.sock, self._read_bytes)
        finally:
            if not self._is_reading:
                self._io_loop.loop.call_soon(self._report_idle_input)
        if len(data) == self._read_bytes:
            self._read_bytes = READ_BYTES
        elif len(data) < FIRST_READ_BYTES:
            self._read_bytes = FIRST_READ_BYTES
        return data

    async def _wait_for(self, operation: asyncio.Task[bytes] | asyncio.Task[None]) -> None:
        """Wait for an operation that stays under way when this wait ends early."""
        waiter: asyncio.Future[object] = self._io_loop.loop.create_future()

        def wake(_: object) -> None:
            if not waiter.done():
                waiter.set_result(None)

        operation.add_done_callback(wake)
        self._waiting.add(waiter)
        try:
            await waiter
        finally:
            self._waiting.discard(waiter)
            operation.remove_done_callback(wake)

    async def write(self, data: bytes | memoryview) -> None:
        """Return when the kernel has taken all of it. See `Stream.write`."""
        if not self._ended and not self.is_closed:
            # A peer may answer and close before it has taken everything, which resets the connection. Windows
            # then throws away what nobody has received: that answer.
            self._begin_receiving()
        sent = self.write_now(data)
        if sent < len(data):
            await self._send_rest(memoryview(data)[sent:])

    async def _send_rest(self, data: memoryview) -> None:
        sending = self._sending = self._io_loop.loop.create_task(
            self._io_loop.loop.sock_sendall(self.sock, data)
        )
        try:
            await self._wait_for(sending)
        except BaseException:
            _give_up(sending)
            raise
        finally:
            self._sending = None
        sending.result()
        self.sent_bytes += len(data)

    async def write_eof(self) -> None:
        """Send the end of the stream. See `Stream.write_eof`."""
        self.shut_down_writing()

    def watch_idle(self) -> None:
        """Watch for input while nobody reads. See `Stream.watch_idle`."""
        if self._unread or self._ended or (self._receiving is not None and self._receiving.done()):
            self._report_idle_input()
        elif not self.is_closed:
            self._begin_receiving()

    def is_quiet(self) -> bool:
        """Whether there is nothing to read. See `Stream.is_quiet`."""
        if self._unread or self._ended:
            return False
        return self._peek() is None if self._receiving is None else not self._receiving.done()

    def receive_now(self) -> bytes:
        """Return what has come, without waiting; empty for nothing yet, and for the end (see `has_ended`)."""
        receiving = self._receiving
        if receiving is None or not receiving.done() or receiving.cancelled():
            return b""
        if receiving.exception() is not None or not receiving.result():
            self._ended = True
            return b""
        self._receiving = None
        return receiving.result()

    def has_ended(self) -> bool:
        """Whether the peer has ended the stream. See `Stream.has_ended`."""
        if self._unread or self._ended:
            return not self._unread
        receiving = self._receiving
        if receiving is None:
            return self._peek() == b""
        if not receiving.done() or receiving.cancelled():
            return False
        return receiving.exception() is not None or not receiving.result()

    def expire(self) -> None:
        """The deadline passed: whoever waits gets a TimeoutError."""
        self._wake_with(timed_out())

    def lose(self) -> None:
        """The network that it goes over has gone. See `OwnedSocket.lose`."""
        super().lose()
        self._wake_with(network_lost())

    def _wake_with(self, error: OSError) -> None:
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_exception(error)

    def close(self) -> None:
        """Close at once. See `Stream.close`."""
        if self.is_closed:
            return
        self.is_closed = True
        self._io_loop.unwatch(self)
        self.on_idle_input = None
        for operation in (self._receiving, self._sending):  # while its handle is still this socket's
            if operation is not None:
                _give_up(operation)
        self.sock.close()
        self._wake_with(closed_here())


def _give_up(operation: asyncio.Task[bytes] | asyncio.Task[None]) -> None:
    """Cancel an operation that nobody waits for any more: an error of it is no news."""
    operation.cancel()
    operation.add_done_callback(lambda task: task.cancelled() or task.exception())
