"""Keeps a log file that many processes append to at a bounded size."""

from __future__ import annotations

import contextlib
import stat
from pathlib import Path


def make_room(path: Path, count: int, *, max_bytes: int, kept: int) -> None:
    """If a file has no room for so many bytes, rename it and the older files.

    Args:
        path: Of the file. It need not exist, and may be something else than a file.
        count: The number of bytes.
        max_bytes: The largest size of a file.
        kept: How many older files to keep.
    """
    with contextlib.suppress(OSError):  # no such file, or on Windows a program reads it: try next time
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size + count <= max_bytes:
            return
        path.replace(_aside(path, 0))
        for number in reversed(range(kept)):
            with contextlib.suppress(FileNotFoundError):
                _aside(path, number).replace(_aside(path, number + 1))


def _aside(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")
