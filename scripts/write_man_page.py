"""Writes docs/px.1, the man page, from the tables of options and actions (``make docs``)."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from typing import Final

from px import __version__
from px.cli.help_text import INTRODUCTION, SOURCES
from px.config.actions import ACTIONS
from px.config.option import Option
from px.config.options import GROUPS, OPTIONS
from scripts.shown_flags import ROOT

#: Version -> the date in the foot of its man page.
_DATES: Final = {"0.1.0": "2026-11-29"}
_HEAD: Final = r"""
.\" Made from the tables of px.config by `make docs`; do not edit.
.TH PX 1 "{date}" "Px {version}" "User Commands"
.nh
.ad l
.SH NAME
px \- a local proxy that logs in at a corporate proxy
.SH SYNOPSIS
.B px
.RI [ options ]
.br
.B px
.I action
.RI [ options ]
.SH DESCRIPTION
{description}
.PP
Without an action, Px starts and serves programs.
""".lstrip()
_OPTIONS: Final = r"""
.SH OPTIONS
Write
.BI \-\-name= value
or
.B \-\-name
.IR value .
A bare
.B \-\-name
sets a boolean to 1;
.B \-
and
.B _
in names are the same.
.PP
Px takes each option from the first of these that has it: the command line, the
environment,
.I .env
in the working directory,
.IR px.ini .
An empty value in the environment or in
.I px.ini
counts as not given.
""".lstrip()
_FILES: Final = r"""
.SH FILES
.TP
.I px.ini
The configuration.
Px uses the first one that it finds: in the working directory, in
.I \(ti/.config/px
(on macOS in
.IR "\(ti/Library/Application Support/px" ),
beside the executable.
.TP
.I .env
Variables of the environment, for Px alone, in the working directory.
""".lstrip()
#: A flag in escaped text.
_FLAG: Final = re.compile(r"(?<![\w-])\\-\\-[a-z](?:\w|\\-)*")
_LINE_CHARS: Final = 78
#: The end of a sentence, before another one.
_SENTENCE_END: Final = re.compile(r"(?<=[a-z\d)*][.:;]) (?=[A-Z])")


def format_man_page() -> str:
    """Return the text of docs/px.1."""
    description = _format_text(INTRODUCTION.partition("\n\n")[0])
    parts = [_HEAD.format(date=_DATES[__version__], version=__version__, description=description)]
    parts += [".SH ACTIONS", *(_format_item(action.usage, action.help) for action in ACTIONS), _OPTIONS]
    for group in GROUPS:
        parts += [f'.SS "{group}"', *(_format_option(each) for each in OPTIONS if each.group == group)]
    parts += [_FILES, ".SH EXIT STATUS", *(_format_item(*code) for code in _find_exit_codes())]
    parts += [".SH EXAMPLES", *(_format_item(*example) for example in _find_examples())]
    return "".join(f"{part.rstrip()}\n" for part in parts)


def _find_exit_codes() -> list[tuple[str, str]]:
    """Return the exit codes that the help lists."""
    _, _, text = " ".join(SOURCES.split()).partition("Exit codes: ")
    codes, _, program = text.partition(". --run ")
    listed = re.findall(r"(\d) (.+?)(?:$|, (?=\d))", codes)
    return [*listed, ("other", f"--run {program}")]


def _find_examples() -> Iterator[tuple[str, str]]:
    """Yield the first steps of the help: a command and its explanation."""
    _, _, steps = INTRODUCTION.partition("First steps:\n")
    for step in re.split(r"\n(?=  \S)", steps.rstrip()):
        command, _, explanation = step.partition("\n")
        yield command.strip(), explanation


def _format_option(option: Option) -> str:
    facts = [f"Default: {option.default}."] if option.default else []
    if option.ini_name:
        facts.append(f"In px.ini: {option.key} in [{option.section}].")
    if option.variables:
        facts.append(f"In the environment: {', '.join(option.variables)}.")
    others = "".join(f", --{alias}={option.metavar}" for alias in option.aliases)
    item = _format_item(option.usage + others, option.help)
    return f"{item}\n.br\n{_format_text(' '.join(facts))}" if facts else item


def _format_item(title: str, text: str) -> str:
    return f".TP\n.B {_escape(title)}\n{_format_text(text)}"


def _format_text(text: str) -> str:
    """Return a paragraph: each sentence begins a line, and flags are bold."""
    lines = [line for sentence in _SENTENCE_END.split(" ".join(text.split())) for line in _fill(sentence)]
    return "\n".join(rf"\&{line}" if line.startswith((".", "'")) else line for line in lines)


def _fill(sentence: str) -> list[str]:
    marked = _FLAG.sub(r"\\fB\g<0>\\fR", _escape(sentence))
    return textwrap.wrap(marked, _LINE_CHARS, break_long_words=False, break_on_hyphens=False)


def _escape(text: str) -> str:
    """Return a text in which no character has a meaning for man, and quotes stay as they are."""
    for character, escape in (("\\", r"\e"), ("-", r"\-"), ("'", r"\(aq"), ("~", r"\(ti"), ("^", r"\(ha")):
        text = text.replace(character, escape)
    return text


def main() -> None:
    """Write docs/px.1."""
    path = ROOT / "docs" / "px.1"
    path.write_text(format_man_page(), encoding="utf-8", newline="\n")
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
