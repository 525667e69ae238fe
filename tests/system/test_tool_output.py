"""Tools of the system: how they are asked, and what becomes of those that fail."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from px.system.tool_output import read_tool

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no tool is asked on Windows")


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"PATH": f"{tmp_path}:{os.environ['PATH']}"}


def make_tool(tmp_path: Path, script: str) -> None:
    tool = tmp_path / "tool"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)


def test_a_tool_gets_its_arguments_and_answers_in_english_and_utf_8(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    make_tool(tmp_path, 'echo "$LC_ALL $NAME $1 $2 $#"; printf "\\303\\244\\377"; cat')
    environ |= {"NAME": "of the environment", "LC_ALL": "de_DE.UTF-8"}
    assert read_tool("tool", "one", "two words", environ=environ) == (
        "C.UTF-8 of the environment one two words 2\n\xe4\ufffd"
    )


def test_a_tool_that_fails_or_is_not_there_says_nothing(
    tmp_path: Path, environ: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    assert read_tool("px-test-no-such-tool", environ=environ) is None
    make_tool(tmp_path, "echo output; echo reason >&2; exit 3")
    with caplog.at_level(logging.DEBUG, "px"):
        assert read_tool("tool", environ=environ) is None
    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (logging.DEBUG, "tool ended with 3: b'reason\\n'")


def test_a_tool_that_does_not_answer_is_given_up(
    tmp_path: Path, environ: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    make_tool(tmp_path, "exec sleep 60")
    with pytest.raises(TimeoutError, match="tool does not answer"):
        read_tool("tool", environ=environ, timeout_seconds=0.2)
    assert "timed out after 0.2 seconds" in caplog.text


def test_without_a_descriptor_left_it_is_not_known_what_a_tool_would_say(
    tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else Px would take it for settings that name no proxy, and go there directly."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(TimeoutError, match="tool cannot be run now"):
        read_tool("tool", environ=environ)


def test_a_tool_that_cannot_be_run_is_given_up(
    tmp_path: Path, environ: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "tool").write_bytes(b"\x7fELF")
    (tmp_path / "tool").chmod(0o755)
    assert read_tool("tool", environ=environ) is None
    assert "Exec format error" in caplog.text


@pytest.mark.parametrize(
    ("is_frozen", "original", "seen"),
    [(True, "/own", "/own"), (True, "", "none"), (False, "/own", "/bundle")],
)
def test_a_tool_of_a_binary_of_px_finds_the_libraries_of_the_system(
    tmp_path: Path,
    environ: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    is_frozen: bool,
    original: str,
    seen: str,
) -> None:
    make_tool(tmp_path, "echo ${LD_LIBRARY_PATH-none}")
    monkeypatch.setattr(sys, "frozen", is_frozen, raising=False)
    environ["LD_LIBRARY_PATH"] = "/bundle"
    if original:
        environ["LD_LIBRARY_PATH_ORIG"] = original
    assert read_tool("tool", environ=environ) == f"{seen}\n"
