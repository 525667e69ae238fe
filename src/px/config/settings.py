"""Turns the texts that sources give for options into one frozen `Settings`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from px.config.options import OPTION_BY_NAME, OPTIONS
from px.config.ports import check_client_logins, check_ports, name_ports
from px.config.sources import Given
from px.core.auth.policy import AuthPolicy
from px.core.printable import escape_line
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
        may_have_comment = not (given.is_flag or option.hides(given.text))
        hint = f"; {_COMMENT_HINT}" if may_have_comment and _COMMENT.search(given.text) else ""
        reason = escape_line(str(error))  # it may quote a part of the text
        raise ConfigError(f"{given.written}: {reason}; valid is: {option.valid}{hint}") from None


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
