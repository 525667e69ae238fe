"""The settings of git, npm and pip are those that these programs use."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from px.checks import program_settings
from px.checks.program_settings import find_tool_settings

PROXY = "http://proxy.test:8080"


@pytest.fixture(autouse=True)
def no_settings_of_this_computer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program_settings, "PIP_FILE", tmp_path / "none")


def environment(home: Path) -> dict[str, str]:
    system = {"HOME": str(home), "USERPROFILE": str(home), "APPDATA": str(home), "GIT_CONFIG_NOSYSTEM": "1"}
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    return {**kept, **system}


def test_there_are_none_in_an_empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert list(find_tool_settings(environment(tmp_path))) == []
    assert list(find_tool_settings({})) == []


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_what_git_itself_has_written_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    environ = environment(tmp_path)
    for key in ("http.proxy", "http.https://a.test.proxy"):
        subprocess.run(["git", "config", "--global", key, PROXY], env=environ, check=True)
    found = [tuple(each) for each in find_tool_settings(environ)]
    assert found == [("git", "http.proxy", PROXY), ("git", "http.https://a.test.proxy", PROXY)]


def test_what_pip_itself_has_written_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    environ = environment(tmp_path)
    command = [sys.executable, "-m", "pip", "config", "--user", "set", "global.proxy", PROXY]
    if subprocess.run(command, env=environ, capture_output=True, check=False).returncode:
        pytest.skip("needs pip")
    assert [tuple(each) for each in find_tool_settings(environ)] == [("pip", "global.proxy", PROXY)]
    named = {**environ, "PIP_PROXY": "http://b.test"}
    assert [each.value for each in find_tool_settings(named)] == ["http://b.test"]


def test_a_file_that_is_no_ini_is_left_out(tmp_path: Path) -> None:
    broken = tmp_path / "pip.conf"
    broken.write_text("proxy = x\n")
    assert list(find_tool_settings({"HOME": str(tmp_path), "PIP_CONFIG_FILE": str(broken)})) == []
