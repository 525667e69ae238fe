"""px.ini, as the original Px writes it too: the same keys, but no password among the upstreams."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from px.config.imports.draft import Entry, ImportDraft, Rule, drop, skip, take, take_pac
from px.config.imports.kept import Defaults
from px.config.imports.upstreams import take_upstreams
from px.config.ini_text import IniText, fold_key
from px.config.options import OPTIONS
from px.config.sources import ORIGINAL_KEYS

NAME: Final = "a px.ini"
_SECTION: Final = re.compile(r"\s*\[(?P<name>[^]]+)\]\s*")
_EMPTY_MEANT: Final = frozenset(option.ini_name for option in OPTIONS if option.is_empty_meant)
_KEY: Final = re.compile(r"\s*(?P<key>[A-Za-z_-]+)\s*[=:].*")


def read_entries(text: str) -> Iterator[Entry]:
    """Yield the settings of a file that have a value, each as ``section:key``; an empty ``allow`` is one.

    Raises:
        IniError: The file is not in INI format.
    """
    for entry in IniText(text):
        name = f"{entry.section}:{entry.key}"
        is_given = entry.value or name in _EMPTY_MEANT
        if is_given and entry.value not in ORIGINAL_KEYS.get((entry.section, entry.key), ()):
            yield Entry(name, entry.value, entry.lines[0] + 1)


def count_known(text: str) -> int:
    """Return how many lines of a text are settings of Px; the text may have other faults."""
    section, count = "", 0
    for line in text.splitlines():
        header, entry = _SECTION.fullmatch(line), _KEY.fullmatch(line)
        if header:
            section = header["name"].strip().lower()
        elif entry:
            count += f"{section}:{fold_key(entry['key'])}" in KEYS
    return count


def find_defaults(_: ImportDraft) -> Defaults:
    """Return what a file means that does not have a key; see `px.config.imports.kept`."""
    texts = {option.name: option.default for option in OPTIONS if option.section and option.is_flag}
    return Defaults("Px", texts)


def _take_server(draft: ImportDraft, entry: Entry) -> None:
    take_upstreams(draft, entry, entry.text)


def _take_targets(draft: ImportDraft, entry: Entry) -> None:
    draft.add_targets(entry, entry.text)


_OF_ORIGINAL: Final = skip("it has no use in this Px")

#: ``section:key`` -> its rule.
KEYS: Final[Mapping[str, Rule]] = {
    **{option.ini_name: take(option.name) for option in OPTIONS if option.section},
    **{f"{section}:{key}": _OF_ORIGINAL for section, key in ORIGINAL_KEYS},
    "proxy:server": _take_server,
    "proxy:pac": take_pac,
    "proxy:noproxy": _take_targets,
    "proxy:password": ImportDraft.drop_password,
}
#: The rule for a key that is not in `KEYS`.
UNKNOWN: Final = drop("Px does not know this key", "look for it in px --help=all")
