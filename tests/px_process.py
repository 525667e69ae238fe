"""A Px of its own process, with its own state, for one test."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.free_ports import free_port

DEFAULT_PORT = 3128
START_SECONDS = 20.0
STOP_SECONDS = 15.0
UNTIL_SECONDS = 15.0
#: Starts a Windows Python under Wine, which runs Px then while the test runs on Linux; empty: none does.
WINDOWS_PYTHON = os.environ.get("WINDOWS_PYTHON", "")
_PYTHON = [WINDOWS_PYTHON, "-u", "-X", "utf8", "-W", "error"] if WINDOWS_PYTHON else [sys.executable]
_DRIVE = "Z:" if WINDOWS_PYTHON else ""  # Wine's name for /
#: What a Px that is sent SIGTERM ends with: Windows has no signals, and ends it on the spot.
STOPPED_CODE = -signal.SIGTERM if WINDOWS_PYTHON else 1 if sys.platform == "win32" else 0


def _is_program(program: Sequence[str]) -> bool:
    """Whether it runs without Python."""
    return bool(program) and Path(program[0]).is_absolute() and not program[0].endswith(".py")


class PxProcess:
    """Runs ``python -m px``; a context manager.

    Args:
        directory: Private: working directory, configuration and state are in it.
        arguments: Options of Px, without ``--port``.
        environment: Variables besides those that every process has (``PX_PASSWORD``, ``KRB5CCNAME``...).
        workers: How many; 0: as many as Px has by itself.
        port: To listen on; 0: a free one.
        names_port: Whether the port is an argument; else a file has to say it.
        program: What Python is to run; a program of its own by its absolute path.
        stdin: A descriptor.
        within: A command before the command, as of a network namespace: Px has its default port then.
    """

    def __init__(
        self,
        directory: Path,
        *arguments: str,
        environment: dict[str, str] | None = None,
        workers: int = 1,
        port: int = 0,
        names_port: bool = True,
        stdin: int = subprocess.DEVNULL,
        program: Sequence[str] = ("-m", "px"),
        within: Sequence[str] = (),
    ) -> None:
        self.port = DEFAULT_PORT if within else port or free_port()
        self._command = list(program) if _is_program(program) else [*_PYTHON, *program]
        self._stdin = stdin
        self._names_port = names_port and not within
        self._within = within
        self.directory = directory
        self._arguments = ((f"--workers={workers}",) if workers else ()) + arguments
        self.environment = {**_clean_environment(directory), **(environment or {})}
        self._output: list[str] = []
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._is_killed = self._is_stopped = False

    @property
    def url(self) -> str:
        """The proxy URL for clients."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def output(self) -> str:
        """What Px has printed so far: with ``--verbose``, its log."""
        return "".join(self._output)

    @property
    def pid(self) -> int:
        """Process id."""
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        return self.start()

    def start(self) -> Self:
        """Return when it listens; for a test that does not want to see it end well."""
        port = [f"--port={self.port}"] if self._names_port else []
        command = [*self._within, *self._command, *port, *self._arguments]
        self._process = subprocess.Popen(
            command,
            cwd=self.directory,
            env=self.environment,
            stdin=self._stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._process.stdout is not None
        listening = threading.Event()
        self._reader = threading.Thread(target=self._read_output, args=(listening,), daemon=True)
        self._reader.start()
        if not listening.wait(START_SECONDS) or self._process.poll() is not None:
            self._process.kill()
            self._reader.join()
            self._process.stdout.close()
            raise AssertionError(f"Px did not start:\n{self.output}")
        return self

    def _read_output(self, listening: threading.Event) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._output.append(line)
            if line.startswith("Px listens"):
                listening.set()
        listening.set()  # it has ended

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        code = self.stop()
        if self._is_killed:
            return
        expected = STOPPED_CODE if self._is_stopped else 0
        assert code == expected, f"Px ended with {code}:\n{self.output}"
        assert "Traceback" not in self.output, self.output

    def stop(self) -> int:
        """End it as a service manager does, and return its exit code."""
        assert self._process is not None
        assert self._reader is not None
        assert self._process.stdout is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._is_stopped = True
        try:
            code = self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        self._reader.join()
        self._process.stdout.close()
        return code

    def kill(self) -> None:
        """End it as a crash does."""
        assert self._process is not None
        self._is_killed = True
        self._process.kill()
        self._process.wait(STOP_SECONDS)

    def wait(self) -> int:
        """Wait until it has ended, and return its exit code."""
        assert self._process is not None
        return self._process.wait(STOP_SECONDS)

    def start_command(self, *arguments: str, names_port: bool = True) -> subprocess.Popen[str]:
        """Start another ``px`` beside it, for the same port and with the same environment."""
        port = [f"--port={self.port}"] if names_port else []
        return subprocess.Popen(
            [*self._within, *self._command, *port, *arguments],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def command(self, *arguments: str, names_port: bool = True) -> subprocess.CompletedProcess[str]:
        """Run one, and return what it said."""
        with self.start_command(*arguments, names_port=names_port) as process:
            try:
                said, complained = process.communicate(timeout=START_SECONDS + STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return subprocess.CompletedProcess(process.args, process.returncode, said, complained)

    def status(self) -> dict[str, Any]:
        """Return what ``px --status --json`` tells."""
        done = self.command("--status", "--json")
        assert done.returncode == 0, done.stderr
        status: dict[str, Any] = json.loads(done.stdout)
        return status

    def worker_pids(self) -> list[int]:
        """Return the process ids of the workers that serve."""
        return [worker["pid"] for worker in self.status()["workers"] if not worker["is_draining"]]

    def memory_bytes(self) -> int:
        """Resident memory now, on Linux."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")

    def peak_memory_bytes(self) -> int:
        """Most resident memory so far, on Linux."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmHWM")


def until(is_so: Callable[[], object]) -> None:
    """Wait for a fact of other processes."""
    deadline = time.monotonic() + UNTIL_SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def run_action(
    directory: Path,
    *arguments: str,
    stdin: str = "",
    environment: dict[str, str] | None = None,
    program: tuple[str, ...] = ("-m", "px"),
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m px`` to its end, in the directory and with the environment of a `PxProcess`.

    Args:
        directory: As for `PxProcess`.
        arguments: Of Px.
        stdin: What it can read.
        environment: As for `PxProcess`.
        program: What Python is to run instead.
    """
    return subprocess.run(
        [*_PYTHON, *program, *arguments],
        cwd=directory,
        env={**_clean_environment(directory), **(environment or {})},
        input=stdin,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def _clean_environment(directory: Path) -> dict[str, str]:
    """The environment without anything that would change what Px does."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(("PX_", "KRB5", "SSL_CERT", "DBUS_SESSION"))
        and not name.lower().endswith("_proxy")
    }
    home = directory / "home"
    home.mkdir(exist_ok=True)
    return {
        **kept,
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_STATE_HOME": str(home / "state"),
        "WIN_PD_OVERRIDE_APPDATA": f"{_DRIVE}{home / 'config'}",
        "WIN_PD_OVERRIDE_LOCAL_APPDATA": f"{_DRIVE}{home / 'state'}",
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": "error",
        "PYTHONPATH": str(Path(__file__).parents[1] / "src"),
    }
