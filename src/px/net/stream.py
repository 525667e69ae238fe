"""What a byte stream is to Px.

Three kinds keep this contract: `px.net.socket_stream` on loops that watch descriptors (Linux, macOS),
`px.net.completion_stream` on loops that complete operations (Windows), `px.net.tls` over either.

Not asyncio's transports: they buffer writes where Px wants to wait, and cost twice as much.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
from collections.abc import Callable
from typing import Protocol

from px.net.io_loop import NEVER, IoLoop

#: Most bytes one read returns.
READ_BYTES = 256 * 1024
#: SO_LINGER: on, for no time.  Windows has shorts where others have ints.
_RESET_ON_CLOSE = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


class Stream(Protocol):
    """A duplex byte stream: one task reads, one task writes."""

    #: Loop time by which the read or write under way must move on, else it raises TimeoutError.
    deadline: float
    #: Called once when bytes, or the end, arrive while nobody reads: a kept connection that died.
    on_idle_input: Callable[[], None] | None

    @property
    def received_bytes(self) -> int:
        """How many bytes have come so far."""

    @property
    def sent_bytes(self) -> int:
        """How many bytes have gone so far."""

    @property
    def peer(self) -> str:
        """The peer's address, for logs."""

    @property
    def is_closed(self) -> bool:
        """Whether this side has closed it."""

    async def read(self) -> bytes:
        """Return what has come, at least one byte; empty at the end of the stream.

        Raises:
            TimeoutError: The deadline passed.
            OSError: The connection broke.
        """

    def unread(self, data: bytes) -> None:
        """Put bytes back: the next read returns them."""

    def take_unread(self) -> bytes:
        """Return the bytes that were put back, without waiting; they are no longer there then."""

    async def write(self, data: bytes) -> None:
        """Return when the kernel has taken all of it.

        Raises:
            TimeoutError: The deadline passed.
            OSError: The connection broke.
        """

    async def write_eof(self) -> None:
        """Send the end of the stream; reading goes on (half-close, RFC 9293 3.6)."""

    def watch_idle(self) -> None:
        """Watch for input while nobody reads, to call `on_idle_input`."""

    def is_quiet(self) -> bool:
        """Whether there is nothing to read: neither bytes nor an end."""

    def has_ended(self) -> bool:
        """Whether the peer has sent the end of the stream, or broken it, with nothing left to read."""

    def expire(self) -> None:
        """Give whoever waits on the stream a TimeoutError."""

    def reset(self) -> None:
        """Close so that the peer sees a broken connection, not an end (RFC 9293 3.10.7)."""

    def close(self) -> None:
        """Close at once; what waits on the stream gets an OSError. Safe to call again."""


class OwnedSocket:
    """What the streams over a socket share: the socket, its deadline and its end."""

    __slots__ = (
        "__weakref__",
        "_ended",
        "_io_loop",
        "_unread",
        "deadline",
        "is_closed",
        "is_lost",
        "on_idle_input",
        "peer",
        "received_bytes",
        "sent_bytes",
        "sock",
    )

    def __init__(self, sock: socket.socket, io_loop: IoLoop, peer: str = "") -> None:
        sock.setblocking(False)
        with contextlib.suppress(OSError):  # not a TCP socket, or already gone: the next read tells
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.peer = peer
        self.deadline = NEVER
        self.on_idle_input: Callable[[], None] | None = None
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
        """Return the bytes that were put back, without waiting; they are no longer there then."""
        data, self._unread = self._unread, b""
        return data

    def write_now(self, data: bytes | memoryview) -> int:
        """Send what the kernel takes without waiting; return the number of bytes taken.

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
        """Return the next byte, which stays there; empty at the end, or when broken; None for nothing yet."""
        try:
            return self.sock.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            return b""

    def shut_down_writing(self) -> None:
        """Send the end of the stream, without waiting."""
        with contextlib.suppress(OSError):  # the peer may have gone: reading tells
            self.sock.shutdown(socket.SHUT_WR)

    def lose(self) -> None:
        """The network that it goes over has gone: who waits on it, or uses it later, gets an OSError."""
        self.is_lost = True
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """Close so that the peer sees a broken connection. See `Stream.reset`."""
        if not self.is_closed:
            with contextlib.suppress(OSError):  # broken already
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

    That a peer has confirmed nothing for long is a `TimeoutError` to Python, as is a deadline that has
    passed; but here the connection is gone.
    """
    return ConnectionAbortedError(*error.args) if isinstance(error, TimeoutError) else error


def network_lost() -> ConnectionResetError:
    """Return the error for a stream whose network has gone."""
    return ConnectionResetError("the network that the connection went over has gone")


def closed_here() -> ConnectionAbortedError:
    """Return the error for using a stream that Px itself has closed."""
    return ConnectionAbortedError("the stream was closed on this side")
