"""Locks between processes: one process holds a locked file until it releases the lock or ends."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

from px.system.state.private_files import open_private

if sys.platform == "win32":
    import msvcrt

    #: On Windows other processes cannot read a locked byte. So lock a byte far behind the end of the file.
    _LOCKED_BYTE = 2**31 - 2

    def claim(descriptor: int) -> None:
        """Lock an open file for this descriptor, until the descriptor is closed.

        Raises:
            BlockingIOError: Another descriptor, of this process or another, has the lock.
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
        """Lock an open file for this descriptor, until the descriptor is closed.

        Raises:
            BlockingIOError: Another descriptor, of this process or another, has the lock.
        """
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


_POLL_SECONDS = 0.002


class FileLock:
    """A lock that only one `FileLock` for a path holds at a time, over all processes.

    The system releases the lock when the process ends, also after a crash. The file stays.

    Args:
        path: Path of the file. Its directory is made, for this user alone, when the lock is first taken.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    @property
    def is_held(self) -> bool:
        """Whether this object holds the lock."""
        return self._descriptor is not None

    def try_acquire(self) -> bool:
        """Take the lock if it is free; return whether this object holds it now.

        Raises:
            OSError: The file cannot be made or locked (a read-only directory, a file system without locks).
        """
        if self._descriptor is not None:
            return True
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = open_private(str(self._path), os.O_RDWR | os.O_CREAT)
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
        """Take the lock, blocking for up to `seconds`; return whether this object holds it now.

        Only for a lock that is never held for long.

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
        """Release the lock. Safe to call again."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def __repr__(self) -> str:
        return f"<FileLock {self._path.name} {'held' if self.is_held else 'not held'}>"
