"""The command that starts this very Px again, from anywhere."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

import px

_NAMES: Final = frozenset({"px", "pxw"})


def find_own_command() -> list[str]:
    """Return the command of the running Px; on Windows one that opens no window."""
    return find_command(
        Path(sys.argv[0]).absolute(),
        Path(sys.executable),
        Path(px.__file__).parent,
        is_frozen=bool(getattr(sys, "frozen", False)),
        is_windows=os.name == "nt",
    )


def find_command(
    program: Path, python: Path, package: Path, *, is_frozen: bool, is_windows: bool
) -> list[str]:
    """Return how to start Px.

    Args:
        program: What was started: the binary, the script ``px`` of an installation, ``px.py`` of a clone.
        python: The interpreter; for a binary, the binary.
        package: Directory of the package ``px``.
        is_frozen: Whether Px is a binary.
        is_windows: Whether ``pxw`` and ``pythonw`` are looked for.
    """
    if is_frozen:
        return [str(_windowless(python, "pxw.exe", is_windows=is_windows))]
    if program.stem in _NAMES and program.suffix in {"", ".exe"}:
        script = program.with_name("pxw.exe") if is_windows else program
        if script.is_file():
            return [str(script)]
    interpreter = str(_windowless(python, "pythonw.exe", is_windows=is_windows))
    launcher = package.parent.parent / "px.py"
    if launcher.is_file():  # a clone
        return [interpreter, str(launcher)]
    # -P: never a module of that name in whatever directory it is started in
    return [interpreter, "-P", "-m", "px"]


def _windowless(program: Path, name: str, *, is_windows: bool) -> Path:
    """Return the program of that name beside another, if there is one."""
    other = program.with_name(name)
    return other if is_windows and other.is_file() else program
