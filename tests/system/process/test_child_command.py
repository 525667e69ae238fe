"""The environment and the command of the processes that Px starts."""

from __future__ import annotations

import os
import subprocess

import pytest

from px import __version__
from px.system.process.child_command import bare_environment, child_command


def test_the_bare_environment_has_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PX_PASSWORD", "secret")
    monkeypatch.setenv("http_proxy", "http://alice:secret@proxy.corp.example")
    bare = bare_environment()
    assert "secret" not in "".join(bare.values())
    assert bare["PATH"] == os.environ["PATH"]


def test_the_command_of_a_child_runs_this_program() -> None:
    # It has an input, since Wine requires a pipe for each of the three standard handles.
    done = subprocess.run(child_command("--version"), input="", capture_output=True, text=True, check=True)
    assert done.stdout == f"px {__version__}\n"
