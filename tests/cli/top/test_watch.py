"""``px --top`` with a running Px, in a terminal and in a pipe."""

from __future__ import annotations

import io
import os
import signal
import sys

import pytest

from px.cli.top.screen import Printout
from px.cli.top.traffic import ASCII_LEVELS, BLOCKS
from tests.px_process import PxProcess, run_action

ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"


@pytest.fixture
def place(tmp_path):
    tmp_path.chmod(0o700)
    return tmp_path


@pytest.mark.shows("--top")
@pytest.mark.skipif(sys.platform == "win32", reason="a pseudo-terminal of POSIX")
def test_a_terminal_shows_the_state_until_q_is_pressed_or_px_ends(place):
    from tests.terminal import Terminal  # noqa: PLC0415 - not on Windows

    with PxProcess(place, "--noproxy=*") as px:
        command = [sys.executable, "-m", "px", f"--port={px.port}", "--top"]
        environ = {**px.environment, "TERM": "xterm", "NO_COLOR": "1"}
        with Terminal(command, environ) as terminal:
            terminal.read_until(lambda text: f"pid {px.pid}, up" in text)
            terminal.resize(40, 10)
            shown = terminal.read_until(lambda text: text.count("\x1b[H") > 1)
            assert all(len(line) <= 40 for line in shown.rpartition("\x1b[H")[2].split("\r\n\x1b[K")[1:])
            assert "\x1b[1m" not in shown
            os.kill(terminal.process.pid, signal.SIGTERM)
            assert terminal.read_to_end().rstrip().endswith(LEAVE)
            assert terminal.process.returncode == -signal.SIGTERM
        with Terminal(command, {**environ, "NO_COLOR": ""}) as terminal:
            terminal.read_until(lambda text: "\x1b[1mPx" in text)
            terminal.press("q")
            assert terminal.read_to_end().endswith(LEAVE)
            assert terminal.process.returncode == 0
        with Terminal(command, environ) as terminal:
            terminal.read_until(lambda text: ENTER in text)
            px.stop()
            assert f"{LEAVE}px: Px, pid {px.pid}, has ended" in terminal.read_to_end()
            assert terminal.process.returncode == 3


@pytest.mark.shows("--top")
def test_a_pipe_gets_whole_lines_without_codes_and_may_close(place):
    with PxProcess(place, "--noproxy=*") as px:
        process = px.start_command("--top")
        with process:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(4)]
            process.stdout.close()
            assert process.wait(20) == 0
            assert process.stderr is not None
            assert process.stderr.read() == ""
        assert lines[0].startswith(f"Px 0.1.0, pid {px.pid}, up ")
        assert "\x1b" not in "".join(lines)


def test_the_exit_code_is_3_where_no_px_runs(place):
    done = run_action(place, "--top", "--port=1")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("px: Px is not running on port 1")


def test_plots_have_characters_that_the_output_can_encode():
    encodings = {"utf-8": BLOCKS, "ascii": ASCII_LEVELS, "cp1252": ASCII_LEVELS}
    for encoding, levels in encodings.items():
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        assert Printout(stream, None).find_space().levels == levels
