"""The access log: a line a request in a file, or on stdout.

Several processes may write one file, those of one Px or of several. Lines are gathered for a moment and
written whole, under a lock that all Px of the user share, to a file that is open for just that long. So the
process that finds it full can move it aside, and so can anybody else, on Windows too.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

from px.core.access_record import COLUMNS, AccessRecord, format_record
from px.core.startup_errors import ConfigError
from px.log import KEPT_LOGS, MAX_LOG_BYTES, open_private
from px.system.file_lock import FileLock

#: Lines may wait so long, so that those of a busy moment are written together.
GATHER_SECONDS: Final = 0.02
#: What waits for a file that another process holds; more is dropped.
MAX_WAITING_LINES: Final = 20_000
#: How long the last lines wait for that.
LAST_SECONDS: Final = 1.0

_STDOUT: Final = "-"
_HEADER: Final = f"# {COLUMNS}\n".encode()

_LOGGER = logging.getLogger("px.accesslog")


class Sink(Protocol):
    """Where lines go."""

    def append(self, lines: bytes) -> None:
        """Write lines.

        Raises:
            BlockingIOError: Another process writes just now.
            OSError: They cannot be written.
        """


class AccessLogFile:
    """A file of bounded size that its owner alone can read, with the names of its columns on top.

    Args:
        path: Of the file.
        lock: Held while it is written.
    """

    def __init__(self, path: Path, lock: FileLock) -> None:
        self._path = path
        self._lock = lock

    def append(self, lines: bytes) -> None:
        """Write lines. See `Sink.append`."""
        with self._locked():
            self._make_room(len(lines))
            with open(self._path, "ab", opener=open_private) as stream:
                status = os.fstat(stream.fileno())
                is_new = stat.S_ISREG(status.st_mode) and status.st_size == 0
                stream.write(_HEADER + lines if is_new else lines)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            is_mine = self._lock.try_acquire()
        except OSError:  # nowhere to lock: what is appended stays whole all the same, but on Windows
            is_mine = True
        if not is_mine:
            raise BlockingIOError("another process writes to it")
        try:
            yield
        finally:
            self._lock.release()

    def _make_room(self, count: int) -> None:
        """Move a full file aside, and those from before it."""
        with contextlib.suppress(OSError):  # there is none; or somebody reads it, on Windows: next time
            status = self._path.stat()
            if not stat.S_ISREG(status.st_mode) or status.st_size + count <= MAX_LOG_BYTES:
                return
            self._path.replace(self._aside(0))
            for number in reversed(range(KEPT_LOGS)):
                with contextlib.suppress(FileNotFoundError):
                    self._aside(number).replace(self._aside(number + 1))

    def _aside(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")

    def __repr__(self) -> str:
        return f"<AccessLogFile {self._path}>"


class AccessLogStdout:
    """Standard output, if there is one."""

    def __init__(self) -> None:
        self._header = _HEADER

    def append(self, lines: bytes) -> None:
        """Write lines. See `Sink.append`."""
        if sys.stdout is not None:  # None without a console (pythonw)
            sys.stdout.write((self._header + lines).decode())
            sys.stdout.flush()
        self._header = b""


def open_sink(accesslog: str, cwd: Path, state: Path) -> Sink | None:
    """Return where the lines shall go; None: nowhere.

    Args:
        accesslog: As `px.config.Settings.accesslog`.
        cwd: Working directory.
        state: The user's directory for what Px remembers.

    Raises:
        ConfigError: The file cannot be written.
    """
    if not accesslog:
        return None
    if accesslog == _STDOUT:
        return AccessLogStdout()
    path = cwd / Path(accesslog).expanduser()
    sink = AccessLogFile(path, FileLock(state / "accesslog.lock"))
    try:
        with contextlib.suppress(BlockingIOError):  # it can be written, for another process does
            sink.append(b"")
    except OSError as error:
        raise ConfigError(f"--accesslog={path}: cannot be written: {error.strerror}") from None
    return sink


class AccessLog:
    """Lines on their way to the sink; made inside the event loop.

    Args:
        sink: Where they go.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._loop = asyncio.get_running_loop()
        self._process = os.getpid()
        self._lines: list[str] = []
        self._timer: asyncio.TimerHandle | None = None
        self._written_at = float("-inf")
        self._second, self._second_text, self._offset = -1, "", ""
        self._has_failed = False

    def write(self, record: AccessRecord) -> None:
        """Say that a request has ended."""
        if len(self._lines) < MAX_WAITING_LINES:
            self._lines.append(format_record(record, self._show_time(), self._process))
        if self._timer is None:
            self._schedule()

    def _show_time(self) -> str:
        now = time.time()
        if int(now) != self._second:
            self._second, local = int(now), time.localtime(now)
            self._second_text = time.strftime("%Y-%m-%dT%H:%M:%S", local)
            self._offset = time.strftime("%z", local)
        return f"{self._second_text}.{int(now % 1 * 1000):03d}{self._offset}"

    def _schedule(self) -> None:
        self._timer = self._loop.call_at(self._written_at + GATHER_SECONDS, self._write_lines)

    def _write_lines(self) -> None:
        self._timer = None
        self._written_at = self._loop.time()
        try:
            self._sink.append("".join(self._lines).encode())
        except BlockingIOError:
            self._schedule()
            return
        except OSError as error:
            if not self._has_failed:
                _LOGGER.warning("lines are lost, %s: %s", self._sink, error)
            self._has_failed = True
        else:
            self._has_failed = False
        self._lines.clear()

    def close(self) -> None:
        """Write what is left."""
        latest = time.monotonic() + LAST_SECONDS
        while self._lines and time.monotonic() < latest:
            self._write_lines()
            if self._lines:
                time.sleep(GATHER_SECONDS)
        if self._timer is not None:
            self._timer.cancel()

    def __repr__(self) -> str:
        return f"<AccessLog {self._sink} waiting={len(self._lines)}>"
