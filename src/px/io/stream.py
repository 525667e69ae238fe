"""The contract of a byte stream in Px.

Three kinds of streams keep this contract: `px.io.socket_stream` on loops that watch descriptors (Linux,
macOS), `px.io.completion_stream` on loops that complete operations (Windows), and
`px.upstream.connections.tls` over either.

asyncio's transports are not used: they buffer writes where Px wants to wait, and cost twice as much.

An exception holds the frames that it passed. A frame that awaits a future and keeps the future in a variable
creates a reference cycle when the future raises: exception, frame, future, exception. All buffers of such
frames would stay in memory until the next garbage collection, so streams drop the future before the
exception leaves.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
from collections.abc import Callable
from typing import Protocol

from px.io.io_loop import NEVER, IoLoop

#: The most bytes that one read returns.
READ_BYTES = 256 * 1024
#: SO_LINGER: on, for zero seconds. Windows uses shorts where others use ints.
_RESET_ON_CLOSE = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


class Stream(Protocol):
    """A duplex byte stream: one task reads, one task writes."""

    #: The loop time by which the pending read or write must progress; after it they raise TimeoutError.
    deadline: float
    #: Called once when bytes, or the end, arrive while no task reads: a kept connection has died.
    on_idle_input: Callable[[], None] | None

    @property
    def was_cut(self) -> bool:
        """Whether the stream ended without the peer's end mark: TLS without close_notify (RFC 8446 6.1).

        A TCP connection either ends with the peer's FIN, or breaks.
        """

    @property
    def received_bytes(self) -> int:
        """The number of bytes received so far."""

    @property
    def sent_bytes(self) -> int:
        """The number of bytes sent so far."""

    @property
    def peer(self) -> str:
        """The peer's address, for logs."""

    @property
    def is_closed(self) -> bool:
        """Whether this side has closed the stream."""

    async def read(self) -> bytes:
        """Return the next bytes, at least one; empty at the end of the stream.

        Raises:
            TimeoutError: The deadline passed.
            OSError: The connection broke.
        """

    def unread(self, data: bytes) -> None:
        """Put bytes back: the next read returns them."""

    def take_unread(self) -> bytes:
        """Remove and return the bytes that were put back, without waiting."""

    async def write(self, data: bytes) -> None:
        """Return when the kernel has taken all bytes.

        Raises:
            TimeoutError: The deadline passed.
            OSError: The connection broke.
        """

    async def write_eof(self) -> None:
        """Send the end of the stream; reading goes on (half-close, RFC 9293 3.6).

        Raises nothing: if the peer has gone, the next read reports that.
        """

    def watch_idle(self) -> None:
        """Watch for input while no task reads, and call `on_idle_input` when it comes."""

    def is_quiet(self) -> bool:
        """Return whether nothing is there to read: no bytes and no end."""

    def has_ended(self) -> bool:
        """Return whether the peer has ended or broken the stream, with nothing left to read."""

    def expire(self) -> None:
        """Raise TimeoutError in the tasks that wait on the stream."""

    def reset(self) -> None:
        """Close so that the peer sees a broken connection, not an end (RFC 9293 3.10.7)."""

    def close(self) -> None:
        """Close at once; tasks that wait on the stream get an OSError. Safe to call again."""


class OwnedSocket:
    """The common part of streams over a socket: the socket, its deadline and its end."""

    __slots__ = (
        "__weakref__",
        "_ended",
        "_io_loop",
        "_unread",
        "deadline",
        "is_broken",
        "is_closed",
        "is_lost",
        "on_idle_input",
        "peer",
        "received_bytes",
        "sent_bytes",
        "sock",
    )

    #: See `Stream.was_cut`.
    was_cut = False

    def __init__(self, sock: socket.socket, io_loop: IoLoop, peer: str = "") -> None:
        sock.setblocking(False)
        with contextlib.suppress(OSError):  # not a TCP socket, or already broken: the next read reports it
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.peer = peer
        self.deadline = NEVER
        self.on_idle_input: Callable[[], None] | None = None
        #: Whether the peer has reset the connection while no task was reading.
        self.is_broken = False
        self.is_closed = False
        self.is_lost = False
        self.received_bytes = 0
        self.sent_bytes = 0
        self._io_loop = io_loop
        self._unread = b""
        self._ended = False

    def unread(self, data: bytes) -> None:
        """Put bytes back: the next read returns them."""
        if data:
            self._unread = data + self._unread if self._unread else data

    def take_unread(self) -> bytes:
        """Remove and return the bytes that were put back, without waiting."""
        data, self._unread = self._unread, b""
        return data

    def write_now(self, data: bytes | memoryview) -> int:
        """Send as many bytes as the kernel takes without waiting; return their number.

        Raises:
            OSError: The connection broke.
        """
        if self.is_closed:
            raise closed_here()
        try:
            sent = self.sock.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except TimeoutError as error:
            raise name_break(error) from None
        self.sent_bytes += sent
        return sent

    def _peek(self) -> bytes | None:
        """Return the next byte without removing it; empty at the end, or if broken; None if none has come."""
        try:
            return self.sock.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            self.is_broken = True
            return b""

    def shut_down_writing(self) -> None:
        """Send the end of the stream, without waiting."""
        with contextlib.suppress(OSError):  # the peer may have gone: the next read reports it
            self.sock.shutdown(socket.SHUT_WR)

    def lose(self) -> None:
        """Break the stream because its network has gone: pending and later operations raise OSError."""
        self.is_lost = True
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """Close so that the peer sees a broken connection. See `Stream.reset`."""
        if not self.is_closed:
            with contextlib.suppress(OSError):  # the connection is already broken
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self.close()

    def close(self) -> None:
        """Close at once. See `Stream.close`."""
        raise NotImplementedError

    def _report_idle_input(self) -> None:
        callback, self.on_idle_input = self.on_idle_input, None
        if callback is not None:
            callback()

    def __repr__(self) -> str:
        state = "closed" if self.is_closed else "ended" if self._ended else "open"
        return f"<{type(self).__name__} {self.peer} {state}>"


def timed_out() -> TimeoutError:
    """Return the error for a deadline that has passed."""
    return TimeoutError("the peer was silent past the deadline")


def name_break(error: OSError) -> OSError:
    """Return the error of a connection that broke.

    If a peer confirms nothing for long, Python raises `TimeoutError`, as for a deadline that has passed. Here
    the connection is gone, so the error must differ.
    """
    return ConnectionAbortedError(*error.args) if isinstance(error, TimeoutError) else error


def network_lost() -> ConnectionResetError:
    """Return the error for a stream whose network has gone."""
    return ConnectionResetError("the network that the connection went over has gone")


def closed_here() -> ConnectionAbortedError:
    """Return the error for using a stream that Px itself has closed."""
    return ConnectionAbortedError("the stream was closed on this side")
