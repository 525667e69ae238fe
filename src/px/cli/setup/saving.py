"""What ``px --setup`` leaves behind: a password in the keyring, a px.ini, and a Px that runs."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from px.checks.step import Step, Verdict
from px.cli.setup.commands import format_password_commands, own_name
from px.cli.setup.screen import Screen, SetupFailedError
from px.config.stored_passwords import STORE_SECONDS, keep_password
from px.config.writer import save_settings
from px.core.auth.secret_store import UPSTREAM_SERVICE, SecretStoreError
from px.core.startup_errors import InstallError, StartupError
from px.processes.control_client import ControlClient
from px.system.autostart.install import Autostart, find_autostart, install, make_own_start
from px.system.autostart.linux import NO_SYSTEMD
from px.system.login.keyring import Keyring
from px.system.process.waiting import waiting_for
from px.system.state.installation import state_directory

if TYPE_CHECKING:
    from px.config.invocation import Invocation
    from px.config.settings import Settings
    from px.config.sources import Given
    from px.core.secret import Secret

#: Starts a Px with a px.ini, by the system if it can; returns an exit code, and what to print.
Start = Callable[[ControlClient, Path | None, Autostart | None], tuple[int, str]]

_DEFAULT_PORT: Final = 3128
_KEYRING: Final = "the system's keyring, which may want to be unlocked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to save and start.

    Attributes:
        invocation: With the options to save.
        settings: The same, with all secrets.
        path: The px.ini.
        password: To keep in the keyring; None: none.
        must_keep: Whether the password is nowhere else.
        starts: Whether Px shall start, now and at each login.
        is_running: Whether a Px has the port, which then ends.
    """

    invocation: Invocation
    settings: Settings
    path: Path
    password: Secret | None
    must_keep: bool
    starts: bool
    is_running: bool


def find_keyring() -> str:
    """Return the name of the keyring.

    Raises:
        SecretStoreError: It does not work.
    """
    with waiting_for(_KEYRING):
        return Keyring(STORE_SECONDS).name


def carry_out(plan: Plan, screen: Screen, start: Start) -> int:
    """Save and start; return the exit code.

    Args:
        plan: What to do.
        screen: Shows what is done.
        start: Starts Px.

    Raises:
        SetupFailedError: The password cannot be kept; nothing was saved.
        StartupError: The px.ini cannot be written, or the Px that runs does not end.
    """
    kept = _keep(plan)
    unsaved = [one.key for one in plan.invocation.given.values() if not _is_saved(one)]
    if kept:
        unsaved = [key for key in unsaved if key != "PX_PASSWORD"]
    try:
        warnings = save_settings(plan.path, _to_save(plan.invocation.given), plan.settings)
    except StartupError:
        if kept:
            screen.note(f"the password is in {kept} already, but px.ini cannot be written:")
        raise
    for warning in warnings:
        screen.note(f"warning: {warning}")
    screen.show("Saved", _shorten(plan.path))
    if kept:
        screen.show("", f"the password, in {kept}")
    if unsaved:
        screen.note(
            f"warning: {', '.join(unsaved)} is not saved, since it holds a secret: at each start Px needs it"
            " in its environment"
        )
    code = 0
    if plan.starts:
        code = _start(plan, screen, start, can_be_left_to_system=not unsaved)
    else:
        screen.show("Started", f"not yet; this starts Px: {_format_start(plan)}")
    if not code:
        screen.show("Next", _format_next(plan.settings.port))
        screen.show("", "points the programs of this shell at Px")
    return code


def _keep(plan: Plan) -> str:
    """Keep the password; return the place, or nothing if there is none to keep, or it is elsewhere, too."""
    if plan.password is None:
        return ""
    store = Keyring(STORE_SECONDS)
    try:
        with waiting_for(_KEYRING):
            place = store.name
            keep_password(store, UPSTREAM_SERVICE, plan.settings.username, place, plan.password)
    except SecretStoreError as error:
        if plan.must_keep:
            raise fail_without_keyring(error, plan.invocation) from None
        return ""
    return place


def fail_without_keyring(error: SecretStoreError, invocation: Invocation) -> SetupFailedError:
    """Return the failure for a password that cannot be kept, with the commands that do without a keyring."""
    detail = f"Px needs a password, which no keyring can keep: {error.cause}."
    otherwise = f"{error.hint[0].upper()}{error.hint[1:]}. Or enter" if error.hint else "Enter"
    fix = f"{otherwise} the password in this shell, and then run --setup there:"
    step = Step("Login", Verdict.FAILED, detail, fix)
    return SetupFailedError(step, commands=format_password_commands(invocation))


def _is_saved(one: Given) -> bool:
    option = one.option
    return option.name == "config" or (option.is_flag and not option.hides(one.text))


def _to_save(given: Mapping[str, Given]) -> dict[str, Given]:
    """Return the options as if all were from the command line: at login the environment may be another."""
    return {name: replace(one, place="") for name, one in given.items() if _is_saved(one)}


def _start(plan: Plan, screen: Screen, start: Start, *, can_be_left_to_system: bool) -> int:
    client = ControlClient(state_directory(), plan.settings.port)
    if plan.is_running:
        with waiting_for("the running Px to end"):
            client.quit()
    autostart = find_autostart()
    when, code = _install(autostart, plan.path, screen)
    failure, said = start(client, plan.path, autostart if can_be_left_to_system and not code else None)
    if failure:
        screen.show("Started", f"{Verdict.FAILED.value}: {said}")
        if plan.is_running:
            screen.show("  fix:", f"The Px that ran has ended. This starts Px again: {_format_start(plan)}")
        return failure
    screen.show("Started", f"{', '.join(client.status()['listen'])}, {when}")
    return code


def _install(autostart: Autostart, path: Path, screen: Screen) -> tuple[str, int]:
    """Have the system start Px at login; return when it starts, and an exit code."""
    try:
        said = install(autostart, make_own_start(path), replaces=False)
    except InstallError as error:
        screen.note(f"warning: Px will not start at login: {error}")
        return "now only", error.exit_code
    if NO_SYSTEMD in said:
        return f"now, in the background. {NO_SYSTEMD}", 0
    return "now and at every login", 0


def _shorten(path: Path) -> str:
    """Return a path as a shell takes it, but shorter where it can be."""
    if os.name == "nt" or not path.is_relative_to(Path.home()):
        return str(path)
    return f"~/{path.relative_to(Path.home())}"


def _format_start(plan: Plan) -> str:
    """Return the command that starts Px with what was saved."""
    is_named = "config" in plan.invocation.given
    return f"{own_name()} {shlex.quote(f'--config={plan.path}')}" if is_named else own_name()


def _format_next(port: int) -> str:
    command = f"{own_name()} --env" + (f" --port={port}" if port != _DEFAULT_PORT else "")
    return f"{command} | Out-String | Invoke-Expression" if os.name == "nt" else f'eval "$({command})"'
