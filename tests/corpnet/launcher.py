"""The process that starts, keeps and ends every other process of the network.

It runs as a child of the test runner and reads one JSON request per line from
its standard input. When that input ends, for whatever reason (a normal stop, a
failed start, a killed runner), it ends every process that it has started and
removes the private directory. As "child subreaper" it inherits orphaned
grandchildren, so no process escapes: it is done when it has no children left.

This file is run by its path and imports nothing else of this package.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_MAX_FILES = 16384

_prctl = ctypes.CDLL(None, use_errno=True).prctl


class Launcher:
    """Answers requests until its input ends, then ends all processes and removes their files."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    def serve(self) -> None:
        """Answer one request per input line."""
        for line in sys.stdin:
            try:
                answer = self._answer(json.loads(line))
            except (OSError, LookupError, subprocess.SubprocessError) as error:
                answer = {"error": str(error)}
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["operation"] == "spawn":
            return {"pid": self._spawn(request)}
        self._reap()
        return {"exit_code": self._children[request["pid"]].returncode}

    def _spawn(self, request: dict[str, Any]) -> int:
        account = {}
        if request["user"] is not None:
            account = {"user": request["user"], "group": request["group"], "extra_groups": []}
        with Path(request["log"]).open("ab") as log, _input(request["stdin"]) as stdin:
            child = subprocess.Popen(
                request["argv"],
                env=request["env"],
                cwd=request["cwd"],
                stdin=stdin,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - there are no threads here
                **account,
            )
        self._children[child.pid] = child
        return child.pid

    def _reap(self) -> bool:
        """Collect ended children, adopted ones too; false when none are left at all."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid in self._children:
                self._children[pid].returncode = os.waitstatus_to_exitcode(status)

    def end_everything(self) -> None:
        """Kill every process below this one and remove their files.

        No process has data worth saving.
        """
        while self._reap():
            for pid in _children_of(os.getpid()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)
        remove_traces(self._directory)


def remove_traces(directory: Path) -> None:
    """Remove the private directory and the shared memory that Squids named after it."""
    for segment in Path("/dev/shm").glob(shared_memory_prefix(directory) + "*"):
        with contextlib.suppress(FileNotFoundError):
            segment.unlink()
    shutil.rmtree(directory, ignore_errors=True)


def shared_memory_prefix(directory: Path) -> str:
    """Return the prefix of the service names of the Squids in this directory (only letters and digits)."""
    return directory.name.replace("-", "")


def _children_of(parent: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            after_name = stat.read_text(errors="replace").rpartition(")")[2].split()
            if int(after_name[1]) == parent:
                found.append(int(stat.parent.name))
    return found


@contextlib.contextmanager
def _input(text: str) -> Iterator[int]:
    """Return a file from which this text can be read (short enough for a pipe's buffer)."""
    if text:
        reading, writing = os.pipe()
        os.write(writing, text.encode())
        os.close(writing)
    else:
        # An empty pipe will not do: Samba ends at the end of a pipe.
        reading = os.open(os.devnull, os.O_RDONLY)
    try:
        yield reading
    finally:
        os.close(reading)


def _die_with_parent() -> None:
    """Make a new child end when the launcher is killed; runs in the child."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _raise_file_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MAX_FILES if hard == resource.RLIM_INFINITY else min(_MAX_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def main() -> None:
    """Serve the network whose private directory is the only argument."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    _raise_file_limit()
    launcher = Launcher(Path(sys.argv[1]))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        launcher.serve()
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        launcher.end_everything()


if __name__ == "__main__":
    main()
