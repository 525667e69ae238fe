"""A console of Windows, and programs that are started at it: for test_console.py.

A program, because a process has one console at most, and that of the tests may be the developer's own. It is
started with CREATE_NO_WINDOW, which gives it a console that nobody sees. It obeys the lines that it reads,
and answers each with a line; both are JSON:

===============================  ==================================================================
``["start", PROGRAM...]``        the process id of that program, started at the console
``["start_apart", PROGRAM...]``  the same, but without a console, like a program that has a window
``["text"]``                     what the console shows
``["members"]``                  the process ids of all that share it
``["press_ctrl_c"]``             null; this program takes no notice of it
``["wait", SECONDS]``            the exit code of the program, null if it runs on
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
        """Start a program that has no console, and nothing to write to."""
        return self._start(command, creationflags=subprocess.DETACHED_PROCESS)

    def _start(self, command: Sequence[str], **how: Any) -> int:
        _KERNEL.SetConsoleCtrlHandler(None, 0)  # that a program takes no notice of Ctrl-C is inherited
        self._program = subprocess.Popen(command, **how)
        _KERNEL.SetConsoleCtrlHandler(None, 1)
        return self._program.pid

    def text(self) -> str:
        """Return what is on the screen, its lines one after the other."""
        text, length = ctypes.create_unicode_buffer(_CELLS + 1), wintypes.DWORD()
        place = wintypes.DWORD(0)
        if not _KERNEL.ReadConsoleOutputCharacterW(self._screen, text, _CELLS, place, ctypes.byref(length)):
            raise ctypes.WinError(ctypes.get_last_error())
        return " ".join(text.value.split())

    def members(self) -> list[int]:
        """Return who shares the console."""
        pids = (wintypes.DWORD * _MAX_MEMBERS)()
        return list(pids[: _KERNEL.GetConsoleProcessList(pids, _MAX_MEMBERS)])

    def press_ctrl_c(self) -> None:
        """Send it to all members."""
        if not _KERNEL.GenerateConsoleCtrlEvent(_CTRL_C, 0):
            raise ctypes.WinError(ctypes.get_last_error())

    def wait(self, seconds: float) -> int | None:
        """Return the exit code, None if there is none in this time."""
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
