"""What the command line prints: answers on stdout, warnings and errors on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Final

from px import __version__
from px.core.printable import escape_lines
from px.system.process.standard_output import until_reader_leaves

EXIT_OK: Final = 0
_WARNING: Final = "warning:"
#: The column where the second line of a message begins.
_INDENT: Final = 4
#: Codes of terminals (ECMA-48 8.3.117).
RED, GREEN, YELLOW = "\x1b[31m", "\x1b[32m", "\x1b[33m"
_PLAIN: Final = "\x1b[0m"


def announce(text: str) -> None:
    """Print a text on stdout."""
    with until_reader_leaves():
        print(text, flush=True)


def print_answer(text: str) -> int:
    """Print the answer of an action; return the exit code of success."""
    announce(text)
    return EXIT_OK


def announce_and_leave(text: str) -> None:
    """Print a line to the console that a program without a window has borrowed, and return the console."""
    announce(text)
    if sys.platform == "win32":
        from px.system.process.console import leave_console  # noqa: PLC0415

        leave_console()


def print_version() -> int:
    """Print the version of Px; return the exit code."""
    return print_answer(f"px {__version__}")


def print_warnings(warnings: Sequence[str]) -> None:
    """Print warnings on stderr."""
    for warning in warnings:
        print_message(f"warning: {warning}")


def print_as_is(text: str) -> None:
    """Print on stderr what another Px has said."""
    print(text, file=sys.stderr, flush=True)


def print_message(text: str) -> None:
    """Print a note or a warning on stderr; a warning begins with ``warning:``."""
    if text.startswith(_WARNING):
        _print_lines(f"px: {_WARNING}", text.removeprefix(_WARNING), YELLOW)
    else:
        _print_lines("px:", f" {text}", "")


def print_error(text: str) -> None:
    """Print the error that ends Px on stderr."""
    _print_lines("px:", f" {text}", RED)


def colour_start(line: str, start: str, colour: str) -> str:
    """Return a line whose start has a colour: `RED`, `GREEN` or `YELLOW`."""
    return f"{colour}{start}{_PLAIN}{line.removeprefix(start)}"


def _print_lines(prefix: str, text: str, colour: str) -> None:
    """Print on stderr: in lines that fit a terminal, with a coloured prefix where the user wants colours.

    The text may quote a file or an upstream: its control characters are printed as escapes.
    """
    from px.system.process.line_width import break_line, find_columns, has_colours  # noqa: PLC0415

    lines = break_line(escape_lines(prefix + text), find_columns(sys.stderr), _INDENT)
    if colour and has_colours(sys.stderr, os.environ):
        lines[0] = colour_start(lines[0], prefix, colour)
    print("\n".join(lines), file=sys.stderr, flush=True)
