"""Counts what the log warns of, whether or not a log is written; see `px.core.problems`.

A warning is the one way in which all parts of Px say that something failed, and an error that Px answers a
client with is one, too (`px.core.trace.request_trace`). A record may carry more than its text:

=============  ===================================================================================
``error``      the `PxError`: its cause, hint, hop and status count, not the text of the record
``hint``       what to do, where there is no error
``is_quiet``   whether to count only: the user has been told, or it is an ordinary event
=============  ===================================================================================
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final, Self

from px.core.errors import DIRECT, ClientError, LoopError, PxError, TargetError
from px.core.problems import CLIENT, News, Problem, ProblemReport, Problems
from px.logs.log import redact

_LOGGERS: Final = (logging.getLogger("px"), logging.getLogger("asyncio"))


class ProblemLog(logging.Handler):
    """Collects the warnings of this process while it is open; a context manager.

    Args:
        tell: Called with problems that are news, in the thread that has met them.
        wall_clock: Seconds since the epoch.
    """

    def __init__(
        self, tell: Callable[[ProblemReport], object], wall_clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell
        self._wall_clock = wall_clock
        self._problems = Problems()
        self._news = News()

    def __enter__(self) -> Self:
        for logger in _LOGGERS:
            logger.addHandler(self)
        px = _LOGGERS[0]
        px.setLevel(min(px.getEffectiveLevel(), logging.WARNING))
        return self

    def __exit__(self, *_: object) -> None:
        for logger in _LOGGERS:
            logger.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Count a warning; nothing that logs may fail because of it."""
        try:
            self._emit(record)
        except Exception:  # noqa: BLE001 - as every handler of the standard library
            self.handleError(record)

    def _emit(self, record: logging.LogRecord) -> None:
        problem = self._note(record)
        if problem is None or _is_quiet(record) or not self._news.take(problem):
            return
        with contextlib.suppress(RuntimeError):  # the event loop has ended
            self._tell(problem.to_report())

    def _note(self, record: logging.LogRecord) -> Problem | None:
        error, now = getattr(record, "error", None), self._wall_clock()
        if not isinstance(error, PxError):
            cause, hint = redact(_describe(record)), redact(getattr(record, "hint", ""))
            return self._problems.note(cause, now, hint=hint)
        if isinstance(error, ClientError) and not error.hint:
            return None  # a fault of a client that nobody can do anything about
        return self._problems.note(
            redact(error.cause),
            now,
            hint=redact(error.hint),
            hop=CLIENT if isinstance(error, ClientError) else error.hop,
            status=getattr(record, "status", 0),
            target=error.target,
        )

    def is_news(self, problem: Problem) -> bool:
        """Return whether a problem of another process is news here; it then counts as told."""
        self.acquire()
        try:
            return self._news.take(problem)
        finally:
            self.release()

    def report(self) -> Sequence[ProblemReport]:
        """Return the problems of this process as JSON; threads may log meanwhile."""
        self.acquire()
        try:
            return self._problems.to_report()
        finally:
            self.release()

    def __repr__(self) -> str:
        return f"<ProblemLog {self._problems}>"


def _is_quiet(record: logging.LogRecord) -> bool:
    """Whether a problem is an ordinary event: a site that fails, or a client that breaks a rule."""
    error = getattr(record, "error", None)
    if not isinstance(error, PxError):
        return bool(getattr(record, "is_quiet", False))
    is_client = isinstance(error, ClientError) and not isinstance(error, LoopError)
    return is_client or isinstance(error, TargetError) or error.hop == DIRECT


def _describe(record: logging.LogRecord) -> str:
    """Return the text of a record, with the exception that it reports."""
    error = record.exc_info[1] if record.exc_info else None
    text = record.getMessage()
    return f"{text}: {type(error).__name__}: {error}" if error is not None else text
