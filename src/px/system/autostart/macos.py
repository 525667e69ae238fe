"""Starts Px at login on macOS by a launch agent (launchd.plist(5))."""

from __future__ import annotations

import plistlib
import shlex
from pathlib import Path
from typing import Final
from xml.parsers.expat import ExpatError

from px.system.autostart.start import Start, try_command
from px.system.state.whole_file import write_whole

_LABEL: Final = "px-proxy"


class LaunchAgent:
    """Implements `px.system.autostart.install.Autostart`.

    Args:
        directory: Directory of the user's agents.
        user_id: Number of the user.
    """

    def __init__(self, directory: Path, user_id: int) -> None:
        self._file = directory / f"{_LABEL}.plist"
        self._domain = f"gui/{user_id}"

    @property
    def place(self) -> str:
        """The path of the agent."""
        return str(self._file)

    def format(self, start: Start) -> str:
        """Return the command as a shell would take it, for messages; launchd gets it as a list of words."""
        return shlex.join(start.command)

    def read(self) -> str | None:
        """Return the command of the agent; "no command" for an agent without one."""
        try:
            agent = plistlib.loads(self._file.read_bytes())
            return shlex.join(agent["ProgramArguments"])
        except FileNotFoundError:
            return None
        except (ExpatError, ValueError, KeyError, TypeError):
            return "no command"

    def write(self, start: Start) -> str:
        """Write the agent, which launchd finds at login."""
        agent = {
            "Label": _LABEL,
            "ProgramArguments": list(start.command),
            "WorkingDirectory": str(start.directory),
            "RunAtLoad": True,
            # Restart Px after a crash only: a second try does not help against a wrong configuration.
            "KeepAlive": {"Crashed": True},
        }
        write_whole(self._file, plistlib.dumps(agent), mode=0o644)
        try_command("launchctl", "enable", f"{self._domain}/{_LABEL}")  # the user may have disabled it
        return ""

    def start_now(self) -> bool:
        """Have launchd load the agent, which starts it; or only start it, if it is loaded."""
        is_started = try_command("launchctl", "bootstrap", self._domain, str(self._file))
        return is_started or try_command("launchctl", "kickstart", f"{self._domain}/{_LABEL}")

    def remove(self) -> None:
        """Remove the agent."""
        self._file.unlink(missing_ok=True)

    def __repr__(self) -> str:
        return f"<LaunchAgent {self._file}>"
