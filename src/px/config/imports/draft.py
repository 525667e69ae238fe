"""What becomes of a foreign configuration: settings of Px, and a list of what Px cannot take over.

Each format has a table: the name of a setting there -> a `Rule`, which says what becomes of the setting.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from px.config.option import Option
from px.config.options import OPTION_BY_NAME
from px.config.settings import parse_given
from px.config.sources import Given
from px.core.quotes import strip_quotes
from px.core.rules.host_rule_parser import split_rules
from px.core.rules.host_rules import HostRules
from px.core.startup_errors import ConfigError

#: The beginning of a URL; a single letter is a drive of Windows.
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_FIRST_COUNTS: Final = "an earlier line sets this already, and the first one counts"


@dataclass(frozen=True, slots=True)
class Entry:
    """One setting of a foreign configuration.

    Attributes:
        key: Its name as it is written there.
        text: Its value; may be a secret.
        line: The number of its line, from 1; 0 where there are no lines.
    """

    key: str
    text: str = field(repr=False)
    line: int = 0

    @property
    def name(self) -> str:
        """The name in lower case, as the tables have it."""
        return self.key.lower()


class ImportDraft:
    """The settings taken over so far.

    Args:
        source: The name of the foreign configuration, for messages: a path or "the environment".
        entries: All its settings, in order.
        directory: The directory that relative paths there start from.
        own_port: The port of Px, unless the configuration names one.

    Attributes:
        lost: A message for each setting that is not taken over, although somebody may miss it.
        skipped: A message for each setting that Px does not need.
        password_users: The users whose passwords are not taken over; empty for the user of `username`.
    """

    def __init__(self, source: str, entries: Sequence[Entry], directory: Path, own_port: int) -> None:
        self.entries = entries
        self._found: dict[tuple[str, ...], list[Entry]] = {}
        self.own_port = own_port
        self._given: dict[str, Given] = {}
        self._lists: dict[str, dict[str, None]] = {}
        self.lost: list[str] = []
        self.skipped: list[str] = []
        self.password_users: list[str] = []
        self._source = source
        self._directory = directory

    @property
    def given(self) -> dict[str, Given]:
        """The settings of Px, by the name of the option."""
        lists = {
            name: replace(self._given[name], text=", ".join(texts)) for name, texts in self._lists.items()
        }
        return {**self._given, **lists}

    def all(self, *names: str) -> list[Entry]:
        """Return the settings of these names (in lower case), in order."""
        if names not in self._found:  # a file may have ten thousands of lines, each of which asks
            self._found[names] = [entry for entry in self.entries if entry.name in names]
        return self._found[names]

    def first(self, *names: str) -> Entry | None:
        """Return the first setting of these names; None if there is none."""
        return next(iter(self.all(*names)), None)

    def text_of(self, name: str) -> str:
        """Return the first value of this name, or an empty text."""
        found = self.first(name)
        return found.text if found else ""

    def take(self, name: str, entry: Entry, text: str) -> None:
        """Set an option; the first value counts.

        Raises:
            ConfigError: The value is not valid.
        """
        if name in self._given:
            self.skip(entry, _FIRST_COUNTS)
        else:
            self._given[name] = self._parse(OPTION_BY_NAME[name], entry, text)

    def add(self, name: str, entry: Entry, text: str) -> None:
        """Append to the list that an option has as its value.

        Raises:
            ConfigError: The value is not valid.
        """
        added = self._parse(OPTION_BY_NAME[name], entry, text)
        before = self._given.setdefault(name, added)
        self._lists.setdefault(name, {before.text: None})[text] = None

    def take_pac(self, entry: Entry, text: str) -> None:
        """Set the PAC script; a relative path starts from the directory of the configuration."""
        place = strip_quotes(text)
        is_path = place and not _URL.match(place)
        self.take("pac", entry, str(self._directory / Path(place).expanduser()) if is_path else place)

    def add_targets(self, entry: Entry, text: str) -> None:
        """Append rules to the targets that are reached directly; a rule that Px cannot read is lost."""
        for rule in split_rules(text):
            skipped = HostRules.parse_readable(rule).skipped
            if skipped:
                remedy = "px --help=noproxy names the forms that Px reads"
                self.drop(entry, f"{skipped[0]}, so this target goes through the upstream", remedy)
            else:
                self.add("noproxy", entry, rule)

    def drop(self, entry: Entry, reason: str, remedy: str) -> None:
        """Note that a setting is not taken over.

        Args:
            entry: The setting.
            reason: Why Px does not take it over.
            remedy: What to do.
        """
        self.lost.append(f"{self._place_of(entry)}: {entry.key} is not taken over: {reason}; {remedy}")

    def skip(self, entry: Entry, reason: str) -> None:
        """Note that Px does not need a setting, so that there is nothing to do."""
        self.skipped.append(f"{self._place_of(entry)}: {entry.key} is not needed: {reason}")

    def drop_password(self, entry: Entry, user: str = "") -> None:
        """Note that a password is not taken over, and how to store it."""
        self.needs_password(user)
        option = f' --username="{user}"' if user else ""
        reason = f"px.ini holds no passwords; store it in the keyring: px --password{option}"
        self.lost.append(f"{self._place_of(entry)}: {entry.key}: the password is not taken over: {reason}")

    def needs_password(self, user: str) -> None:
        """Note that a password is to be stored: of this user; empty: of the user of `username`."""
        if user not in self.password_users:
            self.password_users.append(user)

    def refuse(self, entry: Entry, reason: str) -> ConfigError:
        """Return the error for a setting that cannot be read; the value is not shown."""
        return ConfigError(f"{self._place_of(entry)}: {entry.key}: {reason}")

    def _place_of(self, entry: Entry) -> str:
        return f"{self._source}:{entry.line}" if entry.line else self._source

    def _parse(self, option: Option, entry: Entry, text: str) -> Given:
        given = Given(option, text, self._place_of(entry), entry.key)
        parse_given(given)
        return given


#: Says what becomes of a setting.
Rule = Callable[[ImportDraft, Entry], None]


def take(name: str) -> Rule:
    """Return the rule for a setting whose meaning an option of Px has."""
    return lambda draft, entry: draft.take(name, entry, entry.text)


def drop(reason: str, remedy: str) -> Rule:
    """Return the rule for a setting that Px cannot take over."""
    return lambda draft, entry: draft.drop(entry, reason, remedy)


def skip(reason: str) -> Rule:
    """Return the rule for a setting that Px does not need."""
    return lambda draft, entry: draft.skip(entry, reason)


def ignore(_: ImportDraft, __: Entry) -> None:
    """Be the rule for a setting that another rule reads, or that says nothing about Px."""


def take_pac(draft: ImportDraft, entry: Entry) -> None:
    """Be the rule for the place of a PAC script."""
    draft.take_pac(entry, entry.text)
