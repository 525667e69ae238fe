"""Px at a Windows console: the console program ``px``, and ``pxw``, which has no console of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.px_process import STOP_SECONDS, PxProcess, until
from tests.windows import PYTHONW, running_apart

pytest.importorskip("winreg", reason="needs a Windows console")
assert sys.platform == "win32"

_WAYS = [pytest.param("start", sys.executable, id="px"), pytest.param("start_apart", PYTHONW, id="pxw")]


class Console:
    """A console and a Px started at it; see console_session.py.

    Attributes:
        pid: Process id of Px.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.pid = 0

    def do(self, *words: object) -> Any:
        """Send a command to console_session.py and return its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{json.dumps(words)}\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        """Wait for a condition; after too long fail with the text of the console."""
        until(is_so, lambda: f"the console shows {self.text!r}")

    def wait_for_text(self, text: str) -> None:
        """Wait until the console shows this text."""
        self.wait_until(lambda: text in self.text)

    @property
    def text(self) -> str:
        """The text that the console shows."""
        return str(self.do("text"))


@contextmanager
def px_at_a_console(px: PxProcess, way: str, python: str, *arguments: str) -> Iterator[Console]:
    """Start Px at a new console."""
    session = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("console_session.py"))],
        cwd=px.directory,
        env=px.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        creationflags=subprocess.CREATE_NO_WINDOW,
    )
    with session:
        console = Console(session)
        try:
            console.pid = console.do(way, python, "-m", "px", f"--port={px.port}", "--noproxy=*", *arguments)
            yield console
        finally:
            session.kill()
            px.command("--quit")


@pytest.mark.parametrize(("way", "python"), _WAYS)
@pytest.mark.shows("--foreground")
def test_px_in_the_foreground_shares_the_console_and_ends_by_ctrl_c(
    tmp_path: Path, way: str, python: str
) -> None:
    px = PxProcess(tmp_path)
    with px_at_a_console(px, way, python, "--foreground") as console:
        console.wait_for_text("Ctrl-C ends it.")
        assert console.text.startswith(f"Px listens on 127.0.0.1:{px.port}")
        assert console.pid in console.do("members")
        console.do("press_ctrl_c")
        assert console.do("wait", STOP_SECONDS) == 0
        assert px.command("--status").returncode == 3


def test_pxw_tells_the_console_where_it_runs_and_then_leaves_the_console(tmp_path: Path) -> None:
    px = PxProcess(tmp_path)
    with px_at_a_console(px, "start_apart", PYTHONW, "--workers=1") as console:
        console.wait_for_text(f"px --quit --port={px.port} ends it.")
        runs = f"Px runs in the background, pid {console.pid}, and listens on 127.0.0.1:{px.port}"
        assert console.text.startswith(runs)
        console.wait_until(lambda: console.pid not in console.do("members"))
        console.do("press_ctrl_c")
        assert console.do("wait", 1) is None
        assert px.status()["pid"] == console.pid
        assert px.command("--quit").returncode == 0
        assert console.do("wait", STOP_SECONDS) == 0


@pytest.mark.parametrize(("way", "python"), _WAYS)
def test_px_reports_a_failure_at_the_console(tmp_path: Path, way: str, python: str) -> None:
    with px_at_a_console(PxProcess(tmp_path), way, python, "--idle=soon") as console:
        console.wait_for_text("px: --idle=soon")
        assert console.do("wait", STOP_SECONDS) == 2


def test_pxw_also_runs_without_any_console(tmp_path: Path) -> None:
    px = PxProcess(tmp_path)
    command = [PYTHONW, "-m", "px", f"--port={px.port}", "--noproxy=*", "--workers=1"]
    with running_apart(px, command) as process:
        assert px.status()["pid"] == process.pid
        assert px.command("--quit").returncode == 0
        assert process.wait(STOP_SECONDS) == 0
