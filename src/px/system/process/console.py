"""The console of this process on Windows: Px can share the console of its parent, or leave it."""

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
        """Share the console of the parent process; return whether this process has a console now.

        From then on this process prints to that console and receives its Ctrl-C.
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
        """Leave the console, so that closing its window no longer ends this process."""
        sys.stdout = sys.stderr = None
        _KERNEL.FreeConsole()
