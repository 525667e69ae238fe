"""A program that starts other programs at a Windows console: for test_console.py.

It is a program, since a process has at most one console, and that of the tests may be the developer's own.
test_console.py starts it with CREATE_NO_WINDOW, which gives it a hidden console. It reads commands, one a
line, and answers each with a line; both are JSON:

===============================  ==================================================================
``["start", PROGRAM...]``        starts a program at the console; its process id
``["start_apart", PROGRAM...]``  the same without a console, like a program that has a window
``["text"]``                     the text that the console shows
``["members"]``                  the process ids of all programs at the console
``["press_ctrl_c"]``             presses Ctrl-C, which this program ignores; null
``["wait", SECONDS]``            the exit code of the program, null if it still runs
===============================  ==================================================================
"""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

assert sys.platform == "win32"

from ctypes import wintypes  # noqa: E402

_CTRL_C = 0
_CELLS = 4000
_MAX_MEMBERS = 64
_READ_AND_WRITE = 0xC0000000
_SHARED = 3
_OPEN_EXISTING = 3
_KERNEL = ctypes.WinDLL("kernel32", use_last_error=True)
_KERNEL.CreateFileW.restype = wintypes.HANDLE


class Session:
    """The console, and the program that was started last."""

    def __init__(self) -> None:
        screen = _KERNEL.CreateFileW("CONOUT$", _READ_AND_WRITE, _SHARED, None, _OPEN_EXISTING, 0, None)
        self._screen = wintypes.HANDLE(screen)
        self._program: subprocess.Popen[bytes] | None = None
        _KERNEL.SetConsoleCtrlHandler(None, 1)

    def start(self, *command: str) -> int:
        """Start a program that writes to the console."""
        with open("CONOUT$", "w", encoding="utf-8") as screen:  # noqa: PTH123 - no path
            return self._start(command, stdin=subprocess.DEVNULL, stdout=screen, stderr=screen)

    def start_apart(self, *command: str) -> int:
        """Start a program that has no console and no output."""
        return self._start(command, creationflags=subprocess.DETACHED_PROCESS)

    def _start(self, command: Sequence[str], **how: Any) -> int:
        _KERNEL.SetConsoleCtrlHandler(None, 0)  # a child inherits that Ctrl-C is ignored
        self._program = subprocess.Popen(command, **how)
        _KERNEL.SetConsoleCtrlHandler(None, 1)
        return self._program.pid

    def text(self) -> str:
        """Return the words on the screen, joined by spaces."""
        text, length = ctypes.create_unicode_buffer(_CELLS + 1), wintypes.DWORD()
        place = wintypes.DWORD(0)
        if not _KERNEL.ReadConsoleOutputCharacterW(self._screen, text, _CELLS, place, ctypes.byref(length)):
            raise ctypes.WinError(ctypes.get_last_error())
        return " ".join(text.value.split())

    def members(self) -> list[int]:
        """Return the process ids of all programs at the console."""
        pids = (wintypes.DWORD * _MAX_MEMBERS)()
        return list(pids[: _KERNEL.GetConsoleProcessList(pids, _MAX_MEMBERS)])

    def press_ctrl_c(self) -> None:
        """Send Ctrl-C to all programs at the console."""
        if not _KERNEL.GenerateConsoleCtrlEvent(_CTRL_C, 0):
            raise ctypes.WinError(ctypes.get_last_error())

    def wait(self, seconds: float) -> int | None:
        """Return the exit code, or None if the program still runs after this time."""
        assert self._program is not None
        try:
            return self._program.wait(seconds)
        except subprocess.TimeoutExpired:
            return None


session = Session()
for line in sys.stdin:
    name, *arguments = json.loads(line)
    sys.stdout.write(f"{json.dumps(getattr(session, name)(*arguments))}\n")
    sys.stdout.flush()
