"""Turns arguments, environment and files into one frozen `Settings`.

Precedence: command line > environment > .env in the working directory > px.ini > default.
"""

from __future__ import annotations

import re
import sys
from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from px.config.command_line import CommandLine, find_help_topic, parse_arguments
from px.config.files import DOTENV_NAME, choose_new_ini, find_ini, find_trusted, missing_certificates
from px.config.option import Action
from px.config.options import OPTION_BY_NAME, OPTIONS
from px.config.ports import check_client_logins, check_ports, name_ports
from px.config.sources import Given, parse_environment, read_dotenv, read_ini
from px.core.auth.policy import AuthPolicy
from px.core.quotes import strip_quotes
from px.core.rules.access import Access, ListenAddresses
from px.core.rules.host_rules import HostRules
from px.core.rules.route import UpstreamAddress
from px.core.rules.tunnel_list import TunnelPort
from px.core.secret import Secret
from px.core.startup_errors import ConfigError

#: Two threads for a KDC and one for name look-ups.
MIN_THREADS: Final = 3
#: The most warnings about one list.
_MAX_WARNINGS: Final = 10
#: What may be a comment behind a value.
_COMMENT: Final = re.compile(r"\s[;#]")
_COMMENT_HINT: Final = "a comment needs a line of its own"
#: Options that name a running Px.
_FIND_PX: Final = frozenset({"config", "port"})
LOG_OFF, LOG_CWD, LOG_UNIQUE, LOG_STDOUT = 0, 2, 3, 4

