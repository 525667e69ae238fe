"""Tells a person at a terminal what Px waits for, if that takes longer than a moment."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import Final

#: Shorter waits need no word.
QUIET_SECONDS: Final = 1.0


@contextlib.contextmanager
def waiting_for(what: str, quiet_seconds: float = QUIET_SECONDS) -> Iterator[None]:
    """Show ``Waiting for WHAT ...`` on stderr if the block takes long; nothing where stderr is no terminal.

    Args:
        what: What the block waits for, such as ``the KDC of CORP.EXAMPLE``.
        quiet_seconds: How long to show nothing.
    """
    stream = sys.stderr
    if stream is None or not stream.isatty():
        yield
        return
    timer = threading.Timer(
        quiet_seconds, print, [f"Waiting for {what} ..."], {"file": stream, "flush": True}
    )
    timer.daemon = True  # a block that ends the process must not wait for it
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
