"""The log: where it is written, and which secrets are removed from it.

With log=0 logging costs nothing: the level of the logger ``px`` is above that of all ordinary lines, so that
`isEnabledFor` is False. Otherwise everything from DEBUG up is written, through a formatter that removes
credentials from the finished line. Code should not log credentials at all; the formatter is the last safety
net.

An error in Px always leaves a log: one that ends Px (`write_crash_log`), and one that costs a single request
(`FaultLog`). Errors that asyncio reports from callbacks are logged in the same ways.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
import time
import traceback
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Final

from px import __version__
from px.core.printable import escape_line, escape_lines
from px.core.startup_errors import ConfigError
from px.core.trace.request_trace import RequestLogger
from px.system.state.file_lock import claim
from px.system.state.private_files import open_private

__all__ = ["RequestLogger", "close_log", "describe_crash", "open_log", "redact", "write_crash_log"]

#: A log file is renamed at this size; the last few are kept.
MAX_LOG_BYTES: Final = 10 * 1024 * 1024
KEPT_LOGS: Final = 3

_LOG_OFF, _LOG_UNIQUE, _LOG_STDOUT, _LOG_STATE = 0, 3, 4, 5
_SILENT: Final = logging.CRITICAL + 1
#: After this many logs of errors a process writes no more: the same error may occur again and again.
MAX_FAULT_LOGS: Final = 10
#: Any text can be logged, even half a surrogate pair from a PAC script.
_ERRORS: Final = "backslashreplace"
_LINE: Final = "%(asctime)s.%(msecs)03d %(levelname)-7s [%(process)d%(request)s] %(name)s: %(message)s"

_ROOT = logging.getLogger("px")
_ASYNCIO = logging.getLogger("asyncio")


# Redaction

#: Credentials after the name of their field: in a header line, in a `repr` of bytes, or as a pair in a list.
_CREDENTIALS = re.compile(
    r"""((?:proxy-)?authorization \\?['"]? \s*[:=,]\s* b?['"]? (?:[a-z][\w-]*[ ])?)
        (?:[^\r\n\\'"]|\\['"])+""",
    re.IGNORECASE | re.VERBOSE,
)
_USERINFO = re.compile(r"(?<=://)[^/\s?#]*@")


def redact(text: str) -> str:
    """Return the text without the values of (Proxy-)Authorization and without user:password@ in URLs."""
    if "uthorization" in text.lower():
        text = _CREDENTIALS.sub(r"\1***", text)
    return _USERINFO.sub("***@", text) if "@" in text else text


class RedactingFormatter(logging.Formatter):
    """Formats a record, with its ``hint`` if it has one, and redacts all of it, including tracebacks.

    A message may quote a client or an upstream. So it is one line, and no control character of it reaches the
    terminal; only a traceback, or the ``traceback`` of a record, keeps its line breaks.
    """

    def __init__(self) -> None:
        super().__init__(_LINE, "%Y-%m-%d %H:%M:%S", defaults={"request": ""})

    def format(self, record: logging.LogRecord) -> str:
        """Return the line without credentials."""
        return redact(escape_lines(super().format(record)))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - of the standard library
        """Return the line of a record, and its ``traceback`` if it has one."""
        line = escape_line(f"{super().formatMessage(record)} {getattr(record, 'hint', '')}".rstrip())
        report = getattr(record, "traceback", "")
        return f"{line}\n{report}" if report else line


# Handlers


class PrivateLogFile(RotatingFileHandler):
    """A log file of bounded size that only its owner can read and one process writes to.

    Raises:
        BlockingIOError: Another process writes to the file.
        OSError: The file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._has_failed = False
        super().__init__(
            path, maxBytes=MAX_LOG_BYTES, backupCount=KEPT_LOGS, encoding="utf-8", errors=_ERRORS
        )

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - of the standard library
        """Report once that lines are lost, as on a full disk, instead of a traceback for each line."""
        error = sys.exception()
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._has_failed:
            self._has_failed = True
            _tell(f"px: lines of the log {self.baseFilename} are lost: {error.strerror}\n")

    def _open(self) -> TextIOWrapper:
        stream = open(  # noqa: SIM115 - kept open
            self.baseFilename, "a", encoding="utf-8", errors=_ERRORS, opener=open_private
        )
        try:
            claim(stream.fileno())
        except OSError:
            stream.close()
            raise
        return stream


class FaultLog(logging.Handler):
    """Leaves a log of each error that Px survives, and a line on stderr that names the file.

    Args:
        cwd: Directory of the logs.
    """

    def __init__(self, cwd: Path) -> None:
        super().__init__(logging.ERROR)
        self._cwd = cwd
        self._left = MAX_FAULT_LOGS

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record that has a traceback."""
        if not record.exc_info or not self._left:
            return
        self._left -= 1
        path = _write_report(self.format(record) + "\n", self._cwd)
        if path:
            _tell(f"px: an error in Px, which continues to run; the traceback is in {path}\n")


def _tell(line: str) -> None:
    if sys.stderr is not None:  # None without a console (pythonw)
        sys.stderr.write(line)
        sys.stderr.flush()


def open_log(log: int, *, verbose: bool, cwd: Path, port: int, process: str = "main") -> Path | None:
    """Direct the logger ``px`` to the places that the options name; earlier places are closed.

    Args:
        log: As `px.config.settings.Settings.log`.
        verbose: Whether to write to stdout, too.
        cwd: The directory of the file for log 1 to 3.
        port: The port of this Px, part of the file name.
        process: The name of this process, part of the file name: each process has its own file.

    Returns:
        The log file, if there is one.

    Raises:
        ConfigError: The file cannot be written.
    """
    close_log()
    handlers: list[logging.Handler] = []
    if verbose and sys.stdout is not None:  # None without a console (pythonw)
        handlers.append(logging.StreamHandler(sys.stdout))
    log_file = _open_log_file(log, cwd, f"{port}-{process}")
    if log_file:
        handlers.append(log_file)
    _ROOT.propagate = False
    _ROOT.setLevel(logging.DEBUG if handlers else logging.ERROR)
    if not log_file:
        handlers.append(FaultLog(cwd))
    for handler in handlers:
        handler.setFormatter(RedactingFormatter())
        _ROOT.addHandler(handler)
        _ASYNCIO.addHandler(handler)
    _ROOT.info("%s, process %s", _describe_version(), process)
    return Path(log_file.baseFilename) if log_file else None


def close_log() -> None:
    """Remove all handlers and switch logging off."""
    for handler in list(_ROOT.handlers):
        _ROOT.removeHandler(handler)
        _ASYNCIO.removeHandler(handler)
        handler.close()
    _ROOT.setLevel(_SILENT)


def _open_log_file(log: int, cwd: Path, stem: str) -> PrivateLogFile | None:
    if log in {_LOG_OFF, _LOG_STDOUT}:
        return None
    try:
        directory = _make_state_dir() if log == _LOG_STATE else cwd
        return _open_unused(directory, stem, is_unique=log == _LOG_UNIQUE)
    except OSError as error:
        what = f"the log {error.filename or 'file'} cannot be written: {error.strerror}"
        raise ConfigError(f"{what}; choose another --log or working directory") from None


def _open_unused(directory: Path, stem: str, *, is_unique: bool) -> PrivateLogFile:
    try:
        return _open_fresh(directory / _file_name(stem, is_unique=is_unique))
    except BlockingIOError:  # a Px on this port is running: leave its log alone
        return _open_fresh(directory / _file_name(stem, is_unique=True))


def _open_fresh(path: Path) -> PrivateLogFile:
    handler = PrivateLogFile(path)
    if handler.stream is not None:
        handler.stream.truncate(0)  # only now is it certain that no other Px uses the file
    return handler


def _file_name(stem: str, *, is_unique: bool) -> str:
    """Return ``debug-3128-main.log``, or the same with date, time and process id."""
    unique = f"-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}" if is_unique else ""
    return f"debug-{stem}{unique}.log"


def _describe_version() -> str:
    return f"Px {__version__}, Python {sys.version.split()[0]} on {sys.platform}"


def _make_state_dir() -> Path:
    from px.system.state.installation import state_directory  # noqa: PLC0415 - with log=5 and after a crash only

    path = state_directory()
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def working_directory() -> Path:
    """Return the working directory, or a relative path if it no longer exists; Px runs without it."""
    try:
        return Path.cwd()
    except OSError:
        return Path()


def describe_crash(error: Exception) -> str:
    """Leave a log of a crash, and return the line for the person who started Px."""
    path = write_crash_log(error, working_directory())
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]  # the group itself says nothing more
    where = f"; the traceback is in {path}" if path else ""
    return redact(escape_line(f"crashed: {type(error).__name__}: {error}")) + where


def write_crash_log(error: BaseException, cwd: Path) -> Path | None:
    """Write the traceback of a crash to a file, whatever the log options are; return its path.

    Returns:
        The path, in the working directory or, if that is read-only, in the state directory; None if neither
        can be written.
    """
    report = redact("".join(traceback.format_exception(error)))
    if _ROOT.handlers:  # else Python would print it
        _ROOT.critical("crashed", extra={"traceback": report})
    return _write_report(report, cwd)


def _write_report(report: str, cwd: Path) -> Path | None:
    report = f"{time.strftime('%Y-%m-%d %H:%M:%S')} {_describe_version()}\n{report}"
    name = _file_name("crash", is_unique=True)
    with contextlib.suppress(OSError):
        return _write_private(cwd / name, report)
    with contextlib.suppress(OSError, ConfigError):
        return _write_private(_make_state_dir() / name, report)
    return None


def _write_private(path: Path, text: str) -> Path:
    with open(path, "a", encoding="utf-8", errors=_ERRORS, opener=open_private) as stream:
        stream.write(text)
    return path
