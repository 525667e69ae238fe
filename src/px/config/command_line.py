"""Parses the command line: an action, options as `Given`s, switches, and a program to run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from px.config.actions import ACTIONS
from px.config.ini_text import fold_key
from px.config.option import Action, Option
from px.config.options import OPTIONS
from px.config.sources import Given, is_of_original, one_line
from px.config.values import closest, parse_boolean
from px.core.startup_errors import ConfigError

_END_OF_OPTIONS: Final = "--"
_SHORT_FLAGS: Final = {"-h": "help", "-V": "version"}
#: An upstream that a person has given without --proxy.
_HOST_PORT: Final = re.compile(r"(?:https?://)?[\w.-]+:[0-9]{1,5}/?")
_SECRET_FLAGS: Final = frozenset(option.name for option in OPTIONS if not option.is_flag)


@dataclass(frozen=True, slots=True)
class CommandLine:
    """What the arguments say.

    Attributes:
        action: What to do instead of serving, if anything.
        given: Options, by name.
        action_value: What was written after the action's ``=``.
        switches: Those of the action's switches that were given.
        program: The program that the action runs, and its arguments.
    """

    action: Action | None
    given: dict[str, Given]
    action_value: str = ""
    switches: frozenset[str] = frozenset()
    program: tuple[str, ...] = ()


def parse_arguments(argv: Sequence[str]) -> CommandLine:
    """Parse ``--name=value``, ``--name value``, bare ``--name`` for booleans and actions, and a program.

    The last of repeated options counts, unless the option takes a list of all.

    Raises:
        ConfigError: An argument is unknown or lacks its value.
    """
    action: Action | None = None
    action_value = ""
    given: dict[str, Given] = {}
    switches: set[str] = set()
    own, program = split_program(argv)
    rest = list(reversed(own))
    while rest:
        if action is not None and action.takes_program and not rest[-1].startswith("-"):
            raise ConfigError(f"{rest[-1]}: write -- before the program: px --run -- {rest[-1]}")
        name, text = _split_argument(rest.pop())
        found = _FLAGS.get(name)
        if name in _SWITCHES:
            switches.add(_parse_switch(name, text))
        elif found is None:
            raise ConfigError(_unknown_flag(name))
        elif isinstance(found, Action):
            action, action_value = _choose_action(action, found), _action_value(found, text, rest)
        else:
            value = _flag_value(found, text, rest)
            if found.is_repeatable and found.name in given:
                value = f"{given[found.name].text},{value}"
            given[found.name] = Given(found, value, "", f"--{name}")
    _check_switches(switches, action)
    _check_program(program, action)
    return CommandLine(action, given, action_value, frozenset(switches), tuple(program or ()))


def split_program(argv: Sequence[str]) -> tuple[Sequence[str], Sequence[str] | None]:
    """Return the arguments before ``--``, and those after it, which are a program; None without ``--``."""
    if _END_OF_OPTIONS not in argv:
        return argv, None
    end = argv.index(_END_OF_OPTIONS)
    return argv[:end], argv[end + 1 :]


def find_help_topic(argv: Sequence[str]) -> str | None:
    """Return the topic of --help, empty for the overview; None if there is no --help.

    Help wins over everything else, right or wrong. Its topic follows ``=``, or is the next argument.
    """
    own, _ = split_program(argv)
    for argument, following in zip(own, [*own[1:], ""], strict=False):
        name, equals, topic = argument.partition("=")
        if name.lower() in {"-h", "--help", "-?", "/?"}:
            return topic if equals else following.lstrip("-").partition("=")[0]
    return None


def _flags() -> dict[str, Option | Action]:
    named: list[Option | Action] = [*ACTIONS, *(option for option in OPTIONS if option.is_flag)]
    return {name: entry for entry in named for name in (entry.name, *entry.aliases)}


_FLAGS: Final = _flags()
#: Flags that can only be used with an action -> the actions.
_SWITCHES: Final = {
    switch: [action.name for action in ACTIONS if switch in action.switches]
    for each in ACTIONS
    for switch in each.switches
}


def _split_argument(argument: str) -> tuple[str, str | None]:
    """Return the flag's name, ``_`` for ``-`` and lower case, and the value after ``=``, if there is one."""
    if argument in _SHORT_FLAGS:
        return _SHORT_FLAGS[argument], None
    name, equals, text = argument.partition("=")
    if not name.startswith("--"):
        hint = f"; did you mean --proxy={name}?" if _HOST_PORT.fullmatch(name) else _guess(name.lstrip("-"))
        raise ConfigError(f"{name}: unexpected argument; options begin with --{hint}")
    return fold_key(name[2:]), text if equals else None


