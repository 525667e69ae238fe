"""Reads the environment, .env and px.ini into `Given`s; `px.config.command_line` does the command line.

These modules know the syntax of each source; `px.config.settings` parses the values.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from px.config.file_text import FileText, read_file_text
from px.config.ini_text import IniError, IniText
from px.config.option import Option
from px.config.options import OPTIONS
from px.config.values import closest
from px.core.startup_errors import ConfigError

#: What an error shows instead of a value that may hold a secret.
HIDDEN: Final = "***"
_MAX_SHOWN_CHARS: Final = 100


@dataclass(frozen=True, slots=True)
class Given:
    """The text of an option, as a person wrote it.

    Attributes:
        option: The option.
        text: The value, not parsed yet; kept out of `repr`, it may be a secret.
        place: The source: ``file:line`` or "the environment"; empty for the command line.
        key: The name of the option in that source: ``--port``, ``PX_PORT``, ``port``.
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
        shown = HIDDEN if self.option.hides(self.text) else one_line(self.option.show(self.text))
        return f"{self.key}={shown}" + (f" ({self.place})" if self.place else "")

    @property
    def is_flag(self) -> bool:
        """Whether it comes from the command line."""
        return not self.place


def one_line(text: str) -> str:
    """Return a text as an error may show it: on one line, and not too long."""
    shown = text if len(text) <= _MAX_SHOWN_CHARS else text[:_MAX_SHOWN_CHARS] + "..."
    return shown if shown.isprintable() else repr(shown)


# Environment


def parse_environment(environ: Mapping[str, str], warnings: list[str]) -> dict[str, Given]:
    """Return the options that the environment has; an empty variable counts as not set.

    A ``PX_`` variable that looks like a typing error is a warning; others belong to other programs.
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
        if name.startswith("PX_") and name not in known and not is_of_original(name[3:].lower()):
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

    Lines for other programs are ignored, whatever their form.

    Raises:
        ConfigError: A line that begins with ``PX_`` cannot be read, or the file cannot.
    """
    places: dict[str, str] = {}
    environ: dict[str, str] = {}
    file = read_file_text(path, warnings)
    for number, line in enumerate(file.text.splitlines(), start=1):
        if not _OURS.match(line.strip()):
            continue
        name, text = _parse_dotenv_line(line.strip(), f"{path}:{number}")
        environ[name], places[name] = text, f"{path}:{number}"
    slips: list[str] = []
    given = parse_environment(environ, slips)
    warnings += [slip.replace("in the environment", str(path)) for slip in slips]
    return _check_encoding(
        file, {name: Given(one.option, one.text, places[one.key], one.key) for name, one in given.items()}
    )


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
        ConfigError: The file cannot be read, or is not in INI format.
    """
    file = read_file_text(path, warnings)
    return _check_encoding(file, parse_ini_options(parse_ini(file, path), path, warnings))


def parse_ini_options(ini: IniText, path: Path, warnings: list[str]) -> dict[str, Given]:
    """Return the options of a parsed px.ini, as `read_ini` does."""
    given: dict[str, Given] = {}
    for entry in ini:
        place = f"{path}:{entry.lines[0] + 1}"
        option = _INI_OPTIONS.get((entry.section, entry.key))
        original = ORIGINAL_KEYS.get((entry.section, entry.key), ())
        if entry.value in original:
            continue
        if option is not None and (entry.value or option.is_empty_meant):
            given[option.name] = Given(option, entry.value, place, entry.key)
        elif option is None and entry.value:
            guess = _OF_ORIGINAL if original else _guess_key(entry.section, entry.key)
            warnings.append(f"{place}: unknown key [{entry.section}] {entry.key}{guess}")
    return given


def parse_ini(file: FileText, path: Path) -> IniText:
    """Return the parsed px.ini.

    Raises:
        ConfigError: It is not in INI format.
    """
    try:
        return IniText(file.text, newline=os.linesep)
    except IniError as error:
        raise ConfigError(f"{path}:{error.line}: {error}") from None


#: Keys of the original Px without effect here -> the values that the original Px writes by itself.
ORIGINAL_KEYS: Final = {
    ("settings", "authretry"): ("0", "0.0"),
    ("settings", "event_loop"): ("auto",),
    ("settings", "log_level"): ("debug", "info"),
}
_OF_ORIGINAL: Final = ": a key of the original Px, without effect here"
_INI_OPTIONS: Final = {(option.section, option.key): option for option in OPTIONS if option.section}


def is_of_original(key: str) -> bool:
    """Return whether the original Px has an option of this name, which does nothing here."""
    return key in {known for _, known in ORIGINAL_KEYS}


def _guess_key(section: str, key: str) -> str:
    if key == "password":
        return "; Px reads no password from this file: store it with px --password, or set PX_PASSWORD"
    homes = [home for home, name in _INI_OPTIONS if name == key]
    if homes:
        return f"; it belongs in [{homes[0]}]"
    first_word = key.partition(" ")[0]
    if first_word != key and (section, first_word) in _INI_OPTIONS:
        return f"; write {first_word} = ..."  # the name ended at a colon of the value
    close = closest(key, [name for home, name in _INI_OPTIONS if home == section])
    return f"; did you mean {close}?" if close else ""


def _check_encoding(file: FileText, given: dict[str, Given]) -> dict[str, Given]:
    """Return the options of a file unless a secret in it may have been read in the wrong encoding.

    Raises:
        ConfigError: A secret may be wrong: Px would send it, which counts against the account.
    """
    for one in given.values() if file.is_guessed else ():
        if one.option.hides(one.text) and not one.text.isascii():
            reason = "has a secret beyond ASCII in a file that is not UTF-8; save the file as UTF-8"
            raise ConfigError(f"{one.written}: {reason}")
    return given
