"""Loads what the user asked for, and opens the log that the user asked for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from px.core.startup_errors import ConfigError

if TYPE_CHECKING:
    from px.config.invocation import Invocation
    from px.config.settings import Settings

_GONE: Final = "the working directory, where Px looks for px.ini and .env, no longer exists"


def load_invocation(argv: Sequence[str]) -> Invocation:
    """Return what the arguments, the environment and the files here ask for.

    Raises:
        ConfigError: A value cannot be used, or the working directory no longer exists.
    """
    from px.config.files import default_config_dirs  # noqa: PLC0415
    from px.config.invocation import load_settings  # noqa: PLC0415

    try:
        cwd = Path.cwd()
    except OSError as error:  # do not fall back to another px.ini
        raise ConfigError(f"{_GONE}: {error.strerror or error}; run Px in another directory") from None
    return load_settings(argv, os.environ, cwd, default_config_dirs())


def settings_of(invocation: Invocation) -> Settings:
    """Return the settings of an invocation whose action reads settings."""
    return invocation.known_settings


def open_log(settings: Settings, process: str) -> None:
    """Open the log of this process where the settings want it.

    Args:
        settings: The settings of Px.
        process: The name of the process in the log.
    """
    from px.logs import log  # noqa: PLC0415

    cwd = log.working_directory()
    log.open_log(settings.log, verbose=settings.verbose, cwd=cwd, port=settings.port, process=process)
