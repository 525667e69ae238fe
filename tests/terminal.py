"""A program in a pseudo-terminal, with the keys that a person presses."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

assert sys.platform != "win32"

import fcntl  # noqa: E402
import pty  # noqa: E402
import struct  # noqa: E402
import termios  # noqa: E402

SECONDS = 20.0


class Terminal:
    """Runs a program in a pseudo-terminal; a context manager.

    Args:
        command: The program and its arguments.
        environ: Its environment.
        columns: The width.
        rows: The height.
        directory: Its working directory; None: that of the tests.
    """

    def __init__(
        self,
        command: Sequence[str],
        environ: Mapping[str, str],
        columns: int = 80,
        rows: int = 24,
        directory: Path | None = None,
    ) -> None:
        self._master, slave = pty.openpty()
        self.resize(columns, rows)
        self.output = ""
        self.process = subprocess.Popen(
            command,
            cwd=directory,
            env=environ,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)

    def resize(self, columns: int, rows: int) -> None:
        """Change the size of the terminal."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def press(self, keys: str) -> None:
        """Press keys."""
        os.write(self._master, keys.encode())

    def read_until(self, is_there: Callable[[str], object]) -> str:
        """Return the whole output, once it is as it should be.

        Raises:
            AssertionError: It is not, and the program has ended or does not write.
        """
        while not is_there(self.output):
            assert self._read(SECONDS), f"missing in:\n{self.output}"
        return self.output

    def read_to_end(self) -> str:
        """Return the whole output, once the program has ended."""
        while self._read(SECONDS):
            pass
        self.process.wait(SECONDS)
        return self.output

    def _read(self, seconds: float) -> bool:
        """Add output; return whether there was some."""
        if not select.select([self._master], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self._master, 65536)
        except OSError:  # Linux: the program has ended
            return False
        self.output += data.decode(errors="replace")
        return bool(data)
