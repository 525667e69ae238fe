"""Writes a file as a whole or not at all."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile
from pathlib import Path


def write_whole(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write a file so that a reader sees either the old content or the new, even after a power cut.

    A link is followed. Missing directories are made for this user alone.

    Args:
        path: The file.
        data: The whole content.
        mode: Permissions of a new file (POSIX); an existing file keeps its own.

    Raises:
        OSError: The file cannot be written; nothing has changed.
    """
    target = path.resolve()
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = _status_of(target)
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        _take_over(name, status, mode)
        Path(name).replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


def _status_of(target: Path) -> os.stat_result | None:
    """Return the status of a file that this user may write; None if there is no such file.

    Raises:
        OSError: This user may not write the file. Replacing it would evade its permissions.
    """
    try:
        status = target.stat()
    except FileNotFoundError:
        return None
    with target.open("ab"):
        return status


def _take_over(name: str, status: os.stat_result | None, mode: int) -> None:
    """Give the new file the permissions and, if the system allows it, the owner of the old file."""
    if status is not None and sys.platform != "win32":
        with contextlib.suppress(OSError):
            os.chown(name, status.st_uid, status.st_gid)
    Path(name).chmod(stat.S_IMODE(status.st_mode) if status else mode)
