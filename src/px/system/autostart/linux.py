"""Starts Px at login on Linux by a unit of the user's systemd (systemd.service(5), systemd.syntax(7))."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

from px.core.startup_errors import InstallError
from px.system.autostart.start import Start, try_command
from px.system.state.whole_file import write_whole

_NAME: Final = "px.service"
_MARK: Final = "# Made by px --install; px --uninstall removes it."
_COMMAND: Final = "ExecStart="
NO_SYSTEMD: Final = "systemd does not answer here. If it runs at your next login, it starts Px then."
_UNIT: Final = f"""\
{_MARK}
[Unit]
Description=Px, a proxy that logs in at other proxies

[Service]
Type=exec
{_COMMAND}{{command}}
WorkingDirectory=-{{directory}}
Restart=on-failure
RestartSec=5
# A second try helps against neither a wrong configuration nor a port in use.
RestartPreventExitStatus=2 5

[Install]
WantedBy=default.target
"""


class UserUnit:
    """Implements `px.system.autostart.install.Autostart`.

    Args:
        directory: Directory of the user's units.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._unit = directory / _NAME
        #: The link that ``systemctl --user enable`` would make.
        self._link = directory / "default.target.wants" / _NAME

    @property
    def place(self) -> str:
        """The path of the unit."""
        return str(self._unit)

    def format(self, start: Start) -> str:
        """Return the command in systemd's quotes."""
        program, *arguments = start.command
        if set(program) & set("\"'\\"):
            raise _refusal(program)
        return " ".join([_quote(program), *(_quote(argument).replace("$", "$$") for argument in arguments)])

    def read(self) -> str | None:
        """Return the command of the unit; "no command" for a unit without one."""
        lines = self._read_lines()
        if lines is None:
            return None
        return next(
            (line.removeprefix(_COMMAND) for line in lines if line.startswith(_COMMAND)), "no command"
        )

    def _read_lines(self) -> list[str] | None:
        try:
            return self._unit.read_text("utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return None

    def write(self, start: Start) -> str:
        """Write the unit, and the link that makes the user's session start it."""
        directory = str(start.directory).replace("%", "%%")
        text = _UNIT.format(command=self.format(start), directory=directory)
        write_whole(self._unit, text.encode(), mode=0o644)
        self._link.parent.mkdir(mode=0o700, exist_ok=True)
        self._link.unlink(missing_ok=True)
        self._link.symlink_to(self._unit)
        return "" if try_command("systemctl", "--user", "daemon-reload") else NO_SYSTEMD

    def start_now(self) -> bool:
        """Have systemd start the unit."""
        return try_command("systemctl", "--user", "start", _NAME)

    def remove(self) -> None:
        """Remove the link and the unit, and the directories that are empty then."""
        lines = self._read_lines()
        if lines is not None and _MARK not in lines:
            raise InstallError(f"{self._unit} was not made by --install; remove it by hand")
        self._link.unlink(missing_ok=True)
        self._unit.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            for directory in (self._link.parent, self._directory, self._directory.parent):
                directory.rmdir()
        try_command("systemctl", "--user", "daemon-reload")

    def __repr__(self) -> str:
        return f"<UserUnit {self._unit}>"


def _quote(word: str) -> str:
    """Return a word in quotes, with everything escaped that systemd would interpret, except ``$``."""
    if not word.isprintable():
        raise _refusal(word)
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def _refusal(word: str) -> InstallError:
    return InstallError(f"{word!r}: systemd cannot start a command with such characters")
