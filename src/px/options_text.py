"""The option table as text for people: ``--help`` and docs/options.md."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from px.option import Action, Option
from px.options import ACTIONS, GROUPS, OPTIONS

_WIDTH: Final = 96
_INDENT: Final = 26

_INTRODUCTION: Final = """\
Px is a local HTTP(S) proxy. Programs that cannot log in to a corporate proxy point at Px;
Px logs in for them by Kerberos, NTLM, Digest or Basic, and relays.

Usage: px [OPTIONS]          --name=value or --name value; - and _ in names are the same

Examples:
  px --proxy=proxy.corp.example:8080
      Log in to that proxy as the user logged in here. Then point programs at
      http://127.0.0.1:3128, for example: export https_proxy=http://127.0.0.1:3128
  px --proxy=proxy.corp.example:8080 --username='CORP\\alice'
      Log in as somebody else; the password comes from the environment variable PX_PASSWORD.
  px --proxy=first:8080,second:8080 --noproxy='10.*,*.corp.example'
      Two proxies, the second in reserve; the intranet is reached directly.
  px --noproxy=0.0.0.0/0 --debug
      No upstream at all: a regular proxy that logs what goes on to a file.
  px --demo
      See a login happen, with no network and no configuration.
"""

_SOURCES: Final = """\
An option with a [section:key] can also be set, in order of precedence, in the environment (PX_ and
the key in upper case: PX_PORT), in a file .env in the working directory (likewise), in px.ini.
Exit codes: 0 ok, 1 crash, 2 configuration, 5 port in use, 6 install.
"""

_DOCUMENT: Final = """\
# Options

<!-- Made from the table in src/px/options.py by `make docs`; do not edit. -->

Precedence: command line, then environment, then `.env` in the working directory, then `px.ini`, then
the default. On the command line write `--name=value` or `--name value`; a bare `--name` sets a boolean
to 1; `-` and `_` in names are the same. In the environment and px.ini an empty value counts as not given.

`px.ini` is looked for in the working directory, then in your configuration directory (`%APPDATA%\\px`,
`~/.config/px`, `~/Library/Application Support/px`), then beside the executable. A `px.ini` or `.env` in a
working directory that another user can write to is not used, and Px says so.
"""


def format_help(config_file: Path | None) -> str:
    """Return the text of ``--help``.

    Args:
        config_file: The px.ini that would be used here, or None.
    """
    groups = [_format_group(group, [o for o in OPTIONS if o.group == group]) for group in GROUPS]
    found = f"px.ini in use: {config_file}" if config_file else "px.ini in use: none found"
    return "\n".join([_INTRODUCTION, _format_group("Actions", ACTIONS), *groups, _SOURCES, found])


def _format_group(title: str, entries: tuple[Action, ...] | list[Option]) -> str:
    return f"{title}:\n" + "".join(_format_entry(_usage(entry), _explained(entry)) for entry in entries)


def _usage(entry: Action | Option) -> str:
    if isinstance(entry, Action):
        flag = f"--{entry.name}[={entry.metavar}]" if entry.metavar else f"--{entry.name}"
        switches = "".join(f" [--{switch}]" for switch in entry.switches)
        return ", ".join([*(f"-{alias}" for alias in entry.aliases), flag + switches])
    if not entry.is_flag:
        return f"{entry.variables[0]}={entry.metavar}"
    return f"{entry.flag}={entry.metavar}" if entry.metavar else entry.flag


def _explained(entry: Action | Option) -> str:
    if isinstance(entry, Action):
        return entry.help
    notes = [entry.ini_name] if entry.ini_name else []
    notes += [f"default {entry.default}"] if entry.default not in {"", "0"} or entry.metavar == "N" else []
    notes += [f"also --{alias}" for alias in entry.aliases]
    notes += ["" if entry.is_flag else "environment only"] if not entry.ini_name else []
    return entry.help + (f" [{', '.join(note for note in notes if note)}]" if any(notes) else "")


def _format_entry(usage: str, text: str) -> str:
    margin = " " * _INDENT
    body = textwrap.wrap(text, _WIDTH - _INDENT, break_long_words=False, break_on_hyphens=False)
    head = f"  {usage}"
    if len(head) > _INDENT - 2:
        return head + "\n" + "".join(f"{margin}{line}\n" for line in body)
    return f"{head:<{_INDENT}}{body[0]}\n" + "".join(f"{margin}{line}\n" for line in body[1:])


def format_document() -> str:
    """Return docs/options.md."""
    tables = [table for group in GROUPS for table in _format_table(group)]
    actions = ["", "## Actions", "", "| flag | |", "|---|---|"]
    actions += [f"| `{_usage(action)}` | {action.help} |" for action in ACTIONS]
    return "\n".join([_DOCUMENT.rstrip(), *actions, *tables]) + "\n"


def _format_table(group: str) -> Iterator[str]:
    yield from ("", f"## {group}", "", "| flag | px.ini | environment | default | |", "|---|---|---|---|---|")
    for option in OPTIONS:
        if option.group == group:
            yield _format_row(option)


def _format_row(option: Option) -> str:
    flags = (
        [_usage(option), *(f"--{alias}={option.metavar}" for alias in option.aliases)]
        if option.is_flag
        else []
    )
    cells = [_code(flags), _code([option.ini_name]), _code(option.variables), _code([option.default])]
    # "*" and "<" mean something to Markdown, and "|" to its tables.
    return f"| {' | '.join(cells)} | {_escape(option.help)} |"


def _code(texts: list[str] | tuple[str, ...]) -> str:
    return " ".join(f"`{text}`" for text in texts if text)


def _escape(text: str) -> str:
    for character in ("\\", "|", "*", "<", "_", "["):
        text = text.replace(character, f"\\{character}")
    return text
