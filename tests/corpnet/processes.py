"""Starts and ends processes through the launcher (see launcher.py)."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pwd
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from .launcher import remove_traces
from .system_programs import SYSTEM_PATH

PROJECT_ROOT = Path(__file__).resolve().parents[2]

_PREFIX = "corpnet-"
_MARK = "CORPNET_DIRECTORY"
_START_SECONDS = 60.0
# Samba makes Unix sockets below the private directory; their paths must stay short.
_LONGEST_TEMPORARY_DIRECTORY = 40


class NetworkError(Exception):
    """A part of the network could not be started or did not answer."""


@dataclass(frozen=True)
class Process:
    """A server, or a command, that the launcher started."""

    name: str
    pid: int
    log: Path

    def log_tail(self, characters: int = 2000) -> str:
        """Return the end of the process's output."""
        return self.log.read_text(errors="replace")[-characters:]


class Processes:
    """All processes of one network, and their private directory.

    `stop()` ends the processes and removes the directory. The launcher does the
    same by itself when this process dies without calling it.
    """

    def __init__(self) -> None:
        self.directory = _temporary_directory() / (_PREFIX + secrets.token_hex(4))
        self._lock = threading.Lock()
        self._launcher: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Create the directory and start the launcher."""
        remove_leftovers()
        self.directory.mkdir(mode=0o700)
        # Other users may enter, for files that a server has made accessible to them.
        self.directory.chmod(0o711)
        launcher = Path(__file__).with_name("launcher.py")
        with _held_lock(self.directory) as lock_file:
            self._launcher = subprocess.Popen(
                [sys.executable, str(launcher), str(self.directory)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                pass_fds=[lock_file],
                start_new_session=True,
            )

    def stop(self) -> None:
        """End all processes and wait until they are gone."""
        if self._launcher is not None:
            with self._lock, contextlib.suppress(BrokenPipeError):
                _stream(self._launcher.stdin).close()
            self._launcher.wait()
            _stream(self._launcher.stdout).close()
        remove_traces(self.directory)

    def spawn(
        self,
        name: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
        as_server_user: bool = False,
    ) -> Process:
        """Start a program; its output goes to `<name>.log`."""
        log = self.directory / f"{name}.log"
        account = server_user() if as_server_user else None
        answer = self._ask(
            operation="spawn",
            argv=list(argv),
            env=self._environment(env or {}),
            cwd=str(PROJECT_ROOT if not as_server_user else self.directory),
            stdin=stdin,
            log=str(log),
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
        )
        return Process(name, int(answer["pid"]), log)

    def spawn_python(self, name: str, module: str, *arguments: str) -> Process:
        """Start a module of this package as a program of its own."""
        program = [sys.executable, "-m", f"tests.corpnet.{module}", *arguments]
        return self.spawn(name, program, env=_library_path())

    def run(
        self,
        name: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
    ) -> str:
        """Run a command to its end and return its output."""
        process = self.spawn(name, argv, env=env, stdin=stdin)
        deadline = time.monotonic() + _START_SECONDS
        while (code := self.exit_code(process)) is None:
            if time.monotonic() > deadline:
                raise NetworkError(f"{name} did not end: {process.log_tail()}")
            time.sleep(0.005)
        if code != 0:
            raise NetworkError(f"{name} failed with {code}: {process.log_tail()}")
        return process.log_tail()

    def exit_code(self, process: Process) -> int | None:
        """Return the exit code, or None while the process runs."""
        code = self._ask(operation="poll", pid=process.pid)["exit_code"]
        return None if code is None else int(code)

    def wait_until(self, process: Process, ready: Callable[[], bool]) -> None:
        """Wait for a server to be ready; fail at once if it has ended."""
        deadline = time.monotonic() + _START_SECONDS
        while not ready():
            if self.exit_code(process) is not None or time.monotonic() > deadline:
                raise NetworkError(f"{process.name} did not start: {process.log_tail()}")
            time.sleep(0.02)

    def _ask(self, **request: Any) -> dict[str, Any]:
        if self._launcher is None:
            raise NetworkError("the network has not been started")
        try:
            with self._lock:
                _stream(self._launcher.stdin).write(json.dumps(request) + "\n")
                _stream(self._launcher.stdin).flush()
                line = _stream(self._launcher.stdout).readline()
        except (OSError, ValueError) as error:
            raise NetworkError("the network has been stopped") from error
        if not line:
            raise NetworkError("the launcher has ended")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise NetworkError(f"{request.get('argv', request)}: {answer['error']}")
        return answer

    def _environment(self, extra: Mapping[str, str]) -> dict[str, str]:
        return {
            "PATH": SYSTEM_PATH,
            "LANG": "C.UTF-8",
            "HOME": str(self.directory),
            _MARK: str(self.directory),
            **extra,
        }


def server_user() -> pwd.struct_passwd | None:
    """Return the account for servers that must not run as root; None when not root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("proxy")
    except KeyError:
        return pwd.getpwnam("nobody")


def give_to_server_user(*paths: Path) -> None:
    """Make the account of the Squids the owner of these files and directories."""
    account = server_user()
    if account is not None:
        for path in paths:
            os.chown(path, account.pw_uid, account.pw_gid)


def remove_leftovers() -> None:
    """Remove networks of this user whose launcher was killed before it could clean up."""
    for directory in _temporary_directory().glob(_PREFIX + "*"):
        with contextlib.suppress(OSError), (directory / "lock").open("rb") as lock:
            if os.fstat(lock.fileno()).st_uid != os.geteuid():
                continue
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _kill_processes_of(directory)
            remove_traces(directory)


def _kill_processes_of(directory: Path) -> None:
    mark = f"{_MARK}={directory}\0".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            named = f"{directory}/".encode() in (process / "cmdline").read_bytes()
            if named or mark in (process / "environ").read_bytes() + b"\0":
                os.kill(int(process.name), signal.SIGKILL)


def _temporary_directory() -> Path:
    directory = tempfile.gettempdir()
    return Path(directory if len(directory) <= _LONGEST_TEMPORARY_DIRECTORY else "/tmp")


@contextlib.contextmanager
def _held_lock(directory: Path) -> Iterator[int]:
    """Lock the directory: for the with block, and while a child has the given file open."""
    with (directory / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()


def _stream(stream: IO[str] | None) -> IO[str]:
    assert stream is not None  # both are pipes
    return stream


def _library_path() -> dict[str, str]:
    """Return the variables with which an unusual Python installation finds its own library."""
    return {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
