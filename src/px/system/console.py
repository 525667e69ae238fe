"""The console of a Windows program: a window that it has, shares with who started it, or has not."""

from __future__ import annotations

import sys

if sys.platform == "win32":
    import ctypes

    _PARENT_PROCESS = -1
    _KERNEL = ctypes.WinDLL("kernel32", use_last_error=True)

    def has_console() -> bool:
        """Whether this process has a console."""
        return bool(_KERNEL.GetConsoleCP())

    def attach_console() -> bool:
        """Share the console of the process that started this one; return whether there is one now.

        What is printed goes there then, and its Ctrl-C comes here.
        """
        if not has_console() and not _KERNEL.AttachConsole(ctypes.c_uint32(_PARENT_PROCESS)):
            return False
        try:
            sys.stdout = open("CONOUT$", "w", encoding="utf-8", errors="replace")  # noqa: SIM115, PTH123
        except OSError:
            return False
        sys.stderr = sys.stdout
        return True

    def leave_console() -> None:
        """Let go of the console: closing its window ends this process no more."""
        sys.stdout = sys.stderr = None
        _KERNEL.FreeConsole()
