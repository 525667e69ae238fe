"""Places for logins in flight, shared by all processes of a user: a locked file each."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

from px.system.file_lock import FileLock

#: Of one length: a file of which a part is locked is written over, not cut.
_IN_FLIGHT, _ENDED = b"in flight", b"ended    "
_NAME_BYTES = 6


class LoginSlot:
    """Implements `px.core.login_parts.LoginSlot`.

    The lock is the system's, which takes it back from a process that ends. What such a process leaves in the
    file tells the next one that a verdict was never heard.

    Args:
        path: Of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = FileLock(path)
        self._has_begun = False

    def try_acquire(self) -> bool:
        """Take the slot if it is free, and return whether it was.

        Raises:
            OSError: The file cannot be made or locked.
        """
        return not self._lock.is_held and self._lock.try_acquire()

    def begin(self) -> bool:
        """Note that a login begins; return whether the one before, of a process that is gone, never ended."""
        was_left = False
        if self._lock.is_held:
            with contextlib.suppress(OSError):
                was_left = self._path.read_bytes() == _IN_FLIGHT
                self._note(_IN_FLIGHT)
                self._has_begun = True
        return was_left

    def release(self) -> None:
        """Free the slot. Safe to call again."""
        if self._has_begun:
            self._has_begun = False
            with contextlib.suppress(OSError):
                self._note(_ENDED)
        self._lock.release()

    def _note(self, what: bytes) -> None:
        with self._path.open("r+b") as file:
            file.write(what)

    def __repr__(self) -> str:
        return f"<LoginSlot {self._lock!r}>"


def make_login_slots(directory: Path, salt: bytes, count: int, identity_key: str) -> list[LoginSlot]:
    """Return the slots of an identity; the names of their files tell nobody whose they are.

    Args:
        directory: Of this user alone, the same for all processes.
        salt: Random bytes, the same for all processes.
        count: How many.
        identity_key: See `px.core.token_source.Identity`.
    """
    # What root leaves in a user's directory (sudo) the user cannot open: each has files of his own.
    whose = f"{getattr(os, 'getuid', int)()} {identity_key}".encode("utf-8", "replace")
    name = hashlib.blake2b(whose, key=salt, digest_size=_NAME_BYTES).hexdigest()
    return [LoginSlot(directory / f"login-{name}-{number}.lock") for number in range(count)]
