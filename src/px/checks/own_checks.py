"""What is checked on this computer alone: configuration, passwords, port, and where upstreams come from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from px.app.proxy_discovery import check_routes
from px.app.px import load_client_auth
from px.checks.step import Step, Verdict
from px.core.auth.password_advice import AS_HASH, IN_ENVIRONMENT
from px.core.login.method import SCHEME_NAMES
from px.core.startup_errors import ConfigError, PortInUseError
from px.io.listening_socket import open_listening_sockets
from px.system.process.port_owner import find_port_owner

if TYPE_CHECKING:
    from px.config.settings import Settings

#: What to do where another program has the port.
CHOOSE_PORT: Final = "Choose another port with --port."


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


def make_fault_step(fault: ConfigError) -> Step:
    """Return the step of a configuration that cannot be used."""
    detail = "; ".join([f"{fault}.", *fault.warnings])
    return Step("Config", Verdict.FAILED, detail, "Correct this value; px --help=all lists the options.")


def check_clients(settings: Settings) -> Step | None:
    """Return the step of the logins of clients; None if clients need not log in."""
    try:
        auth = load_client_auth(settings)
    except ConfigError as error:
        return Step("Clients", Verdict.FAILED, f"{error}.", "Px does not start until this is corrected.")
    if auth is None:
        return None
    names = ", ".join(SCHEME_NAMES[scheme] for scheme in auth.schemes)
    return Step("Clients", Verdict.OK, f"they log in at Px by {names}")


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
        return Step("Port", Verdict.FAILED, f"{_drop_advice(error)}.{who}", CHOOSE_PORT)
    except ConfigError as error:
        return Step("Port", Verdict.FAILED, str(error), "Correct --listen or --port.")
    for sock in sockets:
        sock.close()
    detail = "; ".join([f"{port} is free: no Px runs there, so programs that are set to it fail", *warnings])
    return Step("Port", Verdict.WARNING, detail, "Start Px with px, or at each login with px --install.")


def _drop_advice(error: PortInUseError) -> str:
    """Return the cause alone: the fix of the step is the advice."""
    return str(error).partition("; ")[0]


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
