"""Writes docs/demo.svg, a picture of a terminal, from a run of ``px --demo`` (``make docs``)."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from scripts.terminal_svg import COLUMNS, Picture
from tests.terminal import Terminal


def run_demo() -> Picture:
    """Return the picture of a run of ``px --demo``.

    Raises:
        subprocess.CalledProcessError: The demo failed.
    """
    with tempfile.TemporaryDirectory() as home:
        own = {"HOME": home, "TERM": "xterm", "PYTHONIOENCODING": "utf-8"}
        others = ("PX_", "XDG_", "NO_COLOR")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(others)}
        command = [sys.executable, "-m", "px", "--demo"]
        with Terminal(command, {**kept, **own}, COLUMNS, directory=Path(home)) as terminal:
            shown = terminal.read_to_end()
            if code := terminal.process.returncode:
                raise subprocess.CalledProcessError(code, command)
    return Picture("demo", "px --demo", shown.replace("\r\n", "\n"))


if __name__ == "__main__":
    run_demo().write()
