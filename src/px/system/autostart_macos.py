"""Starting at login on macOS: a launch agent (launchd.plist(5))."""

from __future__ import annotations

import plistlib
import shlex
from pathlib import Path
from typing import Final
from xml.parsers.expat import ExpatError

from px.system.autostart import Start, run_tool
from px.system.whole_file import write_whole

_LABEL: Final = "px-proxy"


class LaunchAgent:
    """Implements `px.system.autostart.Autostart`.

    Args:
        directory: Where the user's agents are.
        user_id: Of the user.
    """

    def __init__(self, directory: Path, user_id: int) -> None:
        self._file = directory / f"{_LABEL}.plist"
        self._domain = f"gui/{user_id}"

    @property
    def place(self) -> str:
        """Where the agent is."""
        return str(self._file)

    def format(self, start: Start) -> str:
        """Return the command as a shell would take it; launchd takes it word by word."""
        return shlex.join(start.command)

    def read(self) -> str | None:
        """Return the command of the agent; of one that has none, that it has none."""
        try:
            agent = plistlib.loads(self._file.read_bytes())
            return shlex.join(agent["ProgramArguments"])
        except FileNotFoundError:
            return None
        except (ExpatError, ValueError, KeyError, TypeError):
            return "no command"

    def write(self, start: Start) -> str:
        """Make the agent; launchd looks for it at login."""
        agent = {
            "Label": _LABEL,
            "ProgramArguments": list(start.command),
            "WorkingDirectory": str(start.directory),
            "RunAtLoad": True,
            # Not after an exit code: a wrong configuration is no better the next time.
            "KeepAlive": {"Crashed": True},
        }
        write_whole(self._file, plistlib.dumps(agent), mode=0o644)
        run_tool("launchctl", "enable", f"{self._domain}/{_LABEL}")  # it may have been disabled
        return f"To start it now: launchctl bootstrap {self._domain} {shlex.quote(str(self._file))}"

    def remove(self) -> None:
        """Remove the agent."""
        self._file.unlink(missing_ok=True)

    def __repr__(self) -> str:
        return f"<LaunchAgent {self._file}>"
