"""Reads single keys from the terminal, and finds out whether it understands escape codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, TextIO

#: The key that ends `px --top`.
QUIT: Final = "q"

if sys.platform == "win32":
    import ctypes
    import msvcrt
    import time

    _STDOUT = -11
    _UNDERSTANDS_ESCAPES = 0x0004  # ENABLE_VIRTUAL_TERMINAL_PROCESSING
    _LOOK_SECONDS = 0.05

    def understands_escapes(_: Mapping[str, str]) -> bool:
        """Make the console understand escape codes; return whether it does (Windows 10 and later)."""
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.GetStdHandle.restype = ctypes.c_void_p
        console = ctypes.c_void_p(kernel.GetStdHandle(_STDOUT))
        mode = ctypes.c_uint32()
        if not kernel.GetConsoleMode(console, ctypes.byref(mode)):
            return False
        return bool(kernel.SetConsoleMode(console, mode.value | _UNDERSTANDS_ESCAPES))

    class Keys:
        """The keyboard of the console."""

        def __init__(self, _: TextIO) -> None:
            pass

        def take(self) -> None:
            """Do nothing: the console gives single keys anyway."""

        def give_back(self) -> None:
            """Do nothing."""

        def read(self, seconds: float) -> str:
            """Return a key that is pressed within this time, or an empty text."""
            end = time.monotonic() + seconds
            while not msvcrt.kbhit():
                if (left := end - time.monotonic()) <= 0:
                    return ""
                time.sleep(min(left, _LOOK_SECONDS))
            return msvcrt.getwch()

else:
    import select
    import termios
    import time
    import tty

    def understands_escapes(environ: Mapping[str, str]) -> bool:
        """Return whether the terminal understands escape codes."""
        return environ.get("TERM", "dumb") != "dumb"

    class Keys:
        """The keyboard of the terminal; none if standard input does not come from one.

        Args:
            stream: Standard input.
        """

        def __init__(self, stream: TextIO | None) -> None:
            self._file = stream.fileno() if stream is not None and stream.isatty() else None
            self._before = termios.tcgetattr(self._file) if self._file is not None else []

        def take(self) -> None:
            """Have single keys, which the terminal does not show."""
            if self._file is not None:
                tty.setcbreak(self._file, termios.TCSANOW)

        def give_back(self) -> None:
            """Have lines again, as before."""
            with suppress(termios.error):  # the terminal has gone
                if self._file is not None:
                    termios.tcsetattr(self._file, termios.TCSANOW, self._before)

        def read(self, seconds: float) -> str:
            """Return a key that is pressed within this time, or an empty text."""
            if self._file is None:
                time.sleep(seconds)
                return ""
            if not select.select([self._file], [], [], seconds)[0]:
                return ""
            with suppress(OSError):
                if key := os.read(self._file, 1):
                    return key.decode(errors="replace")
            return QUIT  # the terminal has gone
