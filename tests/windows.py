"""Wine, which stands in for Windows in these tests, and what it does otherwise; programs without a window."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.px_process import PxProcess, until

#: Wine says so by an entry that its ntdll has and that of Windows has not.
UNDER_WINE = sys.platform == "win32" and hasattr(ctypes.WinDLL("ntdll"), "wine_get_version")
#: A wait may seem shorter by so much: the clock of Windows ticks, 64 times a second.
TICK_SECONDS = 0.02 if sys.platform == "win32" else 0.0
#: The Python that opens no window, on Windows.
PYTHONW = str(Path(sys.executable).with_name("pythonw.exe"))

if sys.platform == "win32":
    _APART = subprocess.DETACHED_PROCESS
else:
    _APART = 0


def not_under_wine(reason: str) -> pytest.MarkDecorator:
    """Skip where Wine is not like Windows."""
    return pytest.mark.skipif(UNDER_WINE, reason=f"under Wine {reason}")


@contextmanager
def running_apart(px: PxProcess, command: str | Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Start a Px without a console, give it when it runs, and see to it that it ends.

    Args:
        px: Its directory, port and environment.
        command: Or a command line.
    """
    with subprocess.Popen(command, cwd=px.directory, env=px.environment, creationflags=_APART) as process:
        try:
            until(lambda: process.poll() is not None or px.command("--status").returncode != 3)
            assert process.poll() is None, "Px did not start"
            yield process
        finally:
            process.kill()
