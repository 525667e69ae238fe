"""Wine, on which these tests run in place of Windows, and its differences; programs without a window."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.px_process import PxProcess, until

#: The ntdll of Wine has this function; that of Windows does not.
UNDER_WINE = sys.platform == "win32" and hasattr(ctypes.WinDLL("ntdll"), "wine_get_version")
#: A wait may seem shorter by this much, since the clock of Windows ticks 64 times a second.
TICK_SECONDS = 0.02 if sys.platform == "win32" else 0.0
#: The Python that opens no window, on Windows.
PYTHONW = str(Path(sys.executable).with_name("pythonw.exe"))

if sys.platform == "win32":
    _APART = subprocess.DETACHED_PROCESS
else:
    _APART = 0


def not_under_wine(reason: str) -> pytest.MarkDecorator:
    """Skip a test under Wine, where Wine differs from Windows."""
    return pytest.mark.skipif(UNDER_WINE, reason=f"under Wine {reason}")


@contextmanager
def running_apart(px: PxProcess, command: str | Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Start a Px without a console, yield its process when it runs, and end it.

    Args:
        px: The Px whose directory, port and environment to use.
        command: The command, as a list or as a command line.
    """
    with subprocess.Popen(command, cwd=px.directory, env=px.environment, creationflags=_APART) as process:
        try:
            until(lambda: process.poll() is not None or px.command("--status").returncode != 3)
            assert process.poll() is None, "Px did not start"
            yield process
        finally:
            process.kill()
