"""Streams on loops that complete operations (Windows Proactor), built on the loop's ``sock_`` calls."""

from __future__ import annotations

import asyncio
import socket
from functools import partial

from px.io.io_loop import IoLoop
from px.io.stream import READ_BYTES, OwnedSocket, closed_here, name_break, network_lost, timed_out

#: Size of a receive until a receive fills it. A pending receive owns its memory, and most connections wait
#: for few bytes.
FIRST_READ_BYTES = 16 * 1024


class CompletionStream(OwnedSocket):
    """A stream on a loop that completes operations (Windows Proactor).

    A receive is never cancelled, because bytes could be lost with it. It stays pending, and the next read
    takes its result. A pending receive also notices the end of an idle connection.
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
        """Return the next bytes; empty at the end. See `Stream.read`."""
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
        except OSError as error:
            self._ended = True
            raise name_break(error) from None
        finally:
            del receiving  # see `px.io.stream`
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
        """Wait for an operation, which stays pending if this wait ends early."""
        waiter: asyncio.Future[object] = self._io_loop.loop.create_future()
        wake = partial(_wake, waiter)
        operation.add_done_callback(wake)
        self._waiting.add(waiter)
        try:
            await waiter
        finally:
            self._waiting.discard(waiter)
            operation.remove_done_callback(wake)
            del waiter, wake  # see `px.io.stream`

    async def write(self, data: bytes | memoryview) -> None:
        """Return when the kernel has taken all bytes. See `Stream.write`."""
        if not self._ended and not self.is_closed:
            # A peer may answer and close before it has read everything, which resets the connection. Windows
            # then discards the bytes that no receive has taken, and with them that answer.
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
            _abandon(sending)
            raise
        finally:
            self._sending = None
        try:
            sending.result()
        except TimeoutError as error:
            raise name_break(error) from None
        finally:
            del sending
        self.sent_bytes += len(data)

    async def write_eof(self) -> None:
        """Send the end of the stream. See `Stream.write_eof`."""
        self.shut_down_writing()

    def watch_idle(self) -> None:
        """Watch for input while no task reads. See `Stream.watch_idle`."""
        if self._unread or self._ended or (self._receiving is not None and self._receiving.done()):
            self._report_idle_input()
        elif not self.is_closed:
            self._begin_receiving()

    def is_quiet(self) -> bool:
        """Return whether nothing is there to read. See `Stream.is_quiet`."""
        if self._unread or self._ended:
            return False
        return self._peek() is None if self._receiving is None else not self._receiving.done()

    def receive_now(self) -> bytes:
        """Return the bytes received so far, without waiting; empty also at the end (see `has_ended`)."""
        receiving = self._receiving
        if receiving is None or not receiving.done() or receiving.cancelled():
            return b""
        self.is_broken = receiving.exception() is not None
        if self.is_broken or not receiving.result():
            self._ended = True
            return b""
        self._receiving = None
        return receiving.result()

    def has_ended(self) -> bool:
        """Return whether the peer has ended the stream. See `Stream.has_ended`."""
        if self._unread or self._ended:
            return not self._unread
        receiving = self._receiving
        if receiving is None:
            return self._peek() == b""
        if not receiving.done() or receiving.cancelled():
            return False
        return receiving.exception() is not None or not receiving.result()

    def expire(self) -> None:
        """Raise TimeoutError in the tasks that wait: the deadline has passed."""
        self._wake_with(timed_out())

    def lose(self) -> None:
        """Break the stream: its network has gone. See `OwnedSocket.lose`."""
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
        for operation in (self._receiving, self._sending):  # before its handle can be reused
            if operation is not None:
                _abandon(operation)
        self.sock.close()
        self._wake_with(closed_here())


def _wake(waiter: asyncio.Future[object], _: object) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _abandon(operation: asyncio.Task[bytes] | asyncio.Task[None]) -> None:
    """Cancel an operation that no task waits for, and ignore its error."""
    operation.cancel()
    operation.add_done_callback(lambda task: task.cancelled() or task.exception())
