"""Writes docs/demo.svg, a picture of a terminal, from a run of ``px --demo`` (``make docs``)."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from scripts.terminal_svg import format_svg

SVG: Final = Path(__file__).resolve().parent.parent / "docs" / "demo.svg"
_COLUMNS: Final = 84


def run_demo() -> str:
    """Return what ``px --demo`` writes to a terminal, with its colours.

    Raises:
        subprocess.CalledProcessError: The demo failed.
    """
    ours, theirs = pty.openpty()
    with tempfile.TemporaryDirectory() as home:
        own = {"HOME": home, "TERM": "xterm", "COLUMNS": str(_COLUMNS), "PYTHONIOENCODING": "utf-8"}
        others = ("PX_", "XDG_", "NO_COLOR")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(others)}
        process = subprocess.Popen(
            [sys.executable, "-m", "px", "--demo"], cwd=home, env={**kept, **own}, stdout=theirs
        )
        os.close(theirs)
        written = _read_all(ours)
        if process.wait():
            raise subprocess.CalledProcessError(process.returncode, process.args)
    return written.decode().replace("\r\n", "\n")


def _read_all(terminal: int) -> bytes:
    """Return everything that a terminal shows until its program has ended, and close it."""
    written = bytearray()
    try:
        while data := os.read(terminal, 65536):
            written += data
    except OSError:  # Linux reports the end of the other side in this way
        pass
    finally:
        os.close(terminal)
    return bytes(written)


def format_demo(written: str) -> str:
    """Return the picture of a demo that has written this."""
    return format_svg("px --demo", written, name="demo", columns=_COLUMNS)


def main() -> None:
    """Write the picture."""
    SVG.write_text(format_demo(run_demo()), encoding="utf-8", newline="\n")
    print(f"wrote {SVG}")


if __name__ == "__main__":
    main()
