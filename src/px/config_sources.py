"""Where settings come from: the command line, the environment, .env and px.ini, each read into `Given`s.

Nothing is parsed to values here but the syntax of each source; `px.config` does the rest.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from px.actions import ACTIONS
from px.core.startup_errors import ConfigError
from px.ini_text import IniError, IniText, fold_key
from px.option import Action, Option
from px.option_values import closest, parse_boolean
from px.options import OPTIONS

#: What an error shows instead of a value that may hold a secret.
_HIDDEN: Final = "***"
_MAX_SHOWN_CHARS: Final = 100
_SECRET_FLAGS: Final = frozenset(option.name for option in OPTIONS if not option.is_flag)


@dataclass(frozen=True, slots=True)
class Given:
    """An option's text, as somebody wrote it.

    Attributes:
        option: What it is given for.
        text: The value, not parsed yet; kept out of `repr`, it may be a secret.
        place: Where it stands: ``file:line`` or "the environment"; empty for the command line.
        key: What the option is called there: ``--port``, ``PX_PORT``, ``port``.
    """

    option: Option
    text: str
    place: str
    key: str

    def __repr__(self) -> str:
        return f"Given({self.written})"

    @property
    def written(self) -> str:
        """The option, its value unless it may be secret, and its origin, for an error."""
        shown = _HIDDEN if self.option.hides(self.text) else _one_line(self.text)
        return f"{self.key}={shown}" + (f" ({self.place})" if self.place else "")

    @property
    def is_flag(self) -> bool:
        """Whether it comes from the command line."""
        return not self.place


def _one_line(text: str) -> str:
    shown = text if len(text) <= _MAX_SHOWN_CHARS else text[:_MAX_SHOWN_CHARS] + "..."
    return shown if shown.isprintable() else repr(shown)


@dataclass(frozen=True, slots=True)
class CommandLine:
    """What the arguments say.

    Attributes:
        action: What to do instead of serving, if anything.
        given: Options, by name.
        action_value: What was written after the action's ``=``.
        switches: Those of the action's switches that were given.
    """

    action: Action | None
    given: dict[str, Given]
    action_value: str = ""
    switches: frozenset[str] = frozenset()


# Command line


def read_arguments(argv: Sequence[str]) -> CommandLine:
    """Read ``--name=value``, ``--name value`` and bare ``--name`` for booleans and actions.

    The last of repeated options counts.

    Raises:
        ConfigError: An argument is unknown or lacks its value.
    """
    action: Action | None = None
    action_value = ""
    given: dict[str, Given] = {}
    switches: set[str] = set()
    rest = list(reversed(argv))
    while rest:
        name, text = _split_argument(rest.pop())
        found = _FLAGS.get(name)
        if name in _SWITCHES:
            switches.add(_read_switch(name, text))
        elif found is None:
            raise ConfigError(_unknown_flag(name))
        elif isinstance(found, Action):
            action, action_value = _choose_action(action, found), _action_value(found, text, rest)
        else:
            value = _flag_value(found, text, rest)
            given[found.name] = Given(found, value, "", f"--{name}")
    _check_switches(switches, action)
    return CommandLine(action, given, action_value, frozenset(switches))


def find_help_topic(argv: Sequence[str]) -> str | None:
    """Return what help is wanted about, empty for all in short; None: no help is wanted.

    Help wins over everything else, right or wrong. Its topic stands after ``=``, or is the next argument.
    """
    for argument, following in zip(argv, [*argv[1:], ""], strict=False):
        name, equals, topic = argument.partition("=")
        if name.lower() in {"-h", "--help", "-?", "/?"}:
            return topic if equals else following.lstrip("-").partition("=")[0]
    return None


def _flags() -> dict[str, Option | Action]:
    named: list[Option | Action] = [*ACTIONS, *(option for option in OPTIONS if option.is_flag)]
    return {name: entry for entry in named for name in (entry.name, *entry.aliases)}


_FLAGS: Final = _flags()
#: Flags that say more about an action, and the actions that know them.
_SWITCHES: Final = {
    switch: [action.name for action in ACTIONS if switch in action.switches]
    for each in ACTIONS
    for switch in each.switches
}


def _split_argument(argument: str) -> tuple[str, str | None]:
    """Return the flag's name, ``_`` for ``-`` and lower case, and the value after ``=``, if there is one."""
    if argument == "-h":
        return "h", None
    name, equals, text = argument.partition("=")
    if not name.startswith("--"):
        raise ConfigError(f"{name}: unexpected argument; options begin with --{_guess(name.lstrip('-'))}")
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
    raise ConfigError("--{}: one action at a time, and --{} was given".format(*names))


def _action_value(action: Action, text: str | None, rest: list[str]) -> str:
    """Return what stands after ``=``, or as the next argument where no doubt is possible."""
    flag = f"--{_as_written(action.name)}"
    if action.asks_for_secret and (text is not None or (rest and not rest[-1].startswith("-"))):
        what = "a secret is never an argument, which other users can read"
        raise ConfigError(f"{flag} takes no value: {what}; Px asks for it")
    if text is not None and not action.metavar:
        raise ConfigError(f"{flag} takes no value")
    if action.needs_value and text is None:
        text = rest.pop() if rest and not rest[-1].startswith("--") else ""
    if action.needs_value and not text:
        raise ConfigError(f"{flag} needs a value: {flag}={action.metavar}")
    if text is None:
        return rest.pop() if rest and rest[-1] in action.choices else ""
    if action.choices and text not in action.choices:
        raise ConfigError(f"{flag}={_one_line(text)}: unknown; valid is: {', '.join(action.choices)}")
    return text


def _read_switch(name: str, text: str | None) -> str:
    if text is not None:
        raise ConfigError(f"--{_as_written(name)} takes no value")
    return name