def _as_written(name: str) -> str:
    return name.replace("_", "-")


def _flag_value(option: Option, text: str | None, rest: list[str]) -> str:
    """Return the value, taken from the arguments still to come where none was written after ``=``."""
    if text is not None:
        return text
    if option.is_boolean:
        return rest.pop() if rest and _is_boolean(rest[-1]) else "1"
    if not rest or rest[-1].startswith("--"):
        raise ConfigError(f"{option.flag} needs a value; valid is: {option.valid}")
    return rest.pop()


def _is_boolean(text: str) -> bool:
    try:
        parse_boolean(text)
    except ValueError:
        return False
    return True


def _choose_action(chosen: Action | None, found: Action) -> Action:
    if chosen is None or chosen is found:
        return found
    names = _as_written(found.name), _as_written(chosen.name)
    raise ConfigError("--{}: only one action at a time, but --{} was given".format(*names))


def _action_value(action: Action, text: str | None, rest: list[str]) -> str:
    """Return the text after ``=``, or the next argument if it can only be the value."""
    flag = action.flag
    if action.asks_for_secret and (text is not None or (rest and not rest[-1].startswith("-"))):
        what = "other users could read a secret on the command line"
        raise ConfigError(f"{flag} takes no value: {what}; Px asks for it")
    if text is not None and not action.metavar:
        raise ConfigError(f"{flag} takes no value")
    if action.needs_value and text is None:
        text = rest.pop() if rest and not rest[-1].startswith("--") else ""
    if action.needs_value and not text:
        raise ConfigError(f"{flag} needs a value: {flag}={action.metavar}")
    if text is None:
        return rest.pop().lower() if rest and action.is_choice(rest[-1].lower()) else ""
    return _choose(action, flag, text) if action.choices else text


def _choose(action: Action, flag: str, text: str) -> str:
    """Return one of the choices of an action, in lower case."""
    choice = text.lower()
    if not action.is_choice(choice) and choice:
        close = closest(choice.partition(":")[0], action.choices)
        hint = f"; did you mean {flag}={close}?" if close else ""
        raise ConfigError(f"{flag}={one_line(text)}: unknown; valid is: {action.valid}{hint}")
    return choice


def _parse_switch(name: str, text: str | None) -> str:
    if text is not None:
        raise ConfigError(f"--{_as_written(name)} takes no value")
    return name


def _check_switches(switches: set[str], action: Action | None) -> None:
    for switch in sorted(switches):
        if action is None or switch not in action.switches:
            owners = " or ".join(f"--{_as_written(name)}" for name in _SWITCHES[switch])
            raise ConfigError(f"--{_as_written(switch)}: can only be used with {owners}")


def _check_program(program: Sequence[str] | None, action: Action | None) -> None:
    takes_program = action is not None and action.takes_program
    if program is not None and not takes_program:
        raise ConfigError("--: can only be used with --run")
    if takes_program and not program:
        raise ConfigError("--run needs a program: px --run -- PROGRAM ARGUMENTS")


def _unknown_flag(name: str) -> str:
    if name in _SECRET_FLAGS:
        variable = f"PX_{name.upper()}"
        return f"--{name}: other users could read a secret on the command line: set {variable} instead"
    if is_of_original(name):
        return f"--{name}: an option of the original Px, which does nothing here; leave it out"
    return f"--{_as_written(name)}: unknown option{_guess(name)}; --help lists all"


def _guess(name: str) -> str:
    close = closest(fold_key(name), [*_FLAGS, *_SWITCHES])
    return f"; did you mean --{close}?" if close else ""
