"""Secrets that a user types, or that another program sends."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from px.cli.secret_entry import MAX_SECRET_BYTES, read_secret
from px.core.secret import Secret
from px.core.startup_errors import ConfigError

SOURCE = str(Path(__file__).parents[2] / "src")


@pytest.fixture
def stdin(monkeypatch):
    """Return a function that sets what another program has written to stdin."""

    def write(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="ascii"))

    return write


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"pw", "pw"),
        (b"pw\nnot this\n", "pw"),
        (b"pw\r\n", "pw"),
        (b" p w \n", " p w "),
        ("Pässwörd1€\n".encode(), "Pässwörd1€"),
        ("pw\n".encode("utf-8-sig"), "pw"),
        (b"\n", ""),
        (b"", ""),
        (b"x" * MAX_SECRET_BYTES, "x" * MAX_SECRET_BYTES),
    ],
)
def test_the_first_line_from_another_program_is_the_secret(stdin, data, text):
    stdin(data)
    assert read_secret("never asked") == Secret(text)


def test_input_that_is_not_utf_8_is_read_in_the_encoding_of_the_locale(stdin, monkeypatch):
    monkeypatch.setattr("locale.getencoding", lambda: "cp1252")
    stdin("ärger\n".encode("cp1252"))
    assert read_secret("never asked") == Secret("ärger")


def test_input_that_is_not_text_is_refused_and_not_shown(stdin, monkeypatch):
    monkeypatch.setattr("locale.getencoding", lambda: "utf-8")
    stdin(b"pw\xff\n")
    with pytest.raises(ConfigError, match="not text in this locale") as caught:
        read_secret("never asked")
    assert "pw" not in str(caught.value).replace("password", "")
    assert caught.value.__suppress_context__


def test_a_line_that_is_too_long_is_refused(stdin):
    stdin(b"x" * (MAX_SECRET_BYTES + 1))
    with pytest.raises(ConfigError, match=f"longer than {MAX_SECRET_BYTES}"):
        read_secret("never asked")


def test_without_a_console_reading_a_secret_is_an_error(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(ConfigError, match="no terminal"):
        read_secret("never asked")


def ask_at_a_terminal(typed: str) -> tuple[str, str]:
    """Type at a terminal; return the outcome of `read_secret`, and what the terminal showed."""
    import pty  # noqa: PLC0415 - POSIX only

    code = (
        "from px.cli.secret_entry import read_secret\n"
        "try: print('GOT', read_secret('Password: ').reveal().encode().hex())\n"
        "except Exception as error: print('ERROR', error)"
    )
    terminal, end = pty.openpty()
    with subprocess.Popen(
        ["setsid", "--ctty", "--wait", sys.executable, "-c", code],
        stdin=end,
        stdout=subprocess.PIPE,
        stderr=end,
        env={**os.environ, "PYTHONPATH": SOURCE},
        text=True,
    ) as program:
        os.close(end)
        shown = ""
        for line in typed.splitlines(keepends=True):
            while not shown.endswith(": "):  # typing earlier would happen while the echo is still on
                shown += os.read(terminal, 1000).decode()
            os.write(terminal, line.encode())
            shown += " "
        assert program.stdout is not None
        said = program.stdout.read()
    with contextlib.suppress(OSError):  # Linux reports so that the other end is closed
        while data := os.read(terminal, 1000):
            shown += data.decode()
    os.close(terminal)
    return said.strip(), shown


needs_setsid = pytest.mark.skipif(sys.platform != "linux", reason="setsid gives a process its terminal")


@needs_setsid
def test_a_terminal_asks_twice_and_does_not_show_the_secret():
    said, shown = ask_at_a_terminal("ärger\närger\n")
    assert said == f"GOT {'ärger'.encode().hex()}"
    assert shown.split(":")[:2] == ["Password", "  \r\nThe same again"]
    assert "rger" not in shown


@needs_setsid
def test_two_different_passwords_at_a_terminal_are_an_error():
    assert ask_at_a_terminal("one\ntwo\n")[0].startswith("ERROR the two passwords differ")


@needs_setsid
def test_a_terminal_asks_once_when_the_secret_is_empty():
    assert ask_at_a_terminal("\n")[0] == "GOT"


@needs_setsid
def test_the_end_of_input_at_a_terminal_is_an_error():
    assert ask_at_a_terminal("\x04")[0].startswith("ERROR no password was given")
