"""alpaca has no file of settings: this reads its flags and variables in a script or a unit of systemd."""

from __future__ import annotations

import getpass
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Final

from px.config.imports import environment
from px.config.imports.draft import Entry, ImportDraft, Rule, drop, ignore, skip, take, take_pac
from px.config.imports.kept import LOCAL_ACCESS, Defaults

NAME: Final = "a script that starts alpaca"
#: The command with its flags, as the last thing on the line.
_COMMAND: Final = re.compile(r"(?:.*[\s/\\\"'=])?alpaca(?:\.exe)?[\"']?\s+(?P<flags>-.*)", re.IGNORECASE)
#: What ends a command in a shell.
_END: Final = re.compile(r"^(?:[;|&<>].*|\d?>.*|#.*)$")


def read_entries(text: str) -> Iterator[Entry]:
    """Yield the flags and variables of a script.

    Raises:
        ValueError: A quote is not closed.
    """
    for number, line in _whole_lines(text):
        found = _COMMAND.fullmatch(line)
        if found and not line.lstrip().startswith("#"):
            yield from _read_flags(found["flags"], number)
    yield from (each for each in environment.read_entries(text) if each.name in environment.ALPACA)


def _whole_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield lines, a line that ends with a backslash together with the next, each with its number."""
    start, begun = 1, ""
    for number, line in enumerate(text.splitlines(), start=1):
        start = start if begun else number
        if line.endswith("\\"):
            begun += line[:-1] + " "
            continue
        yield start, begun + line
        begun = ""
    if begun:
        yield start, begun


def _read_flags(text: str, line: int) -> Iterator[Entry]:
    words = shlex.split(text)
    while words and not _END.match(words[0]):
        name, equals, value = words.pop(0).partition("=")
        flag = "-" + name.lstrip("-")
        if flag not in SWITCHES and not equals and words:
            value = words.pop(0)
        if name.startswith("-"):
            yield FlagEntry(flag, value, line)


class FlagEntry(Entry):
    """A flag; case matters in its name."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """The flag as it is written."""
        return self.key


def count_known(text: str) -> int:
    """Return how many flags and variables of alpaca a text has; 1 if the command cannot be read."""
    try:
        return sum(entry.name in FLAGS for entry in read_entries(text))
    except ValueError:
        return 1


def find_defaults(draft: ImportDraft) -> Defaults:
    """Return what a command line means that does not have a flag; see `px.config.imports.kept`.

    A file that only has variables says nothing about flags.
    """
    texts = {**LOCAL_ACCESS, "port": "3128", "proxy": "", "pac": "", "username": ""}
    has_flags = any(isinstance(entry, FlagEntry) for entry in draft.entries)
    return Defaults("alpaca", texts if has_flags else {})


def _add_address(draft: ImportDraft, entry: Entry) -> None:
    draft.add("listen", entry, entry.text)


def _take_domain(draft: ImportDraft, entry: Entry) -> None:
    """Take user and domain; alpaca uses them only together, and then asks for the password."""
    user = draft.text_of("-u") or getpass.getuser()
    draft.take("username", entry, f"{entry.text}\\{user}")
    draft.needs_password("")
    draft.drop(entry, "alpaca asks for the password at each start", "store it once: px --password")


def _check_user(draft: ImportDraft, entry: Entry) -> None:
    if not draft.first("-d"):
        draft.drop(entry, "alpaca does not use it without -d", "give --username with --save")


_KERBEROS: Final = skip("Px uses a Kerberos ticket where there is one; --auth limits that")
_QUIET: Final = skip("Px logs only where --log or --verbose asks for that")

#: Flags without a value.
SWITCHES: Final = frozenset({"-H", "-k", "-q", "-version", "-debug", "-no-kerberos", "-enable-socks"})
#: Flag, or variable in lower case -> its rule.
FLAGS: Final[Mapping[str, Rule]] = {
    "-l": _add_address,
    "-p": take("port"),
    "-C": take_pac,
    "-d": _take_domain,
    "-u": _check_user,
    "-w": _KERBEROS,
    "-k": _KERBEROS,
    "-no-kerberos": _KERBEROS,
    "-q": _QUIET,
    "-debug": _QUIET,
    "-H": ignore,
    "-version": ignore,
    "-enable-socks": ignore,  # Px takes SOCKS upstreams of a PAC script anyway
    **environment.ALPACA,
}
#: The rule for a flag that is not in `FLAGS`.
UNKNOWN: Final = drop("Px does not know this flag of alpaca", "look for its purpose in px --help=all")
