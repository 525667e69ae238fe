"""The guard that fails a test which uses directories or ports other than its own."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from platformdirs import user_state_path

from px.system.state.installation import load_installation, state_directory
from tests.guard import Home, default_port_in_use
from tests.px_process import DEFAULT_PORT


def test_the_guard_finds_files_that_px_leaves_in_the_unused_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in Home.VARIABLES:
        monkeypatch.setenv(
            name, os.environ[name]
        )  # set to their present values, so that monkeypatch restores them
    home = Home(tmp_path)
    load_installation(state_directory())
    assert home.find_traces() == [user_state_path("px", appauthor=False)]
    assert home.find_traces() == []


def test_the_default_port_is_in_use() -> None:
    # The test opens the port, too, since another test run that held it may have ended.
    with default_port_in_use(), socket.socket() as sock, pytest.raises(OSError):
        sock.bind(("127.0.0.1", DEFAULT_PORT))
