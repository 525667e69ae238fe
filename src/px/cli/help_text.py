"""The text of ``--help``: one line for each entry, or everything about one with ``--help=NAME``."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from px.config.actions import ACTIONS
from px.config.ini_text import fold_key
from px.config.option import Action, Option
from px.config.options import GROUPS, OPTIONS
from px.config.values import closest
from px.core.startup_errors import ConfigError

#: Terminals have 80 columns, and some break a line that fills them.
_WIDTH: Final = 79
_INDENT: Final = 25
_ALL: Final = "all"
_ACTIONS: Final = "Actions"

INTRODUCTION: Final = """\
Px is a proxy on your own computer. Programs that cannot log in at your
company's proxy connect to Px, and Px logs in for them with Kerberos, NTLM,
Digest or Basic.

Usage: px [OPTIONS]            start Px
       px ACTION [OPTIONS]     do something else
       px --help=NAME          explain an option, an action or a group of them,
                               each entry with a word in its text, or: all

First steps:
  px --demo
      Watch a login. This needs no network and no configuration.
  px --setup
      Find the proxy, log in, save what works, and start Px.
  px --proxy=proxy.corp.example:8080
      Log in at this proxy as the user who is logged in here. Then, in another
      terminal:
      export https_proxy=http://127.0.0.1:3128
      (px --env prints the lines for your shell.)
  px --proxy=proxy.corp.example:8080 --username='CORP\\alice'
      Log in as this user, with the password that px --password has stored.
  px --proxy=first:8080,second:8080 --noproxy='10.*,*.corp.example' --save
      Save two proxies, the second as a reserve, and connect to the intranet
      directly. From then on, px without options uses these settings.
"""

SOURCES: Final = """\
Write --name=value or --name value; - and _ in names are the same. Px takes
each option from the first of these that has it: the command line, the
environment (PX_PORT for --port), .env in the working directory, px.ini (port
in the section [proxy]).
Exit codes: 0 success, 1 crash, 2 wrong configuration, 3 Px is not running,
4 no route to the URL (--explain) or a step failed (--test, --doctor, --setup,
--demo), 5 the port is in use, 6 Px cannot be installed, 130 ended by Ctrl-C.
--run ends with the code of its program, or with 127 if there is no such
program, 126 if it cannot be run.
"""


def format_help(config_file: Path | None, topic: str = "") -> str:
    """Return the text of ``--help``.

    Args:
        config_file: The px.ini that Px would use here, or None.
        topic: What to explain: a name, a group, a word or ``all``; empty: an overview.

    Raises:
        ConfigError: No entry has anything to do with the topic.
    """
    if topic:
        return "\n".join(_explain(entry) for entry in _find_entries(topic)).rstrip()
    groups = [f"{title}:\n" + "".join(map(_summarize, entries)) for title, entries in _groups().items()]
    found = f"px.ini in use: {config_file or 'none found'}"
    return "\n".join([INTRODUCTION, *groups, SOURCES + found])


def _groups() -> dict[str, list[Action | Option]]:
    groups: dict[str, list[Action | Option]] = {_ACTIONS: [*ACTIONS]}
    for group in GROUPS:
        groups[group] = [option for option in OPTIONS if option.group == group]
    return groups


def _find_entries(topic: str) -> list[Action | Option]:
    """Return the entry of that name, else the entries of that group, else those whose text has the word."""
    word = fold_key(topic.removeprefix("--"))
    entries: list[Action | Option] = [*ACTIONS, *OPTIONS]
    if word == _ALL:
        return entries
    named = [entry for entry in entries if word in _names_of(entry)]
    groups = {title.lower(): group for title, group in _groups().items()}
    mentioning = [entry for entry in entries if topic.lower() in f"{entry.usage} {entry.help}".lower()]
    found = named or groups.get(topic.lower()) or mentioning
    if not found:
        close = closest(word, [name for entry in entries for name in _names_of(entry)])
        hint = f"; did you mean --help={close}?" if close else "; --help has an overview"
        raise ConfigError(f"--help={topic}: no option or action matches{hint}")
    return found


def _names_of(entry: Action | Option) -> list[str]:
    if isinstance(entry, Action):
        return [entry.name, *entry.aliases, *entry.switches]
    return [entry.name, entry.key, *entry.aliases, *(variable.lower() for variable in entry.variables)]


def _summarize(entry: Action | Option) -> str:
    """Return the usage and the summary of an entry, and any default but 0."""
    summary = entry.summary
    if isinstance(entry, Option) and entry.default not in {"", "0"}:
        summary += f" [{entry.default}]"
    lines = textwrap.wrap(summary, _WIDTH - _INDENT, break_long_words=False, break_on_hyphens=False)
    usage = f"  {entry.usage}"
    first = f"{usage:<{_INDENT}}" if len(usage) < _INDENT else f"{usage}\n{'':{_INDENT}}"
    return f"{first}{f'{chr(10)}{chr(32) * _INDENT}'.join(lines)}\n"


def _explain(entry: Action | Option) -> str:
    """Return the whole help of an entry and the names it has in px.ini and the environment."""
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
