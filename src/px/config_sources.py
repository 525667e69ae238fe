"""Where settings come from: the command line, the environment, .env and px.ini, each read into `Given`s.

Nothing is parsed to values here but the syntax of each source; `px.config` does the rest.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from px.core.startup_errors import ConfigError
from px.option_values import closest, parse_boolean
from px.options import ACTIONS, OPTIONS, Action, Option

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
    """

    action: Action | None
    given: dict[str, Given]
    action_value: str = ""


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
    rest = list(reversed(argv))
    while rest:
        name, text = _split_argument(rest.pop())
        found = _FLAGS.get(name)
        if found is None:
            raise ConfigError(_unknown_flag(name))
        if isinstance(found, Action):
            action, action_value = _choose_action(action, found, text), text or ""
        else:
            value = _flag_value(found, text, rest)
            given[found.name] = Given(found, value, "", f"--{_as_written(name)}")
    return CommandLine(action, given, action_value)


def _flags() -> dict[str, Option | Action]:
    named: list[Option | Action] = [*ACTIONS, *(option for option in OPTIONS if option.is_flag)]
    return {name: entry for entry in named for name in (entry.name, *entry.aliases)}


_FLAGS: Final = _flags()


def _split_argument(argument: str) -> tuple[str, str | None]:
    """Return the flag's name, ``_`` for ``-`` and lower case, and the value after ``=``, if there is one."""
    if argument == "-h":
        return "h", None
    name, equals, text = argument.partition("=")
    if not name.startswith("--"):
        raise ConfigError(f"{name}: unexpected argument; options begin with --{_guess(name.lstrip('-'))}")
    return _folded(name[2:]), text if equals else None


def _folded(name: str) -> str:
    return name.lower().replace("-", "_")


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


def _choose_action(chosen: Action | None, found: Action, text: str | None) -> Action:
    if text is not None and not found.metavar:
        raise ConfigError(f"--{_as_written(found.name)} takes no value")
    if chosen is None or chosen is found:
        return found
    names = _as_written(found.name), _as_written(chosen.name)
    raise ConfigError("--{}: one action at a time, and --{} was given".format(*names))


def _unknown_flag(name: str) -> str:
    if name in _SECRET_FLAGS:
        variable = f"PX_{name.upper()}"
        return f"--{name}: a secret is never an argument, which other users can read: set {variable} instead"
    return f"--{_as_written(name)}: unknown option{_guess(name)}; --help lists all"


def _guess(name: str) -> str:
    close = closest(_folded(name), list(_FLAGS))
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
    """Read px.ini; an empty value counts as not given, an unknown key is a warning.

    Raises:
        ConfigError: The file is not in INI format.
    """
    text = _read_text(path)
    ini = _parse_ini(text, path)
    lines = _key_lines(text)
    given: dict[str, Given] = {}
    for section in ini.sections():
        for key, value in ini.items(section):
            place = f"{path}:{lines.get((section, key), 1)}"
            option = _INI_OPTIONS.get((section.lower(), key))
            if option is None:
                warnings.append(f"{place}: unknown key [{section}] {key}{_guess_key(section.lower(), key)}")
            elif value or option.is_empty_meant:
                given[option.name] = Given(option, value, place, key)
    return given


_INI_OPTIONS: Final = {(option.section, option.key): option for option in OPTIONS if option.section}


def _parse_ini(text: str, path: Path) -> configparser.RawConfigParser:
    # Raw: no interpolation, "%" is a character like any other.
    ini = configparser.RawConfigParser(default_section="", allow_no_value=False)
    ini.optionxform = _folded  # type: ignore[assignment,method-assign] # the documented way to fold keys
    try:
        ini.read_string(text, str(path))
    except configparser.MissingSectionHeaderError as error:
        raise ConfigError(f"{path}:{error.lineno}: no section yet; a file begins with [proxy]") from None
    except configparser.ParsingError as error:
        # The line itself is not shown: it may hold a secret.
        raise ConfigError(f"{path}:{error.errors[0][0]}: neither [section] nor key = value") from None
    except (configparser.DuplicateOptionError, configparser.DuplicateSectionError) as error:
        what = getattr(error, "option", error.section)
        raise ConfigError(f"{path}:{error.lineno}: {what} stands there a second time") from None
    return ini


_SECTION_LINE = re.compile(r"\[(?P<section>.+)\]")
_KEY_LINE = re.compile(r"(?P<key>[^=:\s#;][^=:]*?)\s*[=:]")


def _key_lines(text: str) -> dict[tuple[str, str], int]:
    """Return the line number of each key, which configparser does not tell."""
    lines: dict[tuple[str, str], int] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), start=1):
        header, key = _SECTION_LINE.match(line.strip()), _KEY_LINE.match(line)
        if header:
            section = header["section"]
        elif key:
            lines[section, _folded(key["key"])] = number
    return lines


def _guess_key(section: str, key: str) -> str:
    homes = [home for home, name in _INI_OPTIONS if name == key]
    if homes:
        return f"; it belongs in [{homes[0]}]"
    close = closest(key, [name for home, name in _INI_OPTIONS if home == section])
    return f"; did you mean {close}?" if close else ""


def _read_text(path: Path) -> str:
    """Return the text of a file in UTF-8, with or without a byte order mark.

    Raises:
        ConfigError: It cannot be read, or is in another encoding.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not a UTF-8 text; save it in that encoding") from None
