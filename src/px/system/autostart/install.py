"""Registers Px to start when its user logs in: ``--install`` and ``--uninstall``.

Each system keeps such registrations in its own place, an `Autostart`. This module has the rules that all
systems share: a second ``--install`` or ``--uninstall`` does no harm, and Px replaces the registration of
another Px only with ``--force``. `px.cli.autostart` also starts Px at once; nothing here ends one.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Protocol

from px.core.startup_errors import InstallError
from px.system.autostart.own_command import find_own_command
from px.system.autostart.start import Start


def make_own_start(config_file: Path | None) -> Start:
    """Return the command and directory with which the system should start this Px at login.

    Args:
        config_file: The px.ini to use; its directory becomes the working directory, where logs go. None: Px
            looks for px.ini at login, and the working directory is the user's home.
    """
    command = find_own_command()
    if config_file is not None:
        command.append(f"--config={config_file}")
    if sys.platform != "win32":
        command.append("--foreground")  # systemd and launchd watch the process that they start
    return Start(tuple(command), config_file.parent if config_file else Path.home())


class Autostart(Protocol):
    """The place where a system keeps the command that it starts at login."""

    @property
    def place(self) -> str:
        """Where the system keeps the command, for messages."""

    def format(self, start: Start) -> str:
        """Return the command in the form in which the system keeps it.

        Raises:
            InstallError: The system could not start such a command.
        """

    def read(self) -> str | None:
        """Return the command that the system has now; None if it has none."""

    def write(self, start: Start) -> str:
        """Register the command for the next login; return what the user has to know besides, or nothing."""

    def start_now(self) -> bool:
        """Start the registered command now, as at login; return whether the system has done so."""

    def remove(self) -> None:
        """Remove everything that `write` makes; parts may be missing."""


def find_autostart() -> Autostart:
    """Return the place where this system keeps the commands of this user."""
    if sys.platform == "win32":
        from px.system.autostart.windows import RunKey  # noqa: PLC0415 - only on this system

        return RunKey()
    elif sys.platform == "darwin":  # noqa: RET505 - the type checker follows this form only
        from px.system.autostart.macos import LaunchAgent  # noqa: PLC0415

        return LaunchAgent(Path.home() / "Library" / "LaunchAgents", os.getuid())
    else:
        from px.system.autostart.linux import UserUnit  # noqa: PLC0415

        # Not by platformdirs: like systemd, ignore a value that is not an absolute path.
        config = os.environ.get("XDG_CONFIG_HOME", "")
        home = Path(config) if config.startswith("/") else Path.home() / ".config"
        return UserUnit(home / "systemd" / "user")


def install(autostart: Autostart, start: Start, *, replaces: bool) -> str:
    """Register Px to start at login, and return what was done, for the user.

    Args:
        autostart: The place of this system.
        start: The command to start.
        replaces: Whether to replace a different command.

    Raises:
        InstallError: The system does not allow it, or starts another command already.
    """
    try:
        wanted, present = autostart.format(start), autostart.read()
        if present not in {None, wanted} and not replaces:
            raise InstallError(f"{autostart.place} has another one: {present}; --install --force replaces it")
        note = autostart.write(start)  # also if the command is there: other parts of it may be missing
    except OSError as error:
        raise InstallError(_format_failure(autostart, "cannot be written", error)) from None
    done = "starts at login already" if present == wanted else "will start at login"
    return "\n".join(filter(None, [f"Px {done}: {wanted}", f"The entry is in {autostart.place}", note]))


def uninstall(autostart: Autostart) -> str:
    """Remove Px from what starts at login, and return what was done, for the user.

    Raises:
        InstallError: The system does not allow it.
    """
    try:
        present = autostart.read()
        autostart.remove()
    except OSError as error:
        raise InstallError(_format_failure(autostart, "cannot be removed", error)) from None
    if present is None:
        return f"Px does not start at login: there is no {autostart.place}"
    return f"Px no longer starts at login: removed {autostart.place}\nIf it runs, it goes on."


def _format_failure(autostart: Autostart, failure: str, error: OSError) -> str:
    return f"{autostart.place} {failure}: {error.strerror or error}"
