"""Forks this process where that is safe: on Linux, while it has one thread.

A lock that another thread holds at that moment would stay locked in the child. Px also wants descriptors of
processes (pidfd_open(2), Linux 5.3), because only the parent of a process can wait for it by its number.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Final, TextIO

_STANDARD_STREAMS: Final = (0, 1, 2)

if sys.platform == "linux":
    _OWN: Final = Path("/proc/self")

    def can_fork() -> bool:
        """Whether this process can be forked safely, and its children be watched."""
        try:
            descriptor = os.pidfd_open(os.getpid())
            try:
                signal.pidfd_send_signal(descriptor, 0)  # a sandbox may forbid this alone
            finally:
                os.close(descriptor)
            for stream in _STANDARD_STREAMS:  # a closed one would be the number of the next open file
                os.fstat(stream)
            return len(list((_OWN / "task").iterdir())) == 1
        except (AttributeError, OSError):  # an old Python or Linux, a sandbox, a file system without /proc
            return False

    def fork() -> int:
        """Fork; return the id of the child, and 0 in the child, which then has to call `keep_open`.

        Raises:
            OSError: The system cannot start a process.
        """
        for stream in (sys.stdout, sys.stderr):  # otherwise both processes write what is buffered
            with contextlib.suppress(OSError):
                stream.flush()
        return os.fork()

    def keep_open(kept: Collection[int]) -> None:
        """Close all descriptors but the standard streams and these; standard input is empty from now on.

        An object that has one of the others must be detached from it by the caller, before anything opens a
        file.
        """
        sys.stdout, sys.stderr = _leave(sys.stdout, sys.__stdout__), _leave(sys.stderr, sys.__stderr__)
        for descriptor in [int(path.name) for path in (_OWN / "fd").iterdir()]:
            if descriptor not in {*_STANDARD_STREAMS, *kept}:
                with contextlib.suppress(OSError):  # that of the directory itself
                    os.close(descriptor)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)

    def _leave(stream: TextIO, usual: TextIO | None) -> TextIO:
        """Close a stream that stands in for a standard one, before its descriptor is closed behind it."""
        if usual is None or stream is usual:
            return stream
        with contextlib.suppress(OSError):
            stream.close()
        return usual

else:

    def can_fork() -> bool:
        """Return False: macOS's own libraries start threads, and Windows has no fork."""
        return False

    def fork() -> int:
        """Raise NotImplementedError."""
        raise NotImplementedError

    def keep_open(_: Collection[int]) -> None:
        """Raise NotImplementedError."""
        raise NotImplementedError
