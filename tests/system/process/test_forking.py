"""Whether a process can be forked, and what a fork of it has open, as Linux shows it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from px.system.process.forking import can_fork

if sys.platform != "linux":

    def test_only_linux_can_fork() -> None:
        assert not can_fork()


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks")

_CAN_FORK = "from px.system.process.forking import can_fork; print(can_fork())"
_THREAD = "import threading; go = threading.Event(); threading.Thread(target=go.wait).start(); "
_FORK = """
import os, sys
from px.system.process.forking import fork, keep_open
sys.stdout.write("once ")
kept, other = os.pipe()
stand_in = sys.stdout = os.fdopen(os.dup(1), "w")
pid = fork()
if pid == 0:
    keep_open([kept])
    print(sys.stdout is sys.__stdout__, stand_in.closed, os.readlink("/proc/self/fd/0"))
    print(sorted(map(int, os.listdir("/proc/self/fd")))[:-1] == [0, 1, 2, kept], sys.stdin.read() == "")
else:
    os.waitpid(pid, 0)
sys.stdout.flush()
os._exit(0)
"""


def run(code: str, shell_end: str = "") -> str:
    """Run Python code, whose standard input has a line, and return what it prints."""
    command = ["sh", "-c", f'exec "$@" {shell_end}', "sh", sys.executable, "-c", code]
    environment = {"PYTHONPATH": str(Path(__file__).parents[3] / "src")}
    done = subprocess.run(
        command, env=environment, input="line\n", capture_output=True, text=True, check=True
    )
    assert not done.stderr
    return done.stdout


def test_a_process_with_one_thread_can_be_forked() -> None:
    assert run(_CAN_FORK) == "True\n"


def test_a_process_with_another_thread_cannot_be_forked() -> None:
    assert run(f"{_THREAD}{_CAN_FORK}; go.set()") == "False\n"


def test_a_process_without_standard_input_cannot_be_forked() -> None:
    assert run(_CAN_FORK, "<&-") == "False\n"


def test_a_fork_has_no_descriptor_but_those_it_keeps_and_prints_nothing_twice() -> None:
    assert run(_FORK) == "once True True /dev/null\nTrue True\n"
