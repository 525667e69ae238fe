r"""Starts Px at login on Windows by a value of the user's Run key.

https://learn.microsoft.com/windows/win32/setupapi/run-and-runonce-registry-keys
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from typing import Final

from px.core.startup_errors import InstallError
from px.system.autostart.start import Start

assert sys.platform == "win32"  # noqa: S101 - for the type checker, too

import winreg  # noqa: E402

_RUN: Final = r"Software\Microsoft\Windows\CurrentVersion\Run"
#: Where Windows stores what the user has disabled in the Task Manager.
_APPROVED: Final = r"Software\Microsoft\Windows\CurrentVersion\Explorer\StartupApproved\Run"
_NAME: Final = "Px"
#: Windows does not start longer command lines.
_MAX_CHARS: Final = 260


class RunKey:
    """Implements `px.system.autostart.install.Autostart`."""

    place = rf"HKEY_CURRENT_USER\{_RUN}, {_NAME}"

    def format(self, start: Start) -> str:
        """Return the command line."""
        line = subprocess.list2cmdline(start.command)
        if len(line) > _MAX_CHARS:
            hint = "put px.ini or Px where the path is shorter"
            raise InstallError(f"Windows starts no command of over {_MAX_CHARS} characters, {hint}: {line}")
        return line

    def read(self) -> str | None:
        """Return the command line of the value; None if there is no value."""
        try:
            with winreg.OpenKey(winreg.HKEY_CURRENT_USER, _RUN) as key:
                return str(winreg.QueryValueEx(key, _NAME)[0])
        except FileNotFoundError:
            return None

    def write(self, start: Start) -> str:
        """Set the value, and enable it in the Task Manager."""
        line = self.format(start)
        with winreg.CreateKey(winreg.HKEY_CURRENT_USER, _RUN) as key:
            winreg.SetValueEx(key, _NAME, 0, winreg.REG_SZ, line)
        _delete_value(_APPROVED)
        return ""

    def start_now(self) -> bool:
        """Return False: Windows reads the key at login only."""
        return False

    def remove(self) -> None:
        """Delete the value."""
        _delete_value(_RUN)
        _delete_value(_APPROVED)

    def __repr__(self) -> str:
        return "<RunKey>"


def _delete_value(path: str) -> None:
    with (
        contextlib.suppress(FileNotFoundError),
        winreg.OpenKey(winreg.HKEY_CURRENT_USER, path, access=winreg.KEY_SET_VALUE) as key,
    ):
        winreg.DeleteValue(key, _NAME)
