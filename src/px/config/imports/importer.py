"""Reads the settings of another program, finds out whose they are, and writes them to px.ini."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Final

from px.config.file_text import read_file_text
from px.config.imports import alpaca, cntlm, environment, original_px, winfoom
from px.config.imports.draft import Entry, ImportDraft, Rule, ignore
from px.config.imports.kept import Defaults, find_kept
from px.config.ini_text import IniError
from px.config.invocation import Invocation
from px.config.options import OPTION_BY_NAME
from px.config.settings import Settings, check_runnable, make_settings
from px.config.sources import HIDDEN, Given, read_ini
from px.config.writer import write_options
from px.core.quotes import strip_quotes
from px.core.startup_errors import ConfigError

#: The value of --import that stands for the environment.
ENVIRONMENT: Final = "env"
_PAC_FUNCTION: Final = "FindProxyForURL"
#: Permissions to read a file, for users other than its owner.
_OTHERS: Final = 0o044
_KINDS: Final = "a px.ini, or settings of cntlm, winfoom or alpaca, or variables such as https_proxy"


@dataclass(frozen=True, slots=True)
class Format:
    """The settings of one program.

    Attributes:
        name: What a file of it is, for people.
        count_known: Returns how many settings of the program a text has.
        read: Yields the settings; may raise ValueError.
        rules: What becomes of each setting.
        unknown: What becomes of any other.
        find_defaults: Returns what the settings mean that a file does not have; see `find_kept`.
    """

    name: str
    count_known: Callable[[str], int]
    read: Callable[[str], Iterable[Entry]]
    rules: Mapping[str, Rule]
    unknown: Rule
    find_defaults: Callable[[ImportDraft], Defaults]


def _format_of(module: ModuleType, rules: Mapping[str, Rule], unknown: Rule) -> Format:
    return Format(module.NAME, module.count_known, module.read_entries, rules, unknown, module.find_defaults)


_VARIABLES: Final = _format_of(environment, environment.VARIABLES, ignore)
#: All formats of files. A file has the format that knows most of it; of several, the first one.
FORMATS: Final = (
    _format_of(original_px, original_px.KEYS, original_px.UNKNOWN),
    _format_of(cntlm, cntlm.KEYWORDS, cntlm.UNKNOWN),
    _format_of(winfoom, winfoom.PROPERTIES, winfoom.UNKNOWN),
    _format_of(alpaca, alpaca.FLAGS, alpaca.UNKNOWN),
    _VARIABLES,
)


@dataclass(frozen=True, slots=True)
class Import:
    """What was read, and what became of it.

    Attributes:
        source: The path, or "the environment".
        kind: What it was read as.
        given: The settings of Px in it.
        warnings: What was not taken over, and what the user should know of the rest.
        notes: What Px does not need.
        password_users: See `ImportDraft`.
        defaults: What the settings mean that it did not have.
    """

    source: str
    kind: str
    given: Mapping[str, Given]
    warnings: Sequence[str]
    notes: Sequence[str]
    password_users: Sequence[str]
    defaults: Defaults

    @property
    def shown(self) -> list[str]:
        """Each setting as px.ini has it, without secrets."""
        return [f"{one.option.key} = {_show(one)}".rstrip() for one in self.given.values()]


def _show(given: Given) -> str:
    option = given.option
    return option.show(given.text) if option.is_flag or not given.text else HIDDEN


def import_settings(
    place: str, environ: Mapping[str, str], cwd: Path, invocation: Invocation, settings: Settings
) -> Import:
    """Write the settings of another program to the px.ini of an invocation, as ``--save`` writes flags.

    Flags that are given with ``--import`` come before what is imported.

    Args:
        place: A path, or ``env``.
        environ: The environment.
        cwd: The directory that relative paths start from.
        invocation: What the command line asks for.
        settings: The settings of the flags and of px.ini as it is.

    Raises:
        ConfigError: Nothing was found, a value is not valid, or px.ini cannot be written.
    """
    assert invocation.config_file is not None  # noqa: S101 - an action that reads "files" always has one
    path = invocation.config_file
    found = _read(place, environ, cwd, path, settings)
    flags = {name: one for name, one in invocation.given.items() if one.is_flag}
    imported = {name: one for name, one in found.given.items() if name not in flags}
    if not imported:
        raise _nothing_imported(found)
    warnings = [*found.warnings, *_warn_of_outweighed(imported, invocation.given)]
    for name, reason in _find_misfits(imported, settings).items():
        if name not in imported and name not in flags:
            option = OPTION_BY_NAME[name]
            imported[name] = Given(option, "", found.source, option.key)
            warnings.append(f"{option.key} in px.ini is empty now: {reason}")
    _forget_hash(imported, flags, warnings)
    written = {**imported, **flags}
    present = read_ini(path, []) if path.is_file() else {}
    warnings += find_kept(present, written.keys(), found.source, found.defaults)
    _check(path, written, present, warnings)
    warnings += write_options(path, written, settings)
    return replace(found, given=imported, warnings=warnings)


def _read(place: str, environ: Mapping[str, str], cwd: Path, target: Path, settings: Settings) -> Import:
    warnings: list[str] = []
    if place == ENVIRONMENT:
        form, source, directory = _VARIABLES, "the environment", cwd
        entries = _read_environment(environ)
    else:
        path = _locate(place, cwd, target)
        text = read_file_text(path, warnings).text
        form, source, directory = _find_format(place, text), place, path.parent
        entries = _read_entries(form, text, place)
    draft = ImportDraft(source, entries, directory, settings.port)
    for entry in entries:
        form.rules.get(entry.name, form.unknown)(draft, entry)
    warnings += draft.lost
    defaults = form.find_defaults(draft)
    return Import(source, form.name, draft.given, warnings, draft.skipped, draft.password_users, defaults)


def _read_environment(environ: Mapping[str, str]) -> list[Entry]:
    entries = list(environment.read_variables(environ))
    if not entries:
        raise ConfigError(
            "--import=env: no variable names a proxy: neither https_proxy nor http_proxy is set"
        )
    return entries


def _locate(place: str, cwd: Path, target: Path) -> Path:
    path = cwd / Path(strip_quotes(place)).expanduser()
    if not path.exists() and place.lower() == ENVIRONMENT:
        raise ConfigError(f"{path}: no such file; --import={ENVIRONMENT} reads the environment")
    if target.exists() and path.exists() and path.samefile(target):
        raise ConfigError(f"{path}: Px uses this file already, so there is nothing to import")
    return path


def _find_format(place: str, text: str) -> Format:
    counts = [each.count_known(text) for each in FORMATS]
    if any(counts):
        return FORMATS[counts.index(max(counts))]
    if _PAC_FUNCTION in text:
        raise ConfigError(f"{place}: this is a PAC script; give it to Px with --pac={place} --save")
    raise ConfigError(f"{place}: nothing to import; valid is: {_KINDS}")


def _read_entries(form: Format, text: str, place: str) -> list[Entry]:
    try:
        return list(form.read(text))
    except IniError as error:
        raise ConfigError(f"{place}:{error.line}: {error}") from None
    except ValueError as error:
        raise ConfigError(f"{place}: not {form.name} that can be read: {error}") from None


def _nothing_imported(found: Import) -> ConfigError:
    error = ConfigError(f"{found.source}: nothing to import: no setting in it is of use to Px")
    error.warnings = tuple(found.warnings)
    return error


def _find_misfits(imported: Mapping[str, Given], settings: Settings) -> dict[str, str]:
    """Return the options of px.ini that do not go with the imported ones, each with the reason.

    The NT hash of another user would be a failed login.
    """
    misfits: dict[str, str] = {}
    user = imported.get("username")
    if user and settings.nthash and user.text != settings.username:
        misfits["nthash"] = "it is the hash of another user than the imported one"
    if "pac" in imported and settings.proxy:
        misfits["proxy"] = "it would come before the imported PAC script"
    return misfits


def _forget_hash(imported: dict[str, Given], flags: Mapping[str, Given], warnings: list[str]) -> None:
    """Take away the imported hash if the command line names another user."""
    if "username" in flags and "nthash" in imported:
        del imported["nthash"]
        warnings.append("the imported hash is not taken over: --username names the user; run px --password")


def _warn_of_outweighed(imported: Mapping[str, Given], given: Mapping[str, Given]) -> Iterable[str]:
    for name in sorted(imported.keys() & given.keys()):
        other, key = given[name], imported[name].option.key
        yield f"{other.key} ({other.place}) comes before px.ini: the imported {key} will not count"


def _check(
    path: Path, written: Mapping[str, Given], present: Mapping[str, Given], warnings: list[str]
) -> None:
    """Check that Px can run with px.ini as it is going to be.

    Raises:
        ConfigError: A setting is not valid beside the others.
    """
    if "nthash" in written and sys.platform != "win32" and path.is_file() and path.stat().st_mode & _OTHERS:
        warnings.append(f"{path}: other users can read this file, which has an NT hash now: chmod 600 {path}")
    check_runnable(make_settings([written, present], path, []), warnings)
