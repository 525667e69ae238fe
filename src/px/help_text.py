"""``--help``: a line for each action and option, and all about one of them with ``--help=NAME``."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from px.actions import ACTIONS
from px.core.startup_errors import ConfigError
from px.ini_text import fold_key
from px.option import Action, Option
from px.option_values import closest
from px.options import GROUPS, OPTIONS

#: Terminals have 80 columns, and some break a line that fills them.
_WIDTH: Final = 79
_INDENT: Final = 25
_ALL: Final = "all"
_ACTIONS: Final = "Actions"

_INTRODUCTION: Final = """\
Px is a local HTTP(S) proxy. Programs that cannot log in at a company's proxy
use Px as their proxy; Px logs in for them by Kerberos, NTLM, Digest or Basic.

Usage: px [OPTIONS]            run
       px ACTION [OPTIONS]     do something else
       px --help=NAME          all about one of them, or about a word, or: all

First steps:
  px --demo
      See a login happen, with no network and no configuration.
  px --proxy=proxy.corp.example:8080
      Log in at that proxy as the user logged in here. In another terminal:
      export https_proxy=http://127.0.0.1:3128
  px --proxy=proxy.corp.example:8080 --username='CORP\\alice'
      As somebody else, with the password that px --password has stored.
  px --proxy=first:8080,second:8080 --noproxy='10.*,*.corp.example' --save
      Two proxies, one in reserve, the intranet directly; saved for: px
"""

_SOURCES: Final = """\
Write --name=value or --name value; - and _ in names are the same. Options come
from the command line, else from the environment (PX_PORT for --port), else
from .env in the working directory, else from px.ini (port in [proxy]).
Exit codes: 0 ok, 1 crash, 2 configuration, 3 not running, 5 port in use,
6 install.
"""


def format_help(config_file: Path | None, topic: str = "") -> str:
    """Return the text of ``--help``.

    Args:
        config_file: The px.ini that would be used here, or None.
        topic: Whose whole explanation is wanted; empty: an overview.

    Raises:
        ConfigError: There is nothing about that topic.
    """
    if topic:
        return "\n".join(_explain(entry) for entry in _find_entries(topic)).rstrip()
    groups = [f"{title}:\n" + "".join(map(_summarize, entries)) for title, entries in _groups().items()]
    found = f"px.ini in use: {config_file or 'none found'}"
    return "\n".join([_INTRODUCTION, *groups, _SOURCES + found])


def _groups() -> dict[str, list[Action | Option]]:
    groups: dict[str, list[Action | Option]] = {_ACTIONS: [*ACTIONS]}
    for group in GROUPS:
        groups[group] = [option for option in OPTIONS if option.group == group]
    return groups


def _find_entries(topic: str) -> list[Action | Option]:
    """Return those of that name, else those of that group, else those that speak of it."""
    word = fold_key(topic.removeprefix("--"))
    entries: list[Action | Option] = [*ACTIONS, *OPTIONS]
    if word == _ALL:
        return entries
    named = [entry for entry in entries if word in _names_of(entry)]
    groups = {title.lower(): group for title, group in _groups().items()}
    speaking = [entry for entry in entries if topic.lower() in f"{entry.usage} {entry.help}".lower()]
    found = named or groups.get(topic.lower()) or speaking
    if not found:
        close = closest(word, [name for entry in entries for name in _names_of(entry)])
        hint = f"; did you mean --help={close}?" if close else "; --help has an overview"
        raise ConfigError(f"--help={topic}: there is nothing about that{hint}")
    return found


def _names_of(entry: Action | Option) -> list[str]:
    if isinstance(entry, Action):
        return [entry.name, *entry.aliases, *entry.switches]
    return [entry.name, entry.key, *entry.aliases, *(variable.lower() for variable in entry.variables)]


def _summarize(entry: Action | Option) -> str:
    """Return the first sentence, or what stands before its colon, with a default worth knowing."""
    summary = re.split(r"[.:;](?:\s|$)", entry.help, maxsplit=1)[0]
    if isinstance(entry, Option) and entry.default not in {"", "0"}:
        summary += f" [{entry.default}]"
    lines = textwrap.wrap(summary, _WIDTH - _INDENT, break_long_words=False, break_on_hyphens=False)
    usage = f"  {entry.usage}"
    first = f"{usage:<{_INDENT}}" if len(usage) < _INDENT else f"{usage}\n{'':{_INDENT}}"
    return f"{first}{f'{chr(10)}{chr(32) * _INDENT}'.join(lines)}\n"


def _explain(entry: Action | Option) -> str:
    """Return all there is to say."""
    facts = "\n".join(f"    {fact}" for fact in _facts_of(entry))
    text = textwrap.fill(
        entry.help, _WIDTH, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False
    )
    return f"{entry.usage}\n{text}\n{facts}" + ("\n" if facts else "")


def _facts_of(entry: Action | Option) -> Iterator[str]:
    if isinstance(entry, Action):
        return
    if entry.is_flag and entry.aliases:
        yield f"Also: {', '.join(f'--{alias}' for alias in entry.aliases)}"
    if entry.default:
        yield f"Default: {entry.default}"
    if entry.section:
        yield f"In px.ini: {entry.key} in [{entry.section}]"
    if entry.variables:
        yield f"In the environment: {', '.join(entry.variables)}"
