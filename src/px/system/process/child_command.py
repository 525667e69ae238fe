"""The commands and environments of the processes that Px starts: workers, PAC scripts, Px in the background.

Python gets ``-P``, so that it imports nothing from the working directory, which may belong to another user.
``-P`` also avoids a fault of Python 3.13.0, which looks in the working directory for modules that hide those
of the standard library, and fails if that directory has been removed ("error return without exception set").
"""

from __future__ import annotations

import os
import sys

#: First arguments that Px alone gives: run as a worker, as the Px in the background, or as the process of a
#: PAC script.
WORKER_ARGUMENT = "--px-worker"
BACKGROUND_ARGUMENT = "--px-background"
PAC_ARGUMENT = "--px-pac"

#: The child gets the import path of its parent: the user may run ``px``, ``python -m px`` or ``px.py``.
_START = (
    "import os, sys; sys.path[:] = sys.argv.pop(1).split(os.pathsep); from px.cli.main import main; main()"
)

#: The variables that a process without secrets gets: where libraries and Python are, and the time zone.
_BARE = {
    "PATH",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "PYTHONHOME",
    "__PYVENV_LAUNCHER__",
    "SYSTEMROOT",
    "TZ",
    "TZDIR",
}


def is_frozen() -> bool:
    """Whether this is a binary that brings its own Python (PyInstaller)."""
    return bool(getattr(sys, "frozen", False))


def child_command(*arguments: str) -> list[str]:
    """Return the command that runs this program with these arguments."""
    if is_frozen():
        return [sys.executable, *arguments]
    return [_interpreter(), "-P", "-c", _START, os.pathsep.join(sys.path), *arguments]


def bare_command(*arguments: str) -> list[str]:
    """Return the command that runs this program in any directory, without Python's site packages."""
    if is_frozen():
        return [sys.executable, *arguments]
    places = [os.path.abspath(place) for place in sys.path]  # noqa: PTH100 - an empty text is the working directory
    return [_interpreter(), "-P", "-S", "-c", _START, os.pathsep.join(places), *arguments]


def child_environment() -> dict[str, str]:
    """Return the environment for `child_command`."""
    if _interpreter() == sys.executable:
        return dict(os.environ)
    return {**os.environ, "__PYVENV_LAUNCHER__": sys.executable}


def bare_environment() -> dict[str, str]:
    """Return the few environment variables that Python and the system need; none holds a secret."""
    return {name: value for name, value in child_environment().items() if name.upper() in _BARE}


def _interpreter() -> str:
    """Return the Python executable to start.

    In a virtual environment on Windows `sys.executable` is a launcher, which starts the interpreter as a
    further process with an id of its own. The multiprocessing module avoids the launcher in the same way.
    """
    if sys.platform == "win32" and sys.prefix != sys.base_prefix:
        return str(getattr(sys, "_base_executable", sys.executable))
    return sys.executable
