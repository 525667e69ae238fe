"""Starting Px when its user logs in: ``--install`` and ``--uninstall``.

Each system keeps that in a place of its own, an `Autostart`. Here are the rules they share: doing it twice
does no harm, and what starts another Px is not replaced unless that is asked for. Nothing is started or ended
now.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from px.core.startup_errors import InstallError
from px.system.own_command import find_own_command

_TOOL_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Start:
    """What shall be started.

    Attributes:
        command: Program and arguments; the program by its absolute path.
        directory: Working directory, where the system can set one.
    """

    command: tuple[str, ...]
    directory: Path


def start_of_own(config_file: Path | None) -> Start:
    """Return how the running Px shall be started at login.

    Args:
        config_file: The px.ini to use; None: the one that is found then. Its directory is the working
            directory, where logs go; without one that is the user's home.
    """
    command = find_own_command()
    if config_file is not None:
        command.append(f"--config={config_file}")
    if sys.platform != "win32":
        command.append("--foreground")  # systemd and launchd watch the process that they start
    return Start(tuple(command), config_file.parent if config_file else Path.home())


class Autostart(Protocol):
    """What a system starts at login."""

    @property
    def place(self) -> str:
        """Where the system keeps it."""

    def format(self, start: Start) -> str:
        """Return the command as it stands there.

        Raises:
            InstallError: The system could not start it.
        """

    def read(self) -> str | None:
        """Return the command that is there now, or None."""

    def write(self, start: Start) -> str:
        """Have it started at the next login, and return how to start it now."""

    def remove(self) -> None:
        """Remove what `write` makes, as far as it is there."""


def find_autostart() -> Autostart:
    """Return the place of this system and user."""
    if sys.platform == "win32":
        from px.system.autostart_windows import RunKey  # noqa: PLC0415 - one of the three

        return RunKey()
    elif sys.platform == "darwin":  # noqa: RET505 - the type checker follows this form only
        from px.system.autostart_macos import LaunchAgent  # noqa: PLC0415

        return LaunchAgent(Path.home() / "Library" / "LaunchAgents", os.getuid())
    else:
        from px.system.autostart_linux import UserUnit  # noqa: PLC0415

        # Not by platformdirs: systemd, too, ignores a value that is no absolute path.
        config = os.environ.get("XDG_CONFIG_HOME", "")
        home = Path(config) if config.startswith("/") else Path.home() / ".config"
        return UserUnit(home / "systemd" / "user")


def install(autostart: Autostart, start: Start, *, replaces: bool) -> str:
    """Have Px started at login.

    Args:
        autostart: Where.
        start: What.
        replaces: Whether another one that is there is replaced.

    Returns:
        What has been done, for people.

    Raises:
        InstallError: It cannot be done, or another one is there.
    """
    try:
        wanted, there = autostart.format(start), autostart.read()
        if there not in {None, wanted} and not replaces:
            raise InstallError(f"{autostart.place} has another one: {there}; --install --force replaces it")
        now = autostart.write(start)  # even if it is there: what belongs to it may not be
    except OSError as error:
        raise InstallError(_say(autostart, "cannot be written", error)) from None
    done = "starts at login already" if there == wanted else "will start at login"
    return f"Px {done}: {wanted}\nIt stands in {autostart.place}\n{now}"


def uninstall(autostart: Autostart) -> str:
    """Have Px no longer started at login.

    Returns:
        What has been done, for people.

    Raises:
        InstallError: It cannot be done.
    """
    try:
        there = autostart.read()
        autostart.remove()
    except OSError as error:
        raise InstallError(_say(autostart, "cannot be removed", error)) from None
    if there is None:
        return f"Px does not start at login: there is no {autostart.place}"
    return f"Px no longer starts at login: removed {autostart.place}\nIf it runs, it goes on."


def _say(autostart: Autostart, what: str, error: OSError) -> str:
    return f"{autostart.place} {what}: {error.strerror or error}"


def run_tool(*command: str) -> bool:
    """Run a tool of the system; return whether it is there and did what it was asked for."""
    program = shutil.which(command[0])
    if program is None:
        return False
    try:
        done = subprocess.run(  # noqa: S603 - a fixed tool, found in PATH as its user would
            [program, *command[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TOOL_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
