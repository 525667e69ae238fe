"""The flags of Px as shells complete them: their values, and what they may stand beside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from px.config.actions import ACTIONS
from px.config.option import Action, Option
from px.config.options import GROUPS, OPTIONS

_BOOLEANS: Final = ("0", "1")


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag.

    Attributes:
        text: ``--name``, as the help writes it.
        summary: What it does, in a few words.
        metavar: What its value is called; empty: it has no value.
        is_value_needed: Whether it has to have a value.
        values: The values to offer.
        is_path: Whether the value may be the path of a file.
        is_action: Whether it is an action, of which there is only one on a command line.
        owner: The action with which the flag can be used; empty: with all.
    """

    text: str
    summary: str
    metavar: str = ""
    is_value_needed: bool = False
    values: tuple[str, ...] = ()
    is_path: bool = False
    is_action: bool = False
    owner: str = ""

    @property
    def key(self) -> str:
        """The name, which is the same with hyphens and with underscores."""
        return self.text.removeprefix("--").replace("-", "_")


def list_flags() -> list[Flag]:
    """Return all flags, in the order of the help."""
    flags = [flag for action in ACTIONS for flag in _flags_of(action)]
    return flags + [_flag_of(option) for option in OPTIONS if option.is_flag]


def _flags_of(action: Action) -> Iterator[Flag]:
    """Yield an action and its switches."""
    yield Flag(
        action.flag,
        action.summary,
        metavar=action.metavar,
        is_value_needed=action.needs_value,
        values=_topics() if action.name == "help" else _values_of(action),
        is_path=action.is_path,
        is_action=True,
    )
    for switch in action.switches:
        yield Flag(f"--{switch}", f"Only with {action.flag}", owner=action.flag)


def _values_of(action: Action) -> tuple[str, ...]:
    modified = tuple(f"{choice}:{action.modifier}" for choice in action.choices if action.modifier)
    return action.choices + modified


def _topics() -> tuple[str, ...]:
    """Return what ``--help=`` explains: each entry, each group, and all."""
    flags = [entry.flag for entry in (*ACTIONS, *OPTIONS)]
    groups = [group.lower() for group in GROUPS if " " not in group]
    return tuple(dict.fromkeys([*(flag.removeprefix("--") for flag in flags), *groups, "all"]))


def _flag_of(option: Option) -> Flag:
    return Flag(
        option.flag,
        option.summary,
        metavar=option.metavar or "0|1",
        is_value_needed=not option.is_boolean,
        values=_BOOLEANS if option.is_boolean else option.choices,
        is_path=option.is_path,
    )
