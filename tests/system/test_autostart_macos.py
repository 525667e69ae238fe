"""The launch agent, read by the standard library's reader of property lists."""

from __future__ import annotations

import os
import plistlib
import sys
from pathlib import Path

import pytest

from px.system.autostart import Start
from px.system.autostart_macos import LaunchAgent

COMMAND = ("/Applications/P & x/px", "--config=/Users/a b/<100%> \"q\" 'ä'.ini", "--foreground")
START = Start(COMMAND, Path("/Users/a b"))


@pytest.fixture
def agent(tmp_path):
    return LaunchAgent(tmp_path / "LaunchAgents", 501)


@pytest.fixture(autouse=True)
def launchctl(tmp_path, monkeypatch):
    """A stand-in for launchctl, which notes what it is told."""
    program, notes = tmp_path / "bin" / "launchctl", tmp_path / "notes"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> {notes}\n')
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return notes


def test_launchd_gets_every_word_and_starts_it_at_login(agent):
    agent.write(START)
    content = plistlib.loads(Path(agent.place).read_bytes())
    assert content["ProgramArguments"] == list(COMMAND)
    assert content["WorkingDirectory"] == str(START.directory)
    assert (content["Label"], content["RunAtLoad"]) == ("px-proxy", True)
    assert Path(agent.place).name == f"{content['Label']}.plist"


def test_it_is_not_started_again_and_again_with_a_wrong_configuration(agent):
    agent.write(START)
    assert plistlib.loads(Path(agent.place).read_bytes())["KeepAlive"] == {"Crashed": True}


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")
def test_launchd_is_told_that_it_is_wanted(agent, launchctl):
    hint = agent.write(START)
    assert launchctl.read_text() == "enable gui/501/px-proxy\n"
    assert hint.startswith("To start it now: launchctl bootstrap gui/501 ")
    assert agent.place in hint


def test_reading_gives_what_was_written_and_none_without(agent):
    assert agent.read() is None
    agent.write(START)
    assert agent.read() == agent.format(START)


@pytest.mark.parametrize("content", [b"", b"<plist>", plistlib.dumps({}), plistlib.dumps([1])], ids=repr)
def test_a_file_without_a_command_is_something_else(agent, content):
    Path(agent.place).parent.mkdir()
    Path(agent.place).write_bytes(content)
    assert agent.read() == "no command"


def test_removing_twice_is_fine(agent):
    agent.write(START)
    agent.remove()
    agent.remove()
    assert list(Path(agent.place).parent.iterdir()) == []
