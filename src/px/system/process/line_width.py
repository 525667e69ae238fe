"""Breaks lines at words for a terminal, and tells whether it has colours; a pipe or a file gets neither."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Mapping
from typing import TextIO

#: A narrower terminal breaks the lines by itself: words in a narrow column are harder to read.
_LEAST_COLUMNS = 56


def find_columns(stream: TextIO | None = None) -> int | None:
    """Return the width of the terminal that a stream, by default stdout, goes to; None if to no terminal."""
    stream = stream or sys.stdout
    if stream is None or not stream.isatty():
        return None
    try:  # stdout may go elsewhere, and then the library finds no width
        return os.get_terminal_size(stream.fileno()).columns or shutil.get_terminal_size().columns
    except (OSError, ValueError):  # Windows measures only the three standard streams
        return shutil.get_terminal_size().columns


def has_colours(stream: TextIO | None, environ: Mapping[str, str]) -> bool:
    """Return whether a stream goes to a terminal with colours, and the user wants them (no-color.org)."""
    if stream is None or not stream.isatty() or environ.get("NO_COLOR"):
        return False
    return _knows_colours(environ)


if sys.platform == "win32":

    def _knows_colours(environ: Mapping[str, str]) -> bool:
        return "WT_SESSION" in environ  # Windows Terminal; an old console would show the codes

else:

    def _knows_colours(environ: Mapping[str, str]) -> bool:
        return environ.get("TERM", "dumb") != "dumb"


def break_line(line: str, columns: int | None, indent: int) -> list[str]:
    """Return the lines that fit the terminal; all but the first are indented."""
    if columns is None:
        return [line]
    return textwrap.wrap(
        line,
        max(columns, _LEAST_COLUMNS),
        subsequent_indent=" " * indent,
        break_on_hyphens=False,
        break_long_words=False,
    )
