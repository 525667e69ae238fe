"""What the table in `px.options` is made of: one setting, one action."""

from __future__ import annotations

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
        valid: What is valid, to end the sentence "valid is: ...".
        help: What the option does, for --help and the documentation.
        parse: Text to value.
        parse_flag: The same for the command line, where it is stricter there.
        is_boolean: Whether the bare flag means 1.
        is_flag: Whether the option exists on the command line; secrets do not.
        is_empty_meant: Whether an empty text is a value of its own, and not "not given".
        hides: Whether a text may hold a secret and must not be shown in an error.
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
    is_boolean: bool = False
    is_flag: bool = True
    is_empty_meant: bool = False
    hides: Callable[[str], bool] = lambda _: False
    aliases: tuple[str, ...] = ()
    saved_as: str = ""

    @property
    def flag(self) -> str:
        """``--name``."""
        return f"--{self.name}"

    @property
    def usage(self) -> str:
        """How it is given: as a flag, or as a variable of the environment."""
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
        reads: What has a say: nothing, the other flags of the command line, those and px.ini, every source of
            settings, or of every source only what tells the port. With "files" a px.ini that is named need
            not be there yet.
        metavar: What the value after ``=`` is called, for an action that may have one.
        choices: The values that are valid; empty: any.
        needs_value: Whether it does nothing without a value.
        switches: Names of flags that say more about this action.
        asks_for_secret: Whether it asks for a secret, which somebody may try to give as an argument.
        starts_px: Whether Px runs afterwards, so that the settings have to do for that.
    """

    name: str
    help: str
    aliases: tuple[str, ...] = ()
    reads: Literal["nothing", "flags", "files", "port", "all"] = "all"
    metavar: str = ""
    choices: tuple[str, ...] = ()
    needs_value: bool = False
    switches: tuple[str, ...] = ()
    asks_for_secret: bool = False
    starts_px: bool = False

    @property
    def usage(self) -> str:
        """How it is given."""
        value = f"={self.metavar}" if self.metavar else ""
        if value and not self.needs_value:
            value = f"[{value}]"
        switches = "".join(f" [--{switch}]" for switch in self.switches)
        flag = "--" + self.name.replace("_", "-")
        return ", ".join([*(f"-{alias}" for alias in self.aliases), f"{flag}{value}{switches}"])
