"""A picture of a terminal in which a user has given a command, and Px has answered."""

from __future__ import annotations

import io
from typing import Final

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

#: The format of rich itself loads a font from the network, which web sites block in a picture.
_FORMAT: Final = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="COMMAND">
<!-- Made by `make docs` from a run of Px; do not edit. -->
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


def format_svg(command: str, written: str, *, name: str, columns: int) -> str:
    """Return the picture.

    Args:
        command: What the user has typed.
        written: What the terminal shows after that, with its colours.
        name: Of the picture, for its styles.
        columns: The width of the terminal.
    """
    console = Console(record=True, width=columns, file=io.StringIO(), force_terminal=True)
    console.print(Text(f"$ {command}", "bold"))
    console.print(Text.from_ansi(written.rstrip("\n")))
    code_format = _FORMAT.replace("COMMAND", command)
    svg = console.export_svg(title=command, theme=MONOKAI, code_format=code_format, unique_id=name)
    return "\n".join(line.rstrip() for line in svg.splitlines() if line.strip()) + "\n"
