"""Makes Px start when the user logs in to this computer, or no longer; and starts it now."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from px.cli.background import start_in_background
from px.cli.running_px import control_client
from px.cli.terminal import EXIT_OK, announce, print_answer, print_as_is, print_message, print_warnings
from px.core.startup_errors import NotRunningError, StartupError

if TYPE_CHECKING:
    from px.config.invocation import Invocation
    from px.processes.control_client import ControlClient
    from px.system.autostart.install import Autostart

#: How long a Px that the system has started may take until it listens: as long as the keyring, and more.
_START_SECONDS: Final = 20.0
_POLL_SECONDS: Final = 0.1


class Started(NamedTuple):
    """How the start of a Px ended.

    Attributes:
        code: The exit code of this process.
        text: What to print.
    """

    code: int
    text: str


def install_autostart(invocation: Invocation) -> int:
    """Have the system start Px when the user logs in, and start it now."""
    from px.system.autostart.install import find_autostart, install, make_own_start  # noqa: PLC0415

    print_warnings(list(_warn_of_unsaved(invocation)))
    autostart, start = find_autostart(), make_own_start(invocation.config_file)
    announce(install(autostart, start, replaces="force" in invocation.switches))
    started = start_px(control_client(invocation), invocation.config_file, autostart)
    if started.code:
        print_as_is(started.text)
        print_message("warning: Px is installed, but could not start now; at login the same will happen")
        return started.code
    return print_answer(started.text)


def start_px(client: ControlClient, config_file: Path | None, autostart: Autostart | None) -> Started:
    """Start Px as it starts at login, unless one runs already.

    Args:
        client: Asks the Px on the port that the new one will have.
        config_file: The px.ini of the new Px.
        autostart: The system that starts it; None, or a system that cannot: Px starts in the background.
    """
    from px.system.process.waiting import waiting_for  # noqa: PLC0415

    try:
        return Started(EXIT_OK, f"Px runs already, pid {client.status()['pid']}. px --restart restarts it.")
    except NotRunningError:
        pass
    except StartupError as error:
        return Started(error.exit_code, f"px: {error}")
    with waiting_for("Px to start"):
        if autostart is not None and autostart.start_now():
            return _wait_until_it_listens(client, autostart)
        return Started(*start_in_background([f"--config={config_file}"] if config_file else []))


def _wait_until_it_listens(client: ControlClient, autostart: Autostart) -> Started:
    latest = time.monotonic() + _START_SECONDS
    while True:
        try:
            status = client.status()
        except StartupError as error:
            if time.monotonic() > latest:
                text = f"px: {autostart.place} was started, but {error}; see the log of the system"
                return Started(error.exit_code, text)
            time.sleep(_POLL_SECONDS)
        else:
            return Started(EXIT_OK, f"Px runs, pid {status['pid']}, on {', '.join(status['listen'])}.")


def _warn_of_unsaved(invocation: Invocation) -> Iterator[str]:
    from px.config.files import INI_NAME, default_config_dirs  # noqa: PLC0415

    given = [one for one in invocation.given.values() if one.option.name != "config"]
    flags = ", ".join(one.key for one in given if one.is_flag)
    outside = ", ".join(one.key for one in given if not one.is_flag)
    if flags:
        yield f"{flags}: --install does not save options; at login Px uses px.ini, which --save writes"
    if outside:
        yield f"{outside}: the environment at login may differ; make sure that this is set there"
    if invocation.config_file is None:
        path = default_config_dirs()[0] / INI_NAME
        yield f"no px.ini is in use, so at login Px will look for {path}; --config={path} --save creates it"


def uninstall_autostart(_: Invocation) -> int:
    """Undo `install_autostart`."""
    from px.system.autostart.install import find_autostart, uninstall  # noqa: PLC0415

    return print_answer(uninstall(find_autostart()))
