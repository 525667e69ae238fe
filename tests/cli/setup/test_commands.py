"""The commands that ``px --setup`` names keep what was answered already, and can be pasted."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from px.cli.invocation import load_invocation
from px.cli.setup.commands import format_password_commands, format_setup
from tests.guard import home_variables


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o700)
    for name, value in home_variables(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["python"])


@pytest.mark.skipif(sys.platform == "win32", reason="a command of a POSIX shell")
def test_a_command_keeps_the_options_and_the_shell_reads_it_back() -> None:
    arguments = ["--setup=http://a.test/", "--yes", "--proxy=p:1", "--noproxy=*.a.test,10.*", "--port=3200"]
    command = format_setup(load_invocation(arguments), port="3201")
    assert shlex.split(command) == ["px", *arguments[:-1], "--port=3201"]
    assert "'--noproxy=*.a.test,10.*'" in command
    assert format_setup(load_invocation(["--setup"])) == "px --setup"


@pytest.mark.parametrize(
    ("is_windows", "begins"), [(False, "read -rs PX_PASSWORD;"), (True, "$env:PX_PASSWORD =")]
)
def test_a_password_never_stands_in_a_command(is_windows: bool, begins: str) -> None:
    known = load_invocation(["--setup", "--proxy=p:1", "--username=alice@CORP"])
    ask, again = format_password_commands(known, is_windows=is_windows)
    assert ask.startswith(begins)
    assert "--proxy=p:1" in again
    assert "--username=alice@CORP" in again
    assert r"--username=DOMAIN\user" in format_password_commands(load_invocation(["--setup"]))[1]
