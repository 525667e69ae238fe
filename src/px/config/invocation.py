"""Finds out what the user asks for: an action, and the `Settings` that all sources together give.

Precedence: command line > environment > .env in the working directory > px.ini > default.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from px.config.command_line import CommandLine, find_help_topic, parse_arguments
from px.config.files import DOTENV_NAME, choose_new_ini, find_ini, find_trusted, missing_certificates
from px.config.option import Action
from px.config.settings import Settings, check_runnable, make_settings
from px.config.sources import Given, parse_environment, read_dotenv, read_ini
from px.core.quotes import strip_quotes
from px.core.startup_errors import ConfigError

#: Options that name a running Px.
_FIND_PX: Final = frozenset({"config", "port"})


@dataclass(frozen=True, slots=True)
class Invocation:
    """What the user asked for.

    Attributes:
        action: ``serve``, or the name of one of `px.config.actions.ACTIONS`.
        settings: None for an action that reads none.
        warnings: Lines for stderr.
        config_file: The px.ini in use; for an action that reads "files" perhaps one that is not there yet.
        action_value: What was written after the action's ``=``.
        switches: Those of the action's switches that were given.
        given: What the command line, the environment and .env gave, by name of the option.
        program: The program that the action runs, and its arguments.
        fault: Why only the command line counts; for an action that explains faults of the other sources.
    """

    action: str
    settings: Settings | None
    warnings: tuple[str, ...] = ()
    config_file: Path | None = None
    action_value: str = ""
    switches: frozenset[str] = frozenset()
    given: Mapping[str, Given] = field(default_factory=dict)
    program: tuple[str, ...] = ()
    fault: ConfigError | None = None

    @property
    def known_settings(self) -> Settings:
        """The settings, for an action that reads settings."""
        if self.settings is None:
            raise AssertionError(f"{self.action} came without settings")
        return self.settings

    @property
    def flags(self) -> tuple[str, ...]:
        """The options of the command line, each as one argument."""
        return tuple(f"--{name}={one.text}" for name, one in self.given.items() if one.is_flag)

    @property
    def asks_for_new_px(self) -> bool:
        """Whether the command line has options that a running Px may not have."""
        return any(one.is_flag and name not in _FIND_PX for name, one in self.given.items())


def load_settings(
    argv: Sequence[str], environ: Mapping[str, str], cwd: Path, config_dirs: Sequence[Path] = ()
) -> Invocation:
    """Return what the arguments ask for, with the settings from all sources.

    Reads files, and changes nothing.

    Args:
        argv: Arguments without the program's name.
        environ: The environment.
        cwd: Working directory: relative paths, px.ini, .env.
        config_dirs: Where px.ini is looked for next; see `px.config.files.default_config_dirs`.

    Raises:
        ConfigError: A value cannot be used; one line that names the value, its place and what is valid.
    """
    topic = find_help_topic(argv)
    if topic is not None:
        return Invocation("help", None, config_file=find_ini(cwd, config_dirs, []), action_value=topic)
    command_line = parse_arguments(argv)
    action = command_line.action
    is_refused = action is not None and action.reads == "port" and "port" in command_line.given
    if action is not None and (is_refused or action.reads in {"nothing", "flags"}):
        return _read_flags(action, command_line)
    warnings: list[str] = []
    try:
        return _read_sources(command_line, environ, cwd, config_dirs, warnings)
    except OSError as error:
        fault = ConfigError(f"{error.filename}: cannot be read: {error.strerror}")
    except ConfigError as error:
        fault = error
    fault.warnings = tuple(warnings)  # a file that was not used may be the reason
    if action is not None and action.explains_fault:
        return replace(_read_flags(action, command_line), fault=fault)
    raise fault from None


def _read_flags(action: Action, command_line: CommandLine) -> Invocation:
    """Return what the command line alone asks for; raise ConfigError if a value cannot be used."""
    return Invocation(
        action.name,
        None if action.reads == "nothing" else make_settings([command_line.given], None, []),
        action_value=command_line.action_value,
        switches=command_line.switches,
        given=command_line.given,
    )


def _read_sources(
    command_line: CommandLine,
    environ: Mapping[str, str],
    cwd: Path,
    config_dirs: Sequence[Path],
    warnings: list[str],
) -> Invocation:
    action, flags = command_line.action, command_line.given
    outside = _read_outside(environ, cwd, warnings)
    is_saved = action is not None and action.reads == "files"
    may_be_new = is_saved or (action is not None and action.makes_file)
    named = _named_ini(ChainMap(flags, outside), cwd, may_be_new=may_be_new)
    ini = named or find_ini(cwd, config_dirs, warnings)
    if is_saved:
        ini = ini or choose_new_ini(cwd, config_dirs, warnings)
        warnings += _warn_of_outweighed(flags, outside)
    from_ini = read_ini(ini, warnings) if ini and ini.is_file() else {}
    sources = [flags, from_ini] if is_saved else [flags, outside, from_ini]
    if (
        action is not None and action.reads == "port"
    ):  # other faults must not keep a user from --quit and --status
        sources = [{name: given for name, given in each.items() if name == "port"} for each in sources]
        warnings.clear()
    settings = make_settings(sources, ini, warnings)
    if action is None or action.starts_px:
        check_runnable(settings, warnings)
        warnings += missing_certificates(environ)
    return Invocation(
        action.name if action else "serve",
        settings,
        tuple(warnings),
        ini,
        command_line.action_value,
        command_line.switches,
        {**outside, **flags},
        command_line.program,
    )


def _read_outside(environ: Mapping[str, str], cwd: Path, warnings: list[str]) -> dict[str, Given]:
    """Return the options of .env and the environment; the environment comes first."""
    given = parse_environment(environ, warnings)
    dotenv = find_trusted(cwd / DOTENV_NAME, warnings)
    return {**read_dotenv(dotenv, warnings), **given} if dotenv else given


def _warn_of_outweighed(flags: Mapping[str, Given], outside: Mapping[str, Given]) -> Iterator[str]:
    for name in sorted(flags.keys() & outside.keys() - {"config"}):
        other = outside[name]
        yield f"{other.key} ({other.place}) comes before px.ini: the saved {flags[name].key} will not count"


def _named_ini(given: Mapping[str, Given], cwd: Path, *, may_be_new: bool) -> Path | None:
    """Return the file named by --config or PX_CONFIG."""
    named = given.get("config")
    if named is None or not named.text:
        return None
    path = cwd / Path(strip_quotes(named.text)).expanduser()
    if not path.is_file() and not (may_be_new and not path.exists()):
        wrong = "a directory, not a file" if path.is_dir() else "no such file"
        raise ConfigError(f"{named.written}: {wrong}; valid is: {named.option.valid}")
    return path
