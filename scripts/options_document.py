"""The option table as docs/options.md."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from px.config.actions import ACTIONS
from px.config.option import Option
from px.config.options import GROUPS, OPTIONS

_DOCUMENT: Final = """\
# Options

<!-- Made from the tables of px.config.options by `make docs`; do not edit. -->

Precedence: command line, then environment, then `.env` in the working directory, then `px.ini`, then
the default. On the command line write `--name=value` or `--name value`; a bare `--name` sets a boolean
to 1; `-` and `_` in names are the same. In the environment and px.ini an empty value counts as not given.

`px.ini` is looked for in the working directory, then in your configuration directory (`%APPDATA%\\px`,
`~/.config/px`, `~/Library/Application Support/px`), then beside the executable. A `px.ini` or `.env` in a
working directory that another user can write to is not used, and Px says so.
"""


def format_document() -> str:
    """Return docs/options.md."""
    tables = [table for group in GROUPS for table in _format_table(group)]
    actions = ["", "## Actions", "", "| flag | |", "|---|---|"]
    actions += [f"| `{action.usage}` | {action.help} |" for action in ACTIONS]
    return "\n".join([_DOCUMENT.rstrip(), *actions, *tables]) + "\n"


def _format_table(group: str) -> Iterator[str]:
    yield from ("", f"## {group}", "", "| flag | px.ini | environment | default | |", "|---|---|---|---|---|")
    for option in OPTIONS:
        if option.group == group:
            yield _format_row(option)


def _format_row(option: Option) -> str:
    flags = (
        [option.usage, *(f"--{alias}={option.metavar}" for alias in option.aliases)] if option.is_flag else []
    )
    cells = [_code(flags), _code([option.ini_name]), _code(option.variables), _code([option.default])]
    # "*" and "<" have a meaning in Markdown, and "|" in its tables.
    return f"| {' | '.join(cells)} | {_escape(option.help)} |"


def _code(texts: list[str] | tuple[str, ...]) -> str:
    return " ".join(f"`{text}`" for text in texts if text)


def _escape(text: str) -> str:
    for character in ("\\", "|", "*", "<", "_", "["):
        text = text.replace(character, f"\\{character}")
    return text
