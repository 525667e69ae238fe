"""The entries of the tables in `px.config.options` and `px.config.actions`: one option, one action."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

#: Parses an option's text; raises ValueError with a reason fit for a person.
Parse = Callable[[str], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One setting.

    Attributes:
        name: Field of `Settings`; the flag is ``--name``, unless `is_flag` is False.
        group: Heading in the help.
        section: Section of px.ini, empty where px.ini has no such key.
        key: Key in px.ini, and after ``PX_`` in the environment; empty where there is neither.
        default: Text of the default, parsed like any other.
        metavar: What the value is called in the help; empty for booleans.
        valid: The valid values, to complete the sentence "valid is: ...".
        help: What the option does, for --help and the documentation.
        parse: Turns the text into the value.
        parse_flag: A stricter `parse` for the command line.
        choices: Values that shells complete: all values, or the usual ones.
        is_path: Whether the value may be the path of a file.
        is_boolean: Whether the bare flag means 1.
        is_flag: Whether the option exists on the command line; secrets do not.
        is_repeatable: Whether a flag that is given several times means all of its values, as one list.
        is_empty_meant: Whether an empty text is a value, instead of "not given".
        hides: Whether a text may hold a secret and must not be shown in an error.
        show: Returns the part of the text that an error may show.
        aliases: Other names of the flag, and of the environment variable after ``PX_``.
        saved_as: Name of the option that keeps this one in px.ini, where it has no key of its own.
    """

    name: str
    group: str
    section: str = ""
    key: str = ""
    default: str = ""
    metavar: str = ""
    valid: str
    help: str
    parse: Parse
    parse_flag: Parse | None = None
    choices: tuple[str, ...] = ()
    is_path: bool = False
    is_boolean: bool = False
    is_flag: bool = True
    is_repeatable: bool = False
    is_empty_meant: bool = False
    hides: Callable[[str], bool] = lambda _: False
    show: Callable[[str], str] = str
    aliases: tuple[str, ...] = ()
    saved_as: str = ""

    @property
    def flag(self) -> str:
        """``--name``."""
        return f"--{self.name}"

    @property
    def summary(self) -> str:
        """The first clause of the help."""
        return _summarize(self.help)

    @property
    def usage(self) -> str:
        """The flag, or the variable of the environment, with its value."""
        if not self.is_flag:
            return f"{self.variables[0]}={self.metavar}"
        return f"{self.flag}={self.metavar}" if self.metavar else self.flag

    @property
    def ini_name(self) -> str:
        """``section:key``, or empty."""
        return f"{self.section}:{self.key}" if self.section else ""

    @property
    def variables(self) -> tuple[str, ...]:
        """Environment variables, the official one first."""
        if not self.key:
            return ()
        return tuple(dict.fromkeys(f"PX_{name.upper()}" for name in (self.key, self.name, *self.aliases)))


@dataclass(frozen=True, slots=True)
class Action:
    """Something to do instead of serving.

    Attributes:
        name: The flag is ``--name``.
        help: What it does.
        aliases: Other names of the flag.
        reads: The sources of settings that count: none; the command line ("flags"); the command line and
            px.ini ("files", where the named px.ini need not exist yet); all; or the port from all ("port").
        metavar: The name of the value after ``=`` in the help, for an action that has a value.
        choices: The values that are valid; empty: any.
        modifier: A word that may follow a choice, after a colon, or be the whole value.
        needs_value: Whether the value is required.
        is_path: Whether the value may be the path of a file.
        switches: The names of flags that can only be used with this action.
        asks_for_secret: Whether it asks for a secret: a value on the command line is then refused.
        starts_px: Whether Px serves afterwards, so that the settings are checked for that.
        takes_program: Whether a program and its arguments follow ``--``.
        explains_fault: Whether it is run, too, if px.ini, .env or the environment has a fault, to show that.
        makes_file: Whether it writes the px.ini of ``--config``, which need not exist yet.
    """

    name: str
    help: str
    aliases: tuple[str, ...] = ()
    reads: Literal["nothing", "flags", "files", "port", "all"] = "all"
    metavar: str = ""
    choices: tuple[str, ...] = ()
    modifier: str = ""
    needs_value: bool = False
    is_path: bool = False
    switches: tuple[str, ...] = ()
    asks_for_secret: bool = False
    starts_px: bool = False
    takes_program: bool = False
    explains_fault: bool = False
    makes_file: bool = False

    @property
    def flag(self) -> str:
        """``--name``, with hyphens."""
        return "--" + self.name.replace("_", "-")

    @property
    def summary(self) -> str:
        """The first clause of the help."""
        return _summarize(self.help)

    def is_choice(self, text: str) -> bool:
        """Whether a text is one of the choices, with the modifier or without it."""
        choice, colon, modifier = text.partition(":")
        if colon:
            return choice in self.choices and modifier == self.modifier != ""
        return choice in {*self.choices, self.modifier} - {""}

    @property
    def valid(self) -> str:
        """The choices, to complete the sentence "valid is: ..."."""
        modifier = f"; each may end with :{self.modifier}" if self.modifier else ""
        return ", ".join(self.choices) + modifier

    @property
    def usage(self) -> str:
        """The flag with its value and switches."""
        value = f"={self.metavar}" if self.metavar else ""
        if value and not self.needs_value:
            value = f"[{value}]"
        switches = "".join(f" [--{switch}]" for switch in self.switches)
        program = " -- PROGRAM..." if self.takes_program else ""
        return ", ".join([*(f"-{alias}" for alias in self.aliases), f"{self.flag}{value}{switches}{program}"])


def _summarize(text: str) -> str:
    """Return the first sentence of a help, up to a colon or semicolon."""
    return re.split(r"[.:;](?:\s|$)", text, maxsplit=1)[0]
