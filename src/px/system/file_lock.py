"""Locks between processes: a file that one of them holds until it lets go, or ends."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

if sys.platform == "win32":
    import msvcrt

    #: A lock keeps others from reading what it covers, so it covers a byte that will never be there.
    _LOCKED_BYTE = 2**31 - 2

    def claim(descriptor: int) -> None:
        """Take an open file for this descriptor alone, until it is closed.

        Raises:
            BlockingIOError: Another one has it, of this process or another.
        """
        position = os.lseek(descriptor, 0, os.SEEK_CUR)
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError(error.errno, "in use by another process") from error
        finally:
            os.lseek(descriptor, position, os.SEEK_SET)

else:
    import fcntl

    def claim(descriptor: int) -> None:
        """Take an open file for this descriptor alone, until it is closed.

        Raises:
            BlockingIOError: Another one has it, of this process or another.
        """
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


_POLL_SECONDS = 0.002


class FileLock:
    """A lock that at most one `FileLock` of one path holds, over all processes.

    The system releases it when the process ends, however it ends; the file itself stays.

    Args:
        path: Of the file; its directory is made, for this user alone, when the lock is first taken.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    @property
    def is_held(self) -> bool:
        """Whether this one holds it."""
        return self._descriptor is not None

    def try_acquire(self) -> bool:
        """Take the lock if nobody has it; return whether this one holds it now.

        Raises:
            OSError: The file cannot be made or locked (a read-only directory, a file system without locks).
        """
        if self._descriptor is not None:
            return True
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
        try:
            claim(descriptor)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return True

    def acquire(self, seconds: float) -> bool:
        """Take a lock that is never held for long; wait up to `seconds`, blocking; return whether it is held.

        Raises:
            OSError: As `try_acquire`.
        """
        deadline = time.monotonic() + seconds
        while not self.try_acquire():
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def release(self) -> None:
        """Let go of it. Safe to call again."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def __repr__(self) -> str:
        return f"<FileLock {self._path.name} {'held' if self.is_held else 'not held'}>"
