"""A Px for one test, in its own process and with its own state."""

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
UNTIL_SECONDS = 20.0
#: The command of a Windows Python under Wine, which runs Px while the test runs on Linux; empty: not used.
WINDOWS_PYTHON = os.environ.get("WINDOWS_PYTHON", "")
_PYTHON = [WINDOWS_PYTHON, "-u", "-X", "utf8", "-W", "error"] if WINDOWS_PYTHON else [sys.executable]
_DRIVE = "Z:" if WINDOWS_PYTHON else ""  # Wine's name for /
#: The exit code of Px after SIGTERM. Windows has no signals and ends the process at once.
STOPPED_CODE = -signal.SIGTERM if WINDOWS_PYTHON else 1 if sys.platform == "win32" else 0


def _is_program(program: Sequence[str]) -> bool:
    """Tell whether a program runs without Python."""
    return bool(program) and Path(program[0]).is_absolute() and not program[0].endswith(".py")


class PxProcess:
    """Runs ``python -m px``; a context manager.

    Args:
        directory: A private directory, for the working directory, configuration and state.
        arguments: Options of Px, except ``--port``.
        environment: More environment variables (``PX_PASSWORD``, ``KRB5CCNAME``...).
        workers: The number of workers; 0: Px's default.
        port: The port to listen on; 0: a free one.
        names_port: Whether to pass ``--port``; otherwise px.ini or .env must name the port.
        program: The arguments of Python; or the absolute path of a program that runs instead of Python.
        stdin: A file descriptor.
        within: A command to run Px with, such as ``ip netns exec``; Px then uses its default port.
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
        self.environment = {**clean_environment(directory), **(environment or {})}
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
        """The output of Px so far; with ``--verbose`` this includes the log."""
        return "".join(self._output)

    @property
    def pid(self) -> int:
        """Process id."""
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        return self.start()

    def start(self) -> Self:
        """Start Px and wait until it listens; for tests that do not check how Px ends."""
        listening = self.begin()
        assert self._process is not None
        assert self._process.stdout is not None
        assert self._reader is not None
        if not listening.wait(START_SECONDS) or self._process.poll() is not None:
            self._process.kill()
            self._reader.join()
            self._process.stdout.close()
            raise AssertionError(f"Px did not start:\n{self.output}")
        return self

    def begin(self) -> threading.Event:
        """Start Px without waiting. The event is set when Px listens or has ended."""
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
        listening = threading.Event()
        self._reader = threading.Thread(target=self._read_output, args=(listening,), daemon=True)
        self._reader.start()
        return listening

    def _read_output(self, listening: threading.Event) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._output.append(line)
            if line.startswith("Px listens"):
                listening.set()
        listening.set()  # Px has ended

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
        """Send SIGTERM, as a service manager does, and return the exit code."""
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
        """Kill Px, as a crash would."""
        assert self._process is not None
        self._is_killed = True
        self._process.kill()
        self._process.wait(STOP_SECONDS)

    def wait(self) -> int:
        """Wait until Px has ended, and return its exit code."""
        assert self._process is not None
        return self._process.wait(STOP_SECONDS)

    def start_command(self, *arguments: str, names_port: bool = True) -> subprocess.Popen[str]:
        """Start another ``px`` with the same port and environment."""
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
        """Run another ``px`` as `start_command` does, and return its output and exit code."""
        with self.start_command(*arguments, names_port=names_port) as process:
            try:
                said, complained = process.communicate(timeout=START_SECONDS + STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return subprocess.CompletedProcess(process.args, process.returncode, said, complained)

    def status(self) -> dict[str, Any]:
        """Return the output of ``px --status --json``."""
        done = self.command("--status", "--json")
        assert done.returncode == 0, done.stderr
        status: dict[str, Any] = json.loads(done.stdout)
        return status

    def wait_for_output(self, text: str) -> None:
        """Wait until Px has printed this."""
        until(lambda: text in self.output, lambda: self.output)

    def worker_pids(self) -> list[int]:
        """Return the process ids of the workers that accept clients."""
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


def until(is_so: Callable[[], object], explain: Callable[[], object] = str) -> None:
    """Wait until a condition that depends on other processes is true; `explain` says why it is not."""
    deadline = time.monotonic() + UNTIL_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, explain()
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
        arguments: Arguments of Px.
        stdin: The text on its standard input.
        environment: As for `PxProcess`.
        program: The arguments of Python, to run another program than Px.
    """
    return subprocess.run(
        [*_PYTHON, *program, *arguments],
        cwd=directory,
        env={**clean_environment(directory), **(environment or {})},
        input=stdin,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def clean_environment(directory: Path) -> dict[str, str]:
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
        "XDG_RUNTIME_DIR": str(home / "runtime"),
        "WIN_PD_OVERRIDE_APPDATA": f"{_DRIVE}{home / 'config'}",
        "WIN_PD_OVERRIDE_LOCAL_APPDATA": f"{_DRIVE}{home / 'state'}",
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": "error",
        "PYTHONPATH": str(Path(__file__).parents[1] / "src"),
    }
