"""Writes docs/demo.svg, a picture of a terminal, from a run of ``px --demo`` (``make docs``)."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

SVG: Final = Path(__file__).resolve().parent.parent / "docs" / "demo.svg"
_COLUMNS: Final = 84

#: The format of rich itself loads a font from the network, which web sites block in a picture.
_FORMAT: Final = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="px --demo">
<!-- Made by `make docs` from a run of the demo; do not edit. -->
<style>
.{unique_id}-matrix {{ font: {char_height}px ui-monospace, Menlo, Consolas, monospace }}
.{unique_id}-title {{ font: 18px system-ui, sans-serif }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


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


def format_svg(written: str) -> str:
    """Return the picture of a terminal in which a user has given ``px --demo``, and Px has answered."""
    console = Console(record=True, width=_COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text("$ px --demo", "bold"))
    console.print(Text.from_ansi(written.rstrip("\n")))
    svg = console.export_svg(title="px --demo", theme=MONOKAI, code_format=_FORMAT, unique_id="demo")
    return "\n".join(line.rstrip() for line in svg.splitlines() if line.strip()) + "\n"


def main() -> None:
    """Write the picture."""
    SVG.write_text(format_svg(run_demo()), encoding="utf-8", newline="\n")
    print(f"wrote {SVG}")


if __name__ == "__main__":
    main()
