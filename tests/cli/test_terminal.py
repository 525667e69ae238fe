"""The output on stdout and stderr, also to readers that have gone."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys

import pytest

from px.cli import main as main_module
from px.cli.terminal import print_error, print_message, print_warnings
from tests.cli.px_command import run_px
from tests.markdown import ROOT


def test_warnings_go_to_stderr(cwd, app, monkeypatch, capsys):
    monkeypatch.chdir(cwd)
    main_module.run_command(["--proxy=h", "--threads=1"])
    assert capsys.readouterr().err == "px: warning: threads=1: Px needs 3 and uses 3\n"


class Terminal(io.StringIO):
    """A terminal of 60 columns."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def colours(monkeypatch):
    for name, value in (("COLUMNS", "60"), ("TERM", "xterm"), ("WT_SESSION", "1"), ("NO_COLOR", "")):
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("colours")
def test_a_message_fits_the_terminal_and_a_colour_tells_what_it_is():
    with contextlib.redirect_stderr(Terminal()) as terminal:
        print_warnings(["word " * 30])
        print_error("wrong")
        print_message("by the way")
    lines = terminal.getvalue().splitlines()
    assert lines[0].startswith("\x1b[33mpx: warning:\x1b[0m word")
    assert max(len(line) for line in lines[1:]) <= 60
    assert all(line.startswith("    word") for line in lines[1:-2])
    assert lines[-2:] == ["\x1b[31mpx:\x1b[0m wrong", "px: by the way"]


@pytest.mark.usefixtures("colours")
@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb"), ("TERM", None)])
def test_a_terminal_gets_no_colours_if_the_user_or_the_terminal_wants_none(monkeypatch, name, value):
    if name == "TERM" and sys.platform == "win32":
        name, value = "WT_SESSION", None  # an old console
    monkeypatch.delenv(name)
    if value is not None:
        monkeypatch.setenv(name, value)
    with contextlib.redirect_stderr(Terminal()) as terminal:
        print_error("wrong")
    assert terminal.getvalue() == "px: wrong\n"


def test_a_pipe_gets_whole_lines_without_colours(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "60")
    print_error("word " * 30)
    assert capsys.readouterr().err == f"px: {'word ' * 30}\n"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows reports a broken pipe in another way")
def test_a_closed_stdout_causes_no_crash(cwd):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as stdout:
        done = subprocess.run(
            [sys.executable, "-m", "px", "--proxy=127.0.0.1:1", "--explain=http://192.0.2.1/"],
            cwd=cwd,
            stdout=stdout,
            stderr=subprocess.PIPE,
            timeout=30,
            check=False,
        )
    assert (done.returncode, done.stderr) == (4, b"")  # the route leads nowhere
    assert list(cwd.glob("*.log")) == []


def test_a_path_that_the_terminal_cannot_encode_causes_no_crash(cwd):
    done = run_px("--config=\N{SNOWMAN}.ini", "--save", cwd=cwd, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("\\u2603.ini\n")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows reports a broken pipe in another way")
def test_a_reader_that_closes_the_pipe_causes_no_error(cwd):
    command = f'"{sys.executable}" -m px --help | true; exit "${{PIPESTATUS[0]}}"'
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_announcements_of_the_proxy_go_to_stdout(cwd, app, monkeypatch, capsys):
    def announce_itself(_settings, _load, announce, *_):
        announce("Px listens")
        return 0

    monkeypatch.chdir(cwd)
    app.run = announce_itself
    main_module.run_command(["--proxy=h"])
    assert capsys.readouterr() == ("Px listens\n", "")


@pytest.mark.parametrize("show", [print_message, print_error])
def test_what_a_file_says_commands_no_terminal(show, capsys):
    show("F\x9bo\x1b[2J: unknown")
    assert capsys.readouterr().err == "px: F\\x9bo\\x1b[2J: unknown\n"
