"""Pictures of a terminal in which a user has given a command, and Px has answered."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Final, NamedTuple

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

#: The width of the terminal.
COLUMNS: Final = 80
_DOCS: Final = Path(__file__).resolve().parent.parent / "docs"
#: The format of rich itself loads a font from the network, which web sites block in a picture, and cuts off
#: the lower end of the last line.
_FORMAT: Final = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="COMMAND">
<!-- Made from a run of Px by `make docs` or `make pictures`; do not edit. -->
<style>
.{unique_id}-matrix {{ font: {char_height}px ui-monospace, Menlo, Consolas, monospace }}
.{unique_id}-title {{ font: 18px system-ui, sans-serif }}
{styles}
</style>
<defs>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


class Picture(NamedTuple):
    """A picture of a terminal of `COLUMNS` columns.

    Attributes:
        name: The path of its file in docs, without ``.svg``.
        command: What the user has typed.
        shown: What the terminal shows after that, with its colours.
    """

    name: str
    command: str
    shown: str

    @property
    def path(self) -> Path:
        """The file."""
        return _DOCS / f"{self.name}.svg"

    def format(self) -> str:
        """Return the SVG."""
        console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
        console.print(Text(f"$ {self.command}", "bold"))
        console.print(Text.from_ansi(self.shown.rstrip("\n")))
        code_format = _FORMAT.replace("COMMAND", self.command)
        unique_id = self.path.stem  # of the styles: a page may have several pictures
        svg = console.export_svg(
            title=self.command, theme=MONOKAI, code_format=code_format, unique_id=unique_id
        )
        return "\n".join(line.rstrip() for line in svg.splitlines() if line.strip()) + "\n"

    def write(self) -> None:
        """Write the file."""
        self.path.parent.mkdir(exist_ok=True)
        self.path.write_text(self.format(), encoding="utf-8", newline="\n")
        print(f"wrote {self.path}")
