"""Stores passwords in the keyring, and prints the NT hash of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from px.cli.invocation import settings_of
from px.cli.running_px import control_client
from px.cli.terminal import EXIT_OK, announce, print_answer, print_message
from px.core.startup_errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from px.config.invocation import Invocation
    from px.config.settings import Settings


def load_passwords(settings: Settings, warn: Callable[[str], object]) -> Settings:
    """Return the settings with the passwords of the keyring; `warn` takes a line if it does not work."""
    from px.config.stored_passwords import LOAD_SECONDS, StoredPasswords  # noqa: PLC0415
    from px.system.login.keyring import Keyring  # noqa: PLC0415
    from px.system.process.waiting import waiting_for  # noqa: PLC0415

    with waiting_for("the system's keyring, which may want to be unlocked"):
        return StoredPasswords(Keyring(LOAD_SECONDS), warn).add_to(settings)


def store_password(invocation: Invocation) -> int:
    """Ask for a password and store it in the keyring, or remove it there if none is given."""
    from px.cli.secret_entry import read_secret  # noqa: PLC0415
    from px.config.stored_passwords import (  # noqa: PLC0415
        STORE_SECONDS,
        change_password,
        client_account,
        upstream_account,
    )
    from px.system.login.keyring import Keyring  # noqa: PLC0415

    account_of = upstream_account if invocation.action == "password" else client_account
    account = account_of(settings_of(invocation))
    change_password(account, Keyring(STORE_SECONDS), read_secret, announce)
    _use_new_password(invocation)
    return EXIT_OK


def _use_new_password(invocation: Invocation) -> None:
    """Make the running Px use the new password, and allow one login at once even if it is the old one."""
    from px.core.startup_errors import NotRunningError  # noqa: PLC0415
    from px.processes.control_client import RefusedError  # noqa: PLC0415
    from px.system.state.installation import state_directory  # noqa: PLC0415
    from px.system.state.lockout_file import allow_retry  # noqa: PLC0415

    try:
        control_client(invocation).reload()
    except NotRunningError:
        allow_retry(state_directory())  # as a reload does
    except RefusedError as error:
        print_message(f"warning: the running Px does not use the new password yet: {error}")
    else:
        announce("The running Px has read the passwords again.")


def print_hash(_: Invocation) -> int:
    """Ask for a password and print its NT hash."""
    from px.cli.secret_entry import read_secret  # noqa: PLC0415
    from px.core.auth.ntlm.md4 import nt_hash  # noqa: PLC0415

    password = read_secret("Password: ")
    if not password:
        raise ConfigError("--hash: no password was given")
    print_message("the NT hash below can log in like the password, so guard it; set PX_NTHASH to it")
    return print_answer(nt_hash(password.reveal()).hex())
