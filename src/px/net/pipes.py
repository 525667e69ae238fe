"""Bytes from socket to socket that never enter this process: splice(2) through a pipe (Linux).

That takes a third of the CPU time of copying, where whole buffers are filled. A pipe has two descriptors
and up to 1 MiB of the kernel's memory, so there are few, and a stream has one only while it keeps it busy.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys

if sys.platform == "linux":
    import fcntl

#: Of one pipe: the most that Linux lets users have (pipe-max-size of proc(5)).
PIPE_BYTES = 1024 * 1024
#: Half of what Linux lets one user have of that size (pipe-user-pages-soft): others may want some.
MAX_PIPES = 32
#: What the system says where a process may not splice, or cannot: sandboxes, old kernels.
UNSUPPORTED = frozenset((errno.ENOSYS, errno.EPERM, errno.EINVAL))
#: How many that nobody uses stay open.
MAX_SPARE_PIPES = 4


class Pipe:
    """A pipe with what has come out of one socket and not gone into the other yet."""

    __slots__ = ("_read_end", "_write_end", "held_bytes")

    def __init__(self, read_end: int, write_end: int) -> None:
        self._read_end = read_end
        self._write_end = write_end
        self.held_bytes = 0

    if sys.platform == "linux":

        def fill(self, source: int, max_bytes: int) -> int:
            """Take bytes out of a socket, and return how many; 0 at its end. The pipe must be empty.

            Raises:
                BlockingIOError: There is nothing yet.
                OSError: The connection broke.
            """
            flags = os.SPLICE_F_NONBLOCK | os.SPLICE_F_MOVE
            self.held_bytes = os.splice(source, self._write_end, min(max_bytes, PIPE_BYTES), flags=flags)
            return self.held_bytes

        def drain(self, sink: int) -> int:
            """Put into a socket what it takes, and return how many bytes that were.

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
            """Never called: there are no pipes."""
            raise NotImplementedError

        def drain(self, sink: int) -> int:
            """Never called: there are no pipes."""
            raise NotImplementedError

    def close(self) -> None:
        """Close both ends; what the pipe holds is lost."""
        os.close(self._read_end)
        os.close(self._write_end)

    def __repr__(self) -> str:
        return f"<Pipe with {self.held_bytes} bytes>"


class PipePool:
    """The pipes of one event loop; none where the system has no splice, or lets users have no large pipes."""

    def __init__(self, max_pipes: int = MAX_PIPES) -> None:
        self._left = max_pipes if sys.platform == "linux" else 0
        self._spare: list[Pipe] = []
        self._is_forbidden = False

    def take(self) -> Pipe | None:
        """Return an empty pipe; None when there is none to be had."""
        if self._spare:
            return self._spare.pop()
        if not self._left or self._is_forbidden:
            return None
        pipe = _open_pipe()
        self._left = self._left - 1 if pipe is not None else 0  # what was refused once would be again
        return pipe

    def give_back(self, pipe: Pipe) -> None:
        """Let others have a pipe. One that still holds something is closed."""
        if not pipe.held_bytes and len(self._spare) < MAX_SPARE_PIPES:
            self._spare.append(pipe)
        else:
            pipe.close()
            self._left += 1

    def forbid(self) -> None:
        """Give none out any more: splice(2) does not work here."""
        self.close()
        self._is_forbidden = True

    def close(self) -> None:
        """Close those that nobody uses."""
        while self._spare:
            self._spare.pop().close()
            self._left += 1

    def __repr__(self) -> str:
        return f"<PipePool spare={len(self._spare)} left={self._left}>"


if sys.platform == "linux":

    def _open_pipe() -> Pipe | None:
        try:
            ends = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        pipe = Pipe(*ends)
        try:
            fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        except OSError:  # a user has so many pages only; with 64 KiB splicing costs what copying does
            pipe.close()
            return None
        return pipe
else:

    def _open_pipe() -> Pipe | None:
        return None
