"""What is checked on this computer alone: the configuration, the port, and what programs are told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from px.app.proxy_discovery import check_routes, make_px_check, planned_addresses
from px.checks.step import Step, Verdict
from px.core.auth.password_advice import AS_HASH, IN_ENVIRONMENT
from px.core.http.target import Authority
from px.core.rules.route import DEFAULT_PORTS
from px.core.startup_errors import ConfigError, PortInUseError
from px.io.listening_socket import open_listening_sockets
from px.system.process.port_owner import find_port_owner
from px.system.proxy_settings.environment import find_variable

if TYPE_CHECKING:
    from px.config.settings import Settings

_VARIABLES: Final = ("http_proxy", "https_proxy")
_POINT: Final = "px --env prints the settings that point programs at Px."


def check_config(config_file: Path | None, warnings: Sequence[str]) -> Step:
    """Return the step of the configuration, which has been read without an error.

    Args:
        config_file: The px.ini in use.
        warnings: What Px says about it.
    """
    name = str(config_file) if config_file else "no px.ini is in use"
    if warnings:
        return Step("Config", Verdict.WARNING, f"{name}: {'; '.join(warnings)}")
    return Step("Config", Verdict.OK, name)


def check_password(settings: Settings, warnings: Sequence[str]) -> Step | None:
    """Return the step of the password; None if no user is named, so that none is needed.

    Args:
        settings: The settings, with the password that was found.
        warnings: What Px says about the keyring.
    """
    name = settings.username
    if warnings:
        fix = "Set the password in PX_PASSWORD, or repair the keyring."
        return Step("Password", Verdict.WARNING, "; ".join(warnings), fix)
    if not name:
        return None
    if settings.password or settings.nthash:
        place = (settings.password.place if settings.password else AS_HASH) or IN_ENVIRONMENT
        return Step("Password", Verdict.OK, f"the secret of {name} comes from {place}")
    detail = f"no password of {name} is stored or set, so only a Kerberos ticket can log in"
    return Step("Password", Verdict.OK, detail)


def check_port(settings: Settings) -> Step:
    """Return the step of a port on which no Px of this user listens."""
    port, access = settings.port, settings.access
    try:
        sockets, warnings = open_listening_sockets(access.listen, port, optional=access.optional)
    except PortInUseError as error:
        owner = find_port_owner(port)
        who = f" That is {owner}." if owner else ""
        return Step("Port", Verdict.FAILED, f"{error}.{who}", "Choose another port with --port.")
    except ConfigError as error:
        return Step("Port", Verdict.FAILED, str(error), "Correct --listen or --port.")
    for sock in sockets:
        sock.close()
    detail = "; ".join([f"{port} is free: no Px runs there, so programs that are set to it fail", *warnings])
    return Step("Port", Verdict.WARNING, detail, "Start Px with px, or at each login with px --install.")


def check_programs(settings: Settings, environ: Mapping[str, str]) -> Step:
    """Return the step of the variables that tell programs of this shell where their proxy is."""
    is_px = make_px_check(planned_addresses(settings))
    found = {name: find_variable(environ, name) for name in _VARIABLES}
    values = {spelled: value for spelled, value in found.values() if value}
    if not values:
        detail = "http_proxy and https_proxy are not set in this shell: its programs do not use Px"
        return Step("Programs", Verdict.WARNING, f"{detail} unless their own settings name it", _POINT)
    for name, value in values.items():
        scheme, authority = _read_proxy(value)
        if authority is None or not is_px(authority):
            shown = f"{scheme}://{authority}" if authority else "no URL of a proxy"
            detail = f"{name} in this shell is {shown}, and not Px: its programs do not use Px"
            return Step("Programs", Verdict.WARNING, detail, _POINT)
        if scheme != "http":
            detail = f"{name} in this shell begins with {scheme}://, but programs speak plain HTTP to Px"
            return Step("Programs", Verdict.FAILED, detail, f"Set {name} to http://{authority}.")
    missing = [name for name, (_, value) in found.items() if not value]
    if missing:
        detail = f"{missing[0]} is not set in this shell, so half of the requests of its programs miss Px"
        return Step("Programs", Verdict.WARNING, detail, _POINT)
    return Step("Programs", Verdict.OK, f"{' and '.join(values)} in this shell point at Px")


def _read_proxy(value: str) -> tuple[str, Authority | None]:
    """Return the scheme and the address of a proxy as a variable names it; no address if it names none."""
    try:
        url = urlsplit(value if "://" in value else f"http://{value}")
        port = url.port or DEFAULT_PORTS.get(url.scheme, 0)
    except ValueError:
        return "", None
    return url.scheme, Authority(url.hostname, port) if url.hostname else None


def check_source(settings: Settings) -> Step | None:
    """Return the step of settings that lead to no upstream; None: they lead to one, or need none.

    Blocks while the system's settings are read.
    """
    try:
        check_routes(settings)
    except ConfigError as error:
        fix = "Name the company's proxy with --proxy, or its script with --pac, and not Px itself."
        return Step("Proxy", Verdict.FAILED, f"{error}.", fix)
    return None
