"""Failures to start Px, for the person at the command line, each with its exit code.

::

    StartupError                     exit 1: one line on stderr, no traceback
    ├── ConfigError                  exit 2: an option, a file or a combination that cannot work
    ├── NotRunningError              exit 3: a command to a running Px, and none runs
    ├── PortInUseError               exit 5: another program listens there already
    ├── InstallError                 exit 6: starting at login cannot be set up or removed
    └── ProgramError                 exit 126 or 127: the program of --run cannot be run
"""

from __future__ import annotations


class StartupError(Exception):
    """Px cannot start; the message is one line for a person, without secrets.

    Attributes:
        warnings: Lines for stderr, found before the error.
    """

    exit_code = 1
    warnings: tuple[str, ...] = ()


class ConfigError(StartupError):
    """The configuration cannot be used; the message names option, value, origin and what is valid."""

    exit_code = 2


class PortInUseError(StartupError):
    """Another program, or another Px, listens on the port; the message names it if it is known."""

    exit_code = 5


class InstallError(StartupError):
    """Starting Px at login could not be set up or removed; the message names the obstacle."""

    exit_code = 6


class ProgramError(StartupError):
    """The program that Px should run (--run) cannot be run.

    Args:
        message: The reason.
        exit_code: 127: there is no such program; 126: it cannot be run. Shells use the same codes.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class NotRunningError(StartupError):
    """No Px is running."""

    exit_code = 3
