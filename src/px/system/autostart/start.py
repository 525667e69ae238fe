"""The command that a system starts at login, and how to run the system's tools."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from px.system.process.command_output import read_command_output

_TOOL_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Start:
    """A command to start at login.

    Attributes:
        command: Absolute path of the program, and arguments.
        directory: Working directory; Windows cannot set one.
    """

    command: tuple[str, ...]
    directory: Path


def try_command(*command: str) -> bool:
    """Run a tool of the system; return whether the tool is installed and succeeded."""
    try:
        output = read_command_output(*command, environ=os.environ, timeout_seconds=_TOOL_SECONDS)
    except TimeoutError:
        return False
    return output is not None
