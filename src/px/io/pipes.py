"""Pipes that carry bytes from socket to socket inside the kernel: splice(2) (Linux).

Splicing takes a third of the CPU time of copying where streams fill whole buffers. A pipe has two descriptors
and up to 1 MiB of kernel memory, so there are few pipes, and a stream has one only while it keeps the pipe
busy.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys

if sys.platform == "linux":
    import fcntl

#: Size of a pipe: the most that Linux allows users (pipe-max-size of proc(5)).
PIPE_BYTES = 1024 * 1024
#: Half the number of such pipes that Linux allows a user (pipe-user-pages-soft): other programs may want
#: some.
MAX_PIPES = 32
#: Errors of systems where a process may not or cannot splice: sandboxes, old kernels.
UNSUPPORTED = frozenset((errno.ENOSYS, errno.EPERM, errno.EINVAL))
#: How many unused pipes stay open.
MAX_IDLE_PIPES = 4


class Pipe:
    """A pipe, with bytes that have left one socket and not entered the other yet."""

    __slots__ = ("_read_end", "_write_end", "held_bytes")

    def __init__(self, read_end: int, write_end: int) -> None:
        self._read_end = read_end
        self._write_end = write_end
        self.held_bytes = 0

    if sys.platform == "linux":

        def fill(self, source: int, max_bytes: int) -> int:
            """Move bytes from a socket into the pipe, which must be empty; return how many, 0 at the end.

            Raises:
                BlockingIOError: No bytes have come yet.
                OSError: The connection broke.
            """
            flags = os.SPLICE_F_NONBLOCK | os.SPLICE_F_MOVE
            self.held_bytes = os.splice(source, self._write_end, min(max_bytes, PIPE_BYTES), flags=flags)
            return self.held_bytes

        def drain(self, sink: int) -> int:
            """Move bytes from the pipe into a socket until the socket is full; return how many.

            Raises:
                OSError: The connection broke.
            """
            before, flags = self.held_bytes, os.SPLICE_F_NONBLOCK | os.SPLICE_F_MOVE
            with contextlib.suppress(BlockingIOError):
                while self.held_bytes:
                    self.held_bytes -= os.splice(self._read_end, sink, self.held_bytes, flags=flags)
            return before - self.held_bytes
    else:

        def fill(self, source: int, max_bytes: int) -> int:
            """Raise: this system has no pipes, so this is never called."""
            raise NotImplementedError

        def drain(self, sink: int) -> int:
            """Raise: this system has no pipes, so this is never called."""
            raise NotImplementedError

    def close(self) -> None:
        """Close both ends; what the pipe holds is lost."""
        os.close(self._read_end)
        os.close(self._write_end)

    def __repr__(self) -> str:
        return f"<Pipe with {self.held_bytes} bytes>"


class PipePool:
    """The pipes of one event loop; empty if the system lacks splice, or refuses large pipes."""

    def __init__(self, max_pipes: int = MAX_PIPES) -> None:
        self._left = max_pipes if sys.platform == "linux" else 0
        self._idle: list[Pipe] = []
        self._is_forbidden = False

    def take(self) -> Pipe | None:
        """Return an empty pipe; None if no more are available."""
        if self._idle:
            return self._idle.pop()
        if not self._left or self._is_forbidden:
            return None
        pipe = _open_pipe()
        self._left = self._left - 1 if pipe is not None else 0  # a refused pipe would be refused again
        return pipe

    def give_back(self, pipe: Pipe) -> None:
        """Return a pipe to the pool. A pipe that still holds bytes is closed."""
        if not pipe.held_bytes and len(self._idle) < MAX_IDLE_PIPES:
            self._idle.append(pipe)
        else:
            pipe.close()
            self._left += 1

    def forbid(self) -> None:
        """Stop providing pipes: splice(2) does not work here."""
        self.close()
        self._is_forbidden = True

    def close(self) -> None:
        """Close the unused pipes."""
        while self._idle:
            self._idle.pop().close()
            self._left += 1

    def __repr__(self) -> str:
        return f"<PipePool idle={len(self._idle)} left={self._left}>"


if sys.platform == "linux":

    def _open_pipe() -> Pipe | None:
        try:
            ends = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        pipe = Pipe(*ends)
        try:
            fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        except OSError:  # the user's limit; with pipes of 64 KiB, splicing costs as much as copying
            pipe.close()
            return None
        return pipe
else:

    def _open_pipe() -> Pipe | None:
        return None
