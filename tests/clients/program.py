"""Runs client programs in a clean environment with a deadline; skips or fails the test without them."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.corpnet.system_programs import INSTALL_SCRIPT, SYSTEM_PATH

DEADLINE_SECONDS = 40.0


@dataclass(frozen=True)
class Place:
    """The place where clients run: a directory and a home without any configuration.

    Attributes:
        directory: The working directory; private.
        home: The home directory; empty at first.
    """

    directory: Path
    home: Path

    @classmethod
    def create(cls, directory: Path) -> Place:
        """Create the home in a directory."""
        for name in ("work", "home", "tmp"):
            (directory / name).mkdir(parents=True)
        return cls(directory / "work", directory / "home")

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the whole environment of a client."""
        kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
        return {
            **kept,
            "PATH": SYSTEM_PATH,
            "HOME": str(self.home),
            "TMPDIR": str(self.home.parent / "tmp"),
            "LC_ALL": "C.UTF-8",
            **(more or {}),
        }

    def run(
        self,
        *command: str | Path,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        code: int | None = 0,
        cwd: Path | None = None,
    ) -> str:
        """Run a command to its end and return its output, including stderr.

        Args:
            command: The program and its arguments.
            env: More environment variables.
            stdin: The input of the command.
            code: The expected exit code; None: any but 0.
            cwd: The working directory, if not that of the place.
        """
        output, status = self._run(command, env or {}, stdin, cwd or self.directory)
        is_right = status != 0 if code is None else status == code
        assert is_right, f"{command[0]} ended with {status}:\n{output}"
        return output

    def _run(
        self, command: Sequence[str | Path], env: Mapping[str, str], stdin: bytes, cwd: Path
    ) -> tuple[str, int]:
        with subprocess.Popen(
            [str(part) for part in command],
            cwd=cwd,
            env=self.environment(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process:
            try:
                output, _ = process.communicate(stdin, DEADLINE_SECONDS)
            except subprocess.TimeoutExpired as error:
                said = (error.output or b"").decode(errors="replace")
                message = f"{command[0]} did not end within {DEADLINE_SECONDS:g} s:\n{said}"
                raise AssertionError(message) from error
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # and all processes that the command has started
            return output.decode(errors="replace"), process.returncode


def need(*programs: str) -> None:
    """Skip the test if a program is missing; fail on a CI server, where nobody would notice a skip."""
    missing = [program for program in programs if shutil.which(program, path=SYSTEM_PATH) is None]
    if missing:
        reason = f"NOT TESTED: {', '.join(missing)} not installed; run {INSTALL_SCRIPT}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