def _check_switches(switches: set[str], action: Action | None) -> None:
    for switch in sorted(switches):
        if action is None or switch not in action.switches:
            owners = " or ".join(f"--{_as_written(name)}" for name in _SWITCHES[switch])
            raise ConfigError(f"--{_as_written(switch)}: goes with {owners}")


def _unknown_flag(name: str) -> str:
    if name in _SECRET_FLAGS:
        variable = f"PX_{name.upper()}"
        return f"--{name}: a secret is never an argument, which other users can read: set {variable} instead"
    return f"--{_as_written(name)}: unknown option{_guess(name)}; --help lists all"


def _guess(name: str) -> str:
    close = closest(fold_key(name), [*_FLAGS, *_SWITCHES])
    return f"; did you mean --{close}?" if close else ""


# Environment


def read_environment(environ: Mapping[str, str], warnings: list[str]) -> dict[str, Given]:
    """Pick the options from the environment; an empty variable counts as not set.

    A ``PX_`` variable that looks like a slip of the pen is a warning; others belong to somebody else.
    """
    given: dict[str, Given] = {}
    for option in OPTIONS:
        for variable in option.variables:
            if variable in environ and (environ[variable] or option.is_empty_meant):
                given.setdefault(
                    option.name, Given(option, environ[variable], "in the environment", variable)
                )
    warnings += [f"{name} (in the environment): unknown{hint}" for name, hint in _slips(environ)]
    return given


def _slips(names: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    known = [variable for option in OPTIONS for variable in option.variables]
    for name in names:
        if name.startswith("PX_") and name not in known:
            close = closest(name, known)
            if close:
                yield name, f"; did you mean {close}?"


# .env

_DOTENV_LINE = re.compile(
    r"""(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_.]*)\s*=\s*
        (?:'(?P<single>[^']*)'\s*(?:\#.*)?
        |"(?P<double>(?:[^"\\]|\\.)*)"\s*(?:\#.*)?
        |(?P<bare>[^'"].*|))""",
    re.VERBOSE,
)
_OURS = re.compile(r"(?:export\s+)?PX_")
_BARE_COMMENT = re.compile(r"(?:^|\s)#.*")
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED: Final = {"n": "\n", "r": "\r", "t": "\t"}


def read_dotenv(path: Path, warnings: list[str]) -> dict[str, Given]:
    """Read ``KEY=VALUE`` lines: quotes, comments and ``export`` as in a shell, no substitution.

    Lines about other programs are none of our business, however they look.

    Raises:
        ConfigError: A line that begins with ``PX_`` cannot be read, or the file is no text.
    """
    places: dict[str, str] = {}
    environ: dict[str, str] = {}
    for number, line in enumerate(_read_text(path).splitlines(), start=1):
        if not _OURS.match(line.strip()):
            continue
        name, text = _parse_dotenv_line(line.strip(), f"{path}:{number}")
        environ[name], places[name] = text, f"{path}:{number}"
    slips: list[str] = []
    given = read_environment(environ, slips)
    warnings += [slip.replace("in the environment", str(path)) for slip in slips]
    return {name: Given(one.option, one.text, places[one.key], one.key) for name, one in given.items()}


def _parse_dotenv_line(line: str, place: str) -> tuple[str, str]:
    found = _DOTENV_LINE.fullmatch(line)
    if not found:
        raise ConfigError(f"{place}: not a line of the form PX_NAME=value")
    if found["single"] is not None:
        return found["name"], found["single"]
    if found["double"] is not None:
        return found["name"], _ESCAPE.sub(lambda match: _ESCAPED.get(match[1], match[1]), found["double"])
    return found["name"], _BARE_COMMENT.sub("", found["bare"]).strip()


# px.ini


def read_ini(path: Path, warnings: list[str]) -> dict[str, Given]:
    """Read px.ini; an empty value counts as not given, an unknown key that has a value is a warning.

    Raises:
        ConfigError: The file is not in INI format.
    """
    return read_ini_text(load_ini(path), path, warnings)


def read_ini_text(ini: IniText, path: Path, warnings: list[str]) -> dict[str, Given]:
    """Read a px.ini that is loaded already, as `read_ini` does."""
    given: dict[str, Given] = {}
    for entry in ini:
        place = f"{path}:{entry.lines[0] + 1}"
        option = _INI_OPTIONS.get((entry.section, entry.key))
        if option is not None and (entry.value or option.is_empty_meant):
            given[option.name] = Given(option, entry.value, place, entry.key)
        elif option is None and entry.value:
            guess = _guess_key(entry.section, entry.key)
            warnings.append(f"{place}: unknown key [{entry.section}] {entry.key}{guess}")
    return given


def load_ini(path: Path) -> IniText:
    """Return a px.ini as it is written.

    Raises:
        ConfigError: It cannot be read, or is not in INI format.
    """
    try:
        return IniText(_read_text(path), newline=os.linesep)
    except IniError as error:
        raise ConfigError(f"{path}:{error.line}: {error}") from None


_INI_OPTIONS: Final = {(option.section, option.key): option for option in OPTIONS if option.section}


def _guess_key(section: str, key: str) -> str:
    if key == "password":
        return "; a password has no place in a file: store it with px --password, or set PX_PASSWORD"
    homes = [home for home, name in _INI_OPTIONS if name == key]
    if homes:
        return f"; it belongs in [{homes[0]}]"
    close = closest(key, [name for home, name in _INI_OPTIONS if home == section])
    return f"; did you mean {close}?" if close else ""


def _read_text(path: Path) -> str:
    """Return the text of a file in UTF-8, with its line ends, without a byte order mark.

    Raises:
        ConfigError: It cannot be read, or is in another encoding.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not a UTF-8 text; save it in that encoding") from None
