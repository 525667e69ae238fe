"""A program that runs in place of this process: its exit code, its signals, its limits."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from px.core.startup_errors import ProgramError
from px.system.process import foreground
from px.system.process.foreground import find_program, run_in_foreground
from px.system.process.open_files import read_limits

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs sh and signals")


@contextlib.contextmanager
def handling(number: int, handler: Any) -> Iterator[None]:
    """Handle a signal in this way while the context lasts."""
    old = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, old)


async def run_python(code: str) -> int:
    return await run_in_foreground([sys.executable, "-c", code], os.environ, read_limits())


async def run_sh(code: str) -> int:
    return await run_in_foreground(["sh", "-c", code], os.environ, read_limits())


async def test_the_exit_code_is_that_of_the_program() -> None:
    assert await run_python("raise SystemExit(7)") == 7


def test_a_program_that_does_not_exist_is_error_127() -> None:
    with pytest.raises(ProgramError, match=r"^--run: no-such-program: there is no such program$") as caught:
        find_program(["no-such-program", "x"])
    assert caught.value.exit_code == 127


@posix
async def test_a_file_that_is_no_program_is_error_126(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    command = find_program([str(tmp_path / "file")])
    with pytest.raises(ProgramError, match=r"file: cannot be run: permission denied$") as caught:
        await run_in_foreground(command, os.environ, read_limits())
    assert caught.value.exit_code == 126


@pytest.mark.skipif(sys.platform != "win32", reason="only Windows has .cmd files")
async def test_windows_finds_programs_that_are_cmd_files(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "tool.cmd").write_text("@exit /b 7\n")
    monkeypatch.setenv("PATH", f"{tmp_path};{os.environ['PATH']}")
    command = find_program(["tool", "x"])
    assert await run_in_foreground(command, os.environ, read_limits()) == 7


@posix
async def test_a_signal_that_ends_the_program_is_a_negative_code() -> None:
    assert await run_sh("kill -TERM $$") == -signal.SIGTERM


@posix
@pytest.mark.parametrize("has_terminal", [False, True])
async def test_signals_go_to_the_program_except_those_that_a_terminal_has_sent_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, has_terminal: bool
) -> None:
    monkeypatch.setattr(foreground, "_has_terminal", lambda: has_terminal)
    ready = tmp_path / "ready"
    os.mkfifo(ready)
    traps = "trap 'exit 10' INT; trap 'exit 11' TERM"
    with handling(signal.SIGINT, signal.default_int_handler):  # ignored where the tests run in the background
        running = asyncio.create_task(run_sh(f"{traps}; echo ready >'{ready}'; while :; do sleep 0.01; done"))
        await asyncio.to_thread(ready.read_text)
        os.kill(os.getpid(), signal.SIGINT)
        if has_terminal:
            os.kill(os.getpid(), signal.SIGTERM)
        assert await running == (11 if has_terminal else 10)


@posix
async def test_the_program_has_the_files_that_a_shell_has_opened_for_it() -> None:
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    with os.fdopen(reading, "rb") as read_end, os.fdopen(writing, "wb", closefd=False):
        assert await run_sh(f"echo seen >/dev/fd/{writing}") == 0
        os.close(writing)
        assert read_end.read() == b"seen\n"


@posix
async def test_a_program_that_may_not_be_signalled_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(subprocess.Popen, "send_signal", refuse)  # as for sudo
    assert await run_sh(f"kill -TERM {os.getpid()}; exit 7") == 7


@posix
async def test_a_signal_that_this_process_ignores_is_ignored_by_the_program_too() -> None:
    with handling(signal.SIGHUP, signal.SIG_IGN):  # as nohup does
        assert await run_sh("kill -HUP $$; exit 7") == 7


@posix
async def test_the_program_has_the_limits_that_px_was_started_with() -> None:
    own = read_limits()
    command = ["sh", "-c", 'exit "$(ulimit -n)"']
    assert await run_in_foreground(command, os.environ, (77, own[1])) == 77
    assert read_limits() == own
