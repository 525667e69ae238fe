"""Writes to standard output whose reader may leave, as in ``px --help | head -1``."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from typing import Final

#: Windows may report a pipe whose reader has closed it as an invalid argument.
_READER_HAS_LEFT: Final = (errno.EPIPE, errno.EINVAL) if sys.platform == "win32" else (errno.EPIPE,)


@contextlib.contextmanager
def until_reader_leaves() -> Iterator[None]:
    """Run a block that writes to stdout; end it without an error when the reader has closed the pipe."""
    try:
        yield
    except OSError as error:
        if error.errno not in _READER_HAS_LEFT:
            raise
        # Otherwise Python reports an error at exit, when it flushes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
