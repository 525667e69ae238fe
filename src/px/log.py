"""Logging: where it goes, what it never shows.

Off (log=0) it costs nothing: the logger ``px`` has a level above all that is said in the ordinary course of
things, so that `isEnabledFor` is False. On, everything from DEBUG up is written, through a formatter that
cuts credentials out of the finished line. Code should not log any; this is the last safety net.

A fault of Px always leaves a log: one that ends it (`write_crash_log`), and one that costs a single request
only (`FaultLog`). What asyncio has to say of faults in callbacks goes the same ways.
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
from px.core.request_log import RequestLog
from px.core.startup_errors import ConfigError
from px.system.file_lock import claim

__all__ = ["RequestLog", "close_log", "open_log", "redact", "write_crash_log"]

#: A log file is moved aside at this size, and the last few of them are kept.
MAX_LOG_BYTES: Final = 10 * 1024 * 1024
KEPT_LOGS: Final = 3

_LOG_OFF, _LOG_UNIQUE, _LOG_STDOUT, _LOG_STATE = 0, 3, 4, 5
_SILENT: Final = logging.CRITICAL + 1
#: Faults that a process leaves a log of when no other log has them: the same may come again and again.
MAX_FAULT_LOGS: Final = 10
#: A log has to be written whatever stands in it, such as half a surrogate pair out of a PAC script.
_ERRORS: Final = "backslashreplace"
_LINE: Final = "%(asctime)s.%(msecs)03d %(levelname)-7s [%(process)d%(request)s] %(name)s: %(message)s"

_ROOT = logging.getLogger("px")
_ASYNCIO = logging.getLogger("asyncio")


# Redaction

#: A credential after its field's name, as a header line, in a `repr` of bytes, or as a pair in a list.
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
    """Formats a record and redacts the whole of it, tracebacks too."""

    def __init__(self) -> None:
        super().__init__(_LINE, "%Y-%m-%d %H:%M:%S", defaults={"request": ""})

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, fit to be read by others."""
        return redact(super().format(record))


# Handlers


class PrivateLogFile(RotatingFileHandler):
    """A log file of bounded size that only its owner can read and one process writes to.

    Raises:
        BlockingIOError: Another process writes to it.
        OSError: It cannot be written.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(
            path, maxBytes=MAX_LOG_BYTES, backupCount=KEPT_LOGS, encoding="utf-8", errors=_ERRORS
        )

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
    """Leaves a log of each fault of Px that it survives, and a line on stderr that says where.

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
        if path and sys.stderr is not None:  # None without a console (pythonw)
            sys.stderr.write(f"px: a fault of Px, which goes on; the traceback is in {path}\n")
            sys.stderr.flush()


def open_private(path: str, flags: int) -> int:
    """Open a file that its owner alone can read, for the ``opener`` of `open`.

    Raises:
        OSError: It cannot be opened, or is a link, or a pipe that nobody reads.
    """
    # A link that somebody left under this name would make Px write elsewhere, a pipe would make it wait.
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0), 0o600)


def open_log(log: int, *, verbose: bool, cwd: Path, port: int, process: str = "main") -> Path | None:
    """Direct the logger ``px`` to where the options say, instead of where it went before.

    Args:
        log: As `px.config.Settings.log`.
        verbose: Whether stdout gets the lines too.
        cwd: Directory for log 1 to 3.
        port: Port of this Px, which tells apart the logs of several.
        process: Which process of this Px it is; each has a file of its own.

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
    _ROOT.info("%s, process %s", _say_version(), process)
    return Path(log_file.baseFilename) if log_file else None


def close_log() -> None:
    """Take down all handlers and switch logging off."""
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
    except BlockingIOError:  # a Px on this port runs already: leave its log alone
        return _open_fresh(directory / _file_name(stem, is_unique=True))


def _open_fresh(path: Path) -> PrivateLogFile:
    handler = PrivateLogFile(path)
    os.truncate(path, 0)  # only now: it might have been another Px's
    return handler


def _file_name(stem: str, *, is_unique: bool) -> str:
    """Return ``debug-3128-main.log``, or the same with date, time and process id."""
    unique = f"-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}" if is_unique else ""
    return f"debug-{stem}{unique}.log"


def _say_version() -> str:
    return f"Px {__version__}, Python {sys.version.split()[0]} on {sys.platform}"


def _make_state_dir() -> Path:
    from px.system.installation import state_directory  # noqa: PLC0415 - with log=5 and after a crash only

    path = state_directory()
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def write_crash_log(error: BaseException, cwd: Path) -> Path | None:
    """Leave the traceback of a crash in a file, whatever the log options are.

    Returns:
        The file, in the working directory or, where that is read-only, in the state directory; None where
        neither can be written.
    """
    report = redact("".join(traceback.format_exception(error)))
    if _ROOT.handlers:  # else Python would print it
        _ROOT.critical("crashed\n%s", report)
    return _write_report(report, cwd)


def _write_report(report: str, cwd: Path) -> Path | None:
    report = f"{time.strftime('%Y-%m-%d %H:%M:%S')} {_say_version()}\n{report}"
    name = _file_name("crash", is_unique=True)
    with contextlib.suppress(OSError):
        return _write_private(cwd / name, report)
    with contextlib.suppress(OSError):
        return _write_private(_make_state_dir() / name, report)
    return None


def _write_private(path: Path, text: str) -> Path:
    with open(path, "a", encoding="utf-8", errors=_ERRORS, opener=open_private) as stream:
        stream.write(text)
    return path
