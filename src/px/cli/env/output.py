"""The output of ``px --env``: for the Px that runs, else for the one that the configuration would start."""

from __future__ import annotations

import sys
from collections.abc import Callable
from io import TextIOWrapper
from typing import Final

from px.cli.env.endpoint import Endpoint
from px.cli.env.files import FILES
from px.cli.env.kind import Kind
from px.cli.env.shells import SHELLS
from px.cli.env.tools import TOOLS
from px.config.settings import Settings
from px.core.startup_errors import NotRunningError
from px.processes.control_client import ControlClient, RefusedError

#: Shows a line on stderr.
Complain = Callable[[str], None]

_UNDO: Final = "undo"
KINDS: Final[dict[str, Kind]] = {**SHELLS, **TOOLS, **FILES}


def format_env(value: str, find_endpoint: Callable[[], Endpoint], complain: Complain) -> str:
    """Return the settings that a value of ``--env`` asks for, and set stdout to their line ends.

    Args:
        value: ``git``, ``git:undo``, ``undo`` or empty; a valid value of the action ``env``.
        find_endpoint: Returns the Px that the settings are for.
        complain: Shows what else the user has to know.
    """
    name, is_undone = _parse(value)
    kind = KINDS[name]
    if isinstance(sys.stdout, TextIOWrapper) and not kind.has_native_lines:
        sys.stdout.reconfigure(newline="\n")  # for sh on Windows, a carriage return would belong to the value
    return "\n".join(kind.undo()) if is_undone else _format_use(kind, find_endpoint(), complain)


def _parse(value: str) -> tuple[str, bool]:
    """Return the kind of program, and whether to undo its settings."""
    is_undone = value.endswith(_UNDO)
    name = value.removesuffix(_UNDO).removesuffix(":") if is_undone else value
    return name or ("powershell" if sys.platform == "win32" else "sh"), is_undone


def _format_use(kind: Kind, endpoint: Endpoint, complain: Complain) -> str:
    if endpoint.has_login:
        complain("this Px requires clients to log in (--client_auth): replace USER and PASSWORD below")
    if kind.is_elsewhere and endpoint.is_local:
        complain("this Px serves this computer alone; containers and WSL may need --hostonly or --gateway")
    return "\n".join(kind.use(endpoint.values))


def find_endpoint(
    client: ControlClient, settings: Settings, complain: Complain, *, may_be_other: bool
) -> Endpoint:
    """Return the running Px, or the one that the settings would start.

    Args:
        client: Asks the Px on the port of the settings.
        settings: The settings of this process.
        complain: Shows that no Px runs.
        may_be_other: Whether a Px on another port will do.
    """
    try:
        return Endpoint.of_running(client.find_status(may_be_other=may_be_other))
    except (NotRunningError, RefusedError) as error:
        complain(f"{error}; the settings below are for a Px with your configuration")
        return Endpoint.of_settings(settings)
