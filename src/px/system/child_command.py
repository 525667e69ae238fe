"""How Px starts a process of its own: a worker, or itself in the background."""

from __future__ import annotations

import os
import sys

#: First arguments that no user gives: this process is a worker, or the Px that runs in the background.
WORKER_ARGUMENT = "--px-worker"
BACKGROUND_ARGUMENT = "--px-background"

#: The child imports what its parent does, however that was started: by ``px``, ``python -m px``, ``px.py``.
_START = "import os, sys; sys.path[:] = sys.argv.pop(1).split(os.pathsep); from px.cli import main; main()"


def is_frozen() -> bool:
    """Whether this is a binary that brings its own Python (PyInstaller)."""
    return bool(getattr(sys, "frozen", False))


def child_command(*arguments: str) -> list[str]:
    """Return the command that runs this program with these arguments."""
    if is_frozen():
        return [sys.executable, *arguments]
    return [_interpreter(), "-c", _START, os.pathsep.join(sys.path), *arguments]


def child_environment() -> dict[str, str]:
    """Return the environment for it."""
    if _interpreter() == sys.executable:
        return dict(os.environ)
    return {**os.environ, "__PYVENV_LAUNCHER__": sys.executable}


def _interpreter() -> str:
    """Return the executable to start.

    In a virtual environment on Windows `sys.executable` is a launcher, which would start the interpreter as
    one more process, with an id of its own. The standard library's multiprocessing goes around it likewise.
    """
    if sys.platform == "win32" and sys.prefix != sys.base_prefix:
        return str(getattr(sys, "_base_executable", sys.executable))
    return sys.executable
