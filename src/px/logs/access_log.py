"""The access log: one line per request, in a file or on stdout.

Several processes, of one Px or of several, may write to one file. Each process gathers lines for a moment,
takes a lock that all Px of the user share, opens the file, writes whole lines and closes the file. Since no
process keeps the file open, Px and other programs can move it aside, even on Windows.
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

from px.core.startup_errors import ConfigError
from px.core.trace.access_format import FORMATS
from px.core.trace.access_record import AccessRecord
from px.logs.log import KEPT_LOGS, MAX_LOG_BYTES
from px.logs.rotation import make_room
from px.system.state.file_lock import FileLock
from px.system.state.private_files import open_private

#: How long a line may wait, so that Px writes the lines of a busy moment together.
GATHER_SECONDS: Final = 0.02
#: How many lines may wait while another process holds the file; Px drops later ones.
MAX_WAITING_LINES: Final = 20_000
#: How long Px waits for the file at its end, to write the last lines.
LAST_SECONDS: Final = 1.0

_STDOUT: Final = "-"
_PX: Final = "px"

_LOGGER = logging.getLogger("px.accesslog")


class Sink(Protocol):
    """A file or stream that takes lines."""

    def append(self, lines: bytes) -> None:
        """Write lines.

        Raises:
            BlockingIOError: Another process writes just now.
            OSError: The lines cannot be written.
        """


class AccessLogFile:
    """A log file of bounded size that only its owner can read; its first line is the header of the format.

    Args:
        path: The path of the file.
        lock: Held while Px writes to the file.
        form: A key of `FORMATS`.
    """

    def __init__(self, path: Path, lock: FileLock, form: str = _PX) -> None:
        self._path = path
        self._lock = lock
        self._header = FORMATS[form].header.encode()

    def append(self, lines: bytes) -> None:
        """Write lines. See `Sink.append`."""
        with self._locked():
            make_room(self._path, len(lines), max_bytes=MAX_LOG_BYTES, kept=KEPT_LOGS)
            with open(self._path, "ab", opener=open_private) as stream:
                status = os.fstat(stream.fileno())
                is_new = stat.S_ISREG(status.st_mode) and status.st_size == 0
                stream.write(self._header + lines if is_new else lines)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            is_mine = self._lock.try_acquire()
        except OSError:  # no place for a lock: except on Windows, appended lines stay whole without it
            is_mine = True
        if not is_mine:
            raise BlockingIOError("another process writes to it")
        try:
            yield
        finally:
            self._lock.release()

    def __repr__(self) -> str:
        return f"<AccessLogFile {self._path}>"


class AccessLogStdout:
    """A sink that writes to standard output; without a console it discards lines.

    Args:
        form: A key of `FORMATS`.
    """

    def __init__(self, form: str = _PX) -> None:
        self._header = FORMATS[form].header.encode()

    def append(self, lines: bytes) -> None:
        """Write lines. See `Sink.append`."""
        if sys.stdout is not None:  # None without a console (pythonw)
            sys.stdout.write((self._header + lines).decode())
            sys.stdout.flush()
        self._header = b""


def open_sink(accesslog: str, cwd: Path, state: Path, form: str = _PX) -> Sink | None:
    """Return the sink of the access log; None if the log is off.

    Args:
        accesslog: The value of `px.config.settings.Settings.accesslog`.
        cwd: The working directory.
        state: The state directory of the user.
        form: A key of `FORMATS`.

    Raises:
        ConfigError: The file cannot be written.
    """
    if not accesslog:
        return None
    if accesslog == _STDOUT:
        return AccessLogStdout(form)
    path = cwd / Path(accesslog).expanduser()
    sink = AccessLogFile(path, FileLock(state / "accesslog.lock"), form)
    try:
        with contextlib.suppress(BlockingIOError):  # another process is writing, so the file is writable
            sink.append(b"")
    except OSError as error:
        raise ConfigError(f"--accesslog={path}: cannot be written: {error.strerror}") from None
    return sink


class AccessLog:
    """Gathers lines and writes them to a sink; create it inside the event loop.

    Args:
        sink: Receives the lines.
        form: A key of `FORMATS`.
    """

    def __init__(self, sink: Sink, form: str = _PX) -> None:
        self._sink = sink
        self._format_line = FORMATS[form].format_line
        self._loop = asyncio.get_running_loop()
        self._process = os.getpid()
        self._lines: list[str] = []
        self._timer: asyncio.TimerHandle | None = None
        self._written_at = float("-inf")
        self._second, self._second_text, self._offset = -1, "", ""
        self._has_failed = False

    def write(self, record: AccessRecord) -> None:
        """Add the line of a finished request; drop it if too many lines are waiting."""
        if len(self._lines) < MAX_WAITING_LINES:
            self._lines.append(self._format_line(record, self._format_time(), self._process))
        if self._timer is None:
            self._schedule()

    def _format_time(self) -> str:
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
        """Write the remaining lines, waiting at most `LAST_SECONDS` for the file."""
        latest = time.monotonic() + LAST_SECONDS
        while self._lines and time.monotonic() < latest:
            self._write_lines()
            if self._lines:
                time.sleep(GATHER_SECONDS)
        if self._timer is not None:
            self._timer.cancel()

    def __repr__(self) -> str:
        return f"<AccessLog {self._sink} waiting={len(self._lines)}>"
