"""Why Px does not start: failures for the person at the command line, each with its exit code.

::

    StartupError                     one line on stderr, no traceback
    ├── ConfigError                  exit 2: an option, a file or a combination that cannot work
    ├── PortInUseError               exit 5: somebody listens there already
    └── InstallError                 exit 6: starting at login cannot be set up or taken back
"""

from __future__ import annotations


class StartupError(Exception):
    """Px cannot start; the message is one line for a person, with no secret in it.

    Attributes:
        warnings: Lines for stderr that were found before it.
    """

    exit_code = 1
    warnings: tuple[str, ...] = ()


class ConfigError(StartupError):
    """The configuration cannot be used; the message names option, value, origin and what is valid."""

    exit_code = 2


class PortInUseError(StartupError):
    """Another program, or another Px, listens on the port; the message names it where it is known."""

    exit_code = 5


class InstallError(StartupError):
    """Starting Px at login could not be set up or taken back; the message says what is in the way."""

    exit_code = 6
