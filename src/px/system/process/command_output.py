"""Reads the output of the system's tools: gsettings, scutil, nmcli, ipconfig."""

from __future__ import annotations

import errno
import logging
import subprocess
from collections.abc import Mapping
from typing import Final

from px.system.process.child_command import is_frozen

#: These tools ask services that run already, so a tool that takes longer will not answer at all.
_TIMEOUT_SECONDS: Final = 3.0
_EXHAUSTED: Final = {errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM}
_LIBRARIES: Final = "LD_LIBRARY_PATH"

_LOGGER: Final = logging.getLogger("px.system_proxy")


def read_command_output(
    *command: str, environ: Mapping[str, str], timeout_seconds: float = _TIMEOUT_SECONDS
) -> str | None:
    """Return the output of a tool, in English; None if the tool is not installed or fails.

    Args:
        command: A name to find in ``PATH``, and arguments, none of them secret.
        environ: Environment variables of the tool.
        timeout_seconds: How long the tool may take.

    Raises:
        TimeoutError: The tool does not answer, or this computer has no process or file descriptor left, so
            the output is unknown.
    """
    try:
        done = subprocess.run(  # noqa: S603 - a fixed tool, found in PATH as its user would
            command,
            env={**without_bundle(environ), "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_seconds,
            check=False,
        )
    except FileNotFoundError:
        return None
    except subprocess.TimeoutExpired as error:
        _LOGGER.warning("%s: %s", command[0], error)
        raise TimeoutError(f"{command[0]} does not answer") from None
    except OSError as error:
        _LOGGER.warning("%s: %s", command[0], error)
        if error.errno in _EXHAUSTED:
            raise TimeoutError(f"{command[0]} cannot be run now") from None
        return None
    if done.returncode:
        _LOGGER.debug("%s ended with %d: %r", command[0], done.returncode, done.stderr[:500])
        return None
    return done.stdout.decode("utf-8", "replace")


def without_bundle(environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return an environment in which a program finds the system's libraries, not those of Px's binary."""
    if not is_frozen():
        return environ
    original = environ.get(f"{_LIBRARIES}_ORIG")  # PyInstaller saves the old value here
    others = {key: value for key, value in environ.items() if key != _LIBRARIES}
    return {**others, _LIBRARIES: original} if original else others
