"""The launch agent, read by the standard library's reader of property lists."""

from __future__ import annotations

import os
import plistlib
import sys
from pathlib import Path

import pytest

from px.system.autostart.macos import LaunchAgent
from px.system.autostart.start import Start

COMMAND = ("/Applications/P & x/px", "--config=/Users/a b/<100%> \"q\" 'ä'.ini", "--foreground")
START = Start(COMMAND, Path("/Users/a b"))


@pytest.fixture
def agent(tmp_path):
    return LaunchAgent(tmp_path / "LaunchAgents", 501)


@pytest.fixture(autouse=True)
def launchctl(tmp_path, monkeypatch):
    """A fake launchctl that records its arguments."""
    program, notes = tmp_path / "bin" / "launchctl", tmp_path / "notes"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> {notes}\n')
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return notes


def test_launchd_gets_every_word_of_the_command_and_starts_px_at_login(agent):
    agent.write(START)
    content = plistlib.loads(Path(agent.place).read_bytes())
    assert content["ProgramArguments"] == list(COMMAND)
    assert content["WorkingDirectory"] == str(START.directory)
    assert (content["Label"], content["RunAtLoad"]) == ("px-proxy", True)
    assert Path(agent.place).name == f"{content['Label']}.plist"


def test_launchd_does_not_restart_px_with_a_wrong_configuration(agent):
    agent.write(START)
    assert plistlib.loads(Path(agent.place).read_bytes())["KeepAlive"] == {"Crashed": True}


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")
def test_launchd_enables_and_starts_the_agent(agent, launchctl):
    agent.write(START)
    assert launchctl.read_text() == "enable gui/501/px-proxy\n"
    assert agent.start_now()
    assert launchctl.read_text().splitlines()[1:] == [f"bootstrap gui/501 {agent.place}"]


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")
def test_an_agent_that_launchd_has_already_is_only_started(agent, launchctl, tmp_path):
    program = tmp_path / "bin" / "launchctl"
    program.write_text(f'{program.read_text()}[ "$1" != bootstrap ]\n')
    agent.write(START)
    assert agent.start_now()
    assert launchctl.read_text().splitlines()[2:] == ["kickstart gui/501/px-proxy"]


def test_reading_returns_what_was_written_or_none(agent):
    assert agent.read() is None
    agent.write(START)
    assert agent.read() == agent.format(START)


@pytest.mark.parametrize("content", [b"", b"<plist>", plistlib.dumps({}), plistlib.dumps([1])], ids=repr)
def test_a_file_without_a_command_differs_from_the_agent_of_px(agent, content):
    Path(agent.place).parent.mkdir()
    Path(agent.place).write_bytes(content)
    assert agent.read() == "no command"


def test_a_second_removal_succeeds(agent):
    agent.write(START)
    agent.remove()
    agent.remove()
    assert list(Path(agent.place).parent.iterdir()) == []
