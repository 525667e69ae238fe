"""The command that starts this Px again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from px import __version__
from px.system.autostart.own_command import find_command, find_own_command


def find(
    directory: Path, program: str, *there: str, is_frozen: bool = False, is_windows: bool = False
) -> list[str]:
    """Return the command that is found if these files exist, with paths below the directory."""
    for name in there:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = find_command(
        directory / program,
        directory / "bin" / "python.exe",
        directory / "src" / "px",
        is_frozen=is_frozen,
        is_windows=is_windows,
    )
    return [word.replace(str(directory), "").replace("\\", "/").lstrip("/") for word in found]


@pytest.mark.parametrize(
    ("program", "there", "expected"),
    [
        ("bin/px", ["bin/px"], ["bin/px"]),
        ("bin/px", [], ["bin/python.exe", "-P", "-m", "px"]),
        ("lib/px/__main__.py", [], ["bin/python.exe", "-P", "-m", "px"]),
        ("src/px/__main__.py", ["px.py"], ["bin/python.exe", "px.py"]),
        ("px.py", ["px.py"], ["bin/python.exe", "px.py"]),
        ("bin/px", ["bin/px", "px.py"], ["bin/px"]),
    ],
    ids=str,
)
def test_the_script_is_preferred_to_the_clone_and_the_clone_to_the_module(tmp_path, program, there, expected):
    assert find(tmp_path, program, *there) == expected


@pytest.mark.parametrize(
    ("program", "there", "expected"),
    [
        ("bin/px", ["bin/pxw.exe"], ["bin/pxw.exe"]),
        ("bin/px.exe", ["bin/pxw.exe"], ["bin/pxw.exe"]),
        ("bin/px.exe", ["bin/px.exe"], ["bin/python.exe", "-P", "-m", "px"]),
        ("bin/px", ["bin/pythonw.exe"], ["bin/pythonw.exe", "-P", "-m", "px"]),
        ("px.py", ["px.py", "bin/pythonw.exe"], ["bin/pythonw.exe", "px.py"]),
    ],
    ids=str,
)
def test_on_windows_the_command_opens_no_window(tmp_path, program, there, expected):
    assert find(tmp_path, program, *there, is_windows=True) == expected


@pytest.mark.parametrize(
    ("there", "is_windows", "expected"),
    [([], False, "bin/python.exe"), ([], True, "bin/python.exe"), (["bin/pxw.exe"], True, "bin/pxw.exe")],
    ids=str,
)
def test_the_command_of_a_binary_is_the_binary(tmp_path, there, is_windows, expected):
    assert find(tmp_path, "px", *there, is_frozen=True, is_windows=is_windows) == [expected]


@pytest.mark.skipif(sys.platform == "win32", reason="a program without a window prints nothing")
def test_the_command_of_this_px_works_anywhere():
    done = subprocess.run(
        [*find_own_command(), "--version"],
        cwd="/",
        env={},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == f"px {__version__}\n"