_TWO_LOGINS: Final = (
    "with --auth=NONE: one Proxy-Authorization of a client cannot log in at Px and at the upstream, too; "
    "leave out one of them"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings; one field for each option of `px.config.options.OPTIONS`.

    Attributes:
        config: The px.ini in use, or None.
        proxy: Upstreams in order of preference.
        pac: Location of the PAC script that decides where `proxy` is empty: a URL, a path, or empty.
        pac_encoding: Its character encoding, or ``auto``.
        listen: Addresses to listen on.
        port: TCP port to listen on.
        socks: TCP port to listen on for SOCKS5; 0: none.
        tunnel: Static tunnels, each with a TCP port to listen on.
        gateway: Whether other computers may use Px; `access` has what follows from this option and others.
        hostonly: Whether only this computer's own addresses may; see `access`.
        allow: Clients that may use Px; see `access`.
        noproxy: Targets that are reached directly.
        useragent: Replaces the clients' User-Agent, unless empty.
        via: Whether to add Via fields.
        username: Whom to log in as; empty: the logged-in user.
        workstation: Name of this computer in NTLM logins; empty: its host name.
        kerberos: Whether to keep a Kerberos ticket by the password of `username`; False where it is no use.
        auth: Login schemes that may be used.
        password: Password of `username`, from the environment.
        nthash: NT hash of that password, 32 lower-case hexadecimal digits.
        client_auth: How clients have to log in at Px.
        client_username: The only user they may be; empty: any that is known.
        client_nosspi: Whether Windows is not asked about them.
        client_password: Their password, from the environment.
        workers: Processes that serve clients, 1 or more.
        threads: Number of threads in each worker for calls that block, 3 or more.
        idle: Seconds a tunnel may be silent; 0: for ever.
        socktimeout: Seconds for look-ups, connects, TLS and login steps.
        proxyreload: Seconds between two looks at what names the upstreams.
        foreground: Whether to stay at the console; also true where `verbose` or `accesslog` write to it.
        debug: Always False: `log` has the level that follows from it.
        uniqlog: Always False, for the same reason.
        verbose: Whether to log to stdout, alone or in addition to a file.
        log: 0 off; 1, 2 a file in the working directory; 3 one with a unique name there; 4 stdout only;
            5 a file in the user's state directory.
        accesslog: File for a line a request; ``-`` for stdout, empty for none.
        metrics_allow: The clients that may read metrics and health.
        accesslog_format: ``px``, ``json`` or ``combined``.
    """

    config: Path | None
    proxy: tuple[UpstreamAddress, ...]
    pac: str
    pac_encoding: str
    listen: ListenAddresses
    port: int
    socks: int
    tunnel: tuple[TunnelPort, ...]
    gateway: bool
    hostonly: bool
    allow: HostRules
    noproxy: HostRules
    useragent: str
    via: bool
    username: str
    workstation: str
    auth: AuthPolicy
    kerberos: bool
    password: Secret | None
    nthash: Secret | None
    client_auth: AuthPolicy
    client_username: str
    client_nosspi: bool
    client_password: Secret | None
    workers: int
    threads: int
    idle: float
    socktimeout: float
    proxyreload: int
    foreground: bool
    debug: bool
    uniqlog: bool
    verbose: bool
    log: int
    accesslog: str
    metrics_allow: HostRules
    accesslog_format: str

    @property
    def access(self) -> Access:
        """Where to listen, and who may use Px."""
        return Access.decide(
            listen=self.listen, gateway=self.gateway, hostonly=self.hostonly, allow=self.allow
        )

    @property
    def ports(self) -> tuple[tuple[int, str], ...]:
        """All TCP ports to listen on, each with the option that names it."""
        return name_ports(self.port, self.socks, self.tunnel)


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


def check_runnable(settings: Settings, warnings: list[str]) -> None:
    """Check that Px can serve with these settings; add what the user should know.

    Raises:
        ConfigError: Two settings cannot be used together.
    """
    if (settings.password or settings.nthash) and not settings.username:
        warnings.append("Px does not use the password or hash without a user name; give --username, too")
    if (settings.client_username or settings.client_password) and settings.client_auth.is_none:
        warnings.append("clients have a password or user but need not log in; give --client_auth=ANY, too")
    if settings.access.warning and settings.client_auth.is_none:
        warnings.append(settings.access.warning)
    if settings.auth.is_none and not settings.client_auth.is_none:
        raise ConfigError(f"--client_auth={settings.client_auth} {_TWO_LOGINS}")
    if settings.auth.is_none and (settings.socks or settings.tunnel):
        warnings.append("--auth=NONE: the clients of --socks and --tunnel cannot log in at the upstream")
    check_ports(settings.ports)
    check_client_logins(settings.client_auth, settings.socks, settings.tunnel)


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


def make_settings(
    sources: Sequence[Mapping[str, Given]], config_file: Path | None, warnings: list[str]
) -> Settings:
    """Return the settings of all sources and the defaults; the first source that has an option counts.

    Raises:
        ConfigError: A value is not valid.
    """
    given: dict[str, Given] = {}
    for source in reversed(sources):
        given.update(source)
    values: dict[str, Any] = {option.name: option.parse(option.default) for option in OPTIONS}
    values |= {name: parse_given(one) for name, one in given.items()}
    warnings += _warn_of_skipped(given, values)
    values["config"] = config_file
    if not values["allow"] and not values["hostonly"]:
        raise ConfigError(
            f"{given['allow'].written}: empty, so no client could use Px; leave it out, or give --hostonly"
        )
    settings = _settle_threads(_settle_log(Settings(**values), sources), warnings)
    return _settle_kerberos(settings, warnings)


def parse_given(given: Given) -> object:
    """Return the value of an option.

    Raises:
        ConfigError: The text is not valid.
    """
    option = given.option
    parse = (option.parse_flag if given.is_flag else None) or option.parse
    try:
        return parse(given.text)
    except ValueError as error:
        is_commented = not option.hides(given.text) and _COMMENT.search(given.text)
        hint = f"; {_COMMENT_HINT}" if is_commented and _COMMENT_HINT not in str(error) else ""
        raise ConfigError(f"{given.written}: {error}; valid is: {option.valid}{hint}") from None


def _warn_of_skipped(given: Mapping[str, Given], values: Mapping[str, Any]) -> Iterator[str]:
    """Yield a warning for each rule that could not be read; only some values are lists of rules."""
    for name, one in given.items():
        if isinstance(values[name], HostRules):
            place = f" ({one.place})" if one.place else ""
            skipped = values[name].skipped
            yield from (f"{one.key}{place}: {reason}; left out" for reason in skipped[:_MAX_WARNINGS])
            if len(skipped) > _MAX_WARNINGS:
                yield f"{one.key}{place}: {len(skipped) - _MAX_WARNINGS} more; --explain=URL names them all"


def _settle_log(settings: Settings, sources: Sequence[Mapping[str, Given]]) -> Settings:
    """Return settings with `log`, `verbose` and `foreground` as the four options for logging demand.

    ``--debug`` and ``--uniqlog`` ask for a file, over px.ini, but not over a ``--log`` beside them that
    already names one. ``--verbose`` adds stdout to whatever file there is.
    """
    log = settings.log
    is_file_named = "log" in sources[0] and log not in {LOG_OFF, LOG_STDOUT}
    verbose = settings.verbose or log == LOG_STDOUT
    if settings.uniqlog:
        log = LOG_UNIQUE
    elif settings.debug and not is_file_named:
        log = LOG_CWD
    elif verbose and log == LOG_OFF:
        log = LOG_STDOUT
    foreground = settings.foreground or verbose or settings.accesslog == "-"
    return replace(settings, log=log, verbose=verbose, foreground=foreground, debug=False, uniqlog=False)


def _settle_threads(settings: Settings, warnings: list[str]) -> Settings:
    if settings.threads >= MIN_THREADS:
        return settings
    warnings.append(f"threads={settings.threads}: Px needs {MIN_THREADS} and uses {MIN_THREADS}")
    return replace(settings, threads=MIN_THREADS)


def _settle_kerberos(settings: Settings, warnings: list[str]) -> Settings:
    if not settings.kerberos:
        return settings
    if sys.platform == "win32":
        warnings.append("--kerberos does nothing on Windows, which gets and renews tickets itself")
    elif not settings.auth.allows("kerberos"):
        warnings.append(f"--kerberos does nothing: --auth={settings.auth} allows no Kerberos")
    else:
        return settings
    return replace(settings, kerberos=False)


def default_settings(**changes: object) -> Settings:
    """Return the defaults with some fields replaced, for the demo and for tests.

    Raises:
        ConfigError: A name in `changes` is not an option.
    """
    unknown = changes.keys() - OPTION_BY_NAME.keys()
    if unknown:
        raise ConfigError(f"no such option: {', '.join(sorted(unknown))}")
    return replace(make_settings([{}], None, []), **changes)  # type: ignore[arg-type] # field by field
