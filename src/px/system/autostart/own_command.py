"""Finds the command that starts this installation of Px from any directory."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

import px

_NAMES: Final = frozenset({"px", "pxw"})


def find_own_command() -> list[str]:
    """Return the command that starts this Px; on Windows a command that opens no window."""
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
    """Return the command that starts Px.

    Args:
        program: The program that the user started: the binary, the script ``px`` or ``px.py`` of a clone.
        python: The Python interpreter; if Px is a binary, the binary.
        package: Directory of the package ``px``.
        is_frozen: Whether Px is a binary.
        is_windows: Whether to look for ``pxw`` and ``pythonw``, which open no window.
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
    # -P: do not import a module named px from the working directory
    return [interpreter, "-P", "-m", "px"]


def _windowless(program: Path, name: str, *, is_windows: bool) -> Path:
    """Return the program of that name in the same directory if there is one, else the program itself."""
    other = program.with_name(name)
    return other if is_windows and other.is_file() else program
