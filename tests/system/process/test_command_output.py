"""Output of the system's tools, and tools that fail."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from px.system.process.command_output import read_command_output

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Px runs no tool on Windows")


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
    assert read_command_output("tool", "one", "two words", environ=environ) == (
        "C.UTF-8 of the environment one two words 2\n\xe4\ufffd"
    )


def test_a_tool_that_fails_or_is_missing_has_no_output(
    tmp_path: Path, environ: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    assert read_command_output("px-test-no-such-tool", environ=environ) is None
    make_tool(tmp_path, "echo output; echo reason >&2; exit 3")
    with caplog.at_level(logging.DEBUG, "px"):
        assert read_command_output("tool", environ=environ) is None
    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (logging.DEBUG, "tool ended with 3: b'reason\\n'")


def test_px_gives_up_a_tool_that_does_not_answer(
    tmp_path: Path, environ: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    make_tool(tmp_path, "exec sleep 60")
    with pytest.raises(TimeoutError, match="tool does not answer"):
        read_command_output("tool", environ=environ, timeout_seconds=0.2)
    assert "timed out after 0.2 seconds" in caplog.text


def test_without_a_free_descriptor_the_output_of_a_tool_is_unknown(
    tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise Px would conclude that no proxy is set, and connect directly."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(TimeoutError, match="tool cannot be run now"):
        read_command_output("tool", environ=environ)


def test_px_gives_up_a_tool_that_cannot_be_run(
    tmp_path: Path, environ: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "tool").write_bytes(b"\x7fELF")
    (tmp_path / "tool").chmod(0o755)
    assert read_command_output("tool", environ=environ) is None
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
    assert read_command_output("tool", environ=environ) == f"{seen}\n"
