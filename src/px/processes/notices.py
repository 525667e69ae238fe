"""What the processes of a Px tell the user who started it: problems, and the proxy that was found.

Each process finds out for itself, and several find out the same. So all tell the supervisor (`Notices`),
which passes on what is news: to a terminal if there is one, otherwise to a small log of warnings.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Self

from px.core.problems import Problem, ProblemReport
from px.logs.problem_log import ProblemLog
from px.logs.warning_log import WarningLog

#: The values of ``is`` in the messages of a worker (`px.processes.channel`) that are for `Notices`.
KINDS: Final = frozenset({"problem", "proxy"})

_WARNING: Final = "warning: "
_LOGGER = logging.getLogger("px.notices")


def format_problem_notice(problem: ProblemReport) -> dict[str, Any]:
    """Return the message about a problem."""
    return {"is": "problem", "problem": problem}


def format_proxy_notice(text: str) -> dict[str, Any]:
    """Return the message about the proxy that was found."""
    return {"is": "proxy", "text": text}


class Notices:
    """Tells the user what is news; a context manager that collects the problems of this process while open.

    Must be made inside the event loop.

    Args:
        show: Shows a warning at the start of Px, and later on a terminal.
        announce: Shows any other line.
        warning_log: Takes warnings where there is no terminal; None if another log has them.
        is_verbose: Whether the terminal has the log, and so all warnings.
    """

    def __init__(
        self,
        show: Callable[[str], object],
        announce: Callable[[str], object],
        warning_log: WarningLog | None = None,
        *,
        is_verbose: bool = False,
    ) -> None:
        self._show = show
        self._is_verbose = is_verbose
        self._has_terminal = sys.stderr is not None and sys.stderr.isatty()
        self._announce = announce
        self._warning_log = None if self._has_terminal else warning_log
        self._proxy: str | None = None
        self._may_announce = False
        loop = asyncio.get_running_loop()
        self._problems = ProblemLog(lambda report: loop.call_soon_threadsafe(self._tell, Problem(**report)))

    def __enter__(self) -> Self:
        self._problems.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._problems.__exit__()

    @property
    def log_path(self) -> str:
        """The path of the log of warnings; empty if there is none."""
        return str(self._warning_log.path) if self._warning_log else ""

    def warn(self, text: str) -> None:
        """Show a warning of the start of Px, wherever its output goes, and count it."""
        self._show(text)
        extra = {"is_quiet": self._has_terminal}
        _LOGGER.warning("%s", text.removeprefix(_WARNING), extra=extra)

    @property
    def problems(self) -> Sequence[ProblemReport]:
        """The problems of this process."""
        return self._problems.report()

    def receive(self, message: Mapping[str, Any]) -> None:
        """Receive a message of a worker; its kind is one of `KINDS`."""
        if message["is"] == "problem":
            problem = Problem(**message["problem"])
            if self._problems.is_news(problem):
                self._tell(problem)
        elif message["text"] != self._proxy:
            self._proxy, is_first = message["text"], self._proxy is None
            if self._may_announce:
                self._announce_proxy("Upstream" if is_first else "Upstream now")

    def begin_announcing(self) -> None:
        """Name the proxy that was found, and each one that is found from now on."""
        self._may_announce = True
        if self._proxy is not None:
            self._announce_proxy("Upstream")

    def _announce_proxy(self, what: str) -> None:
        self._announce(f"{what} {self._proxy}.")

    def _tell(self, problem: Problem) -> None:
        try:
            if self._has_terminal and not self._is_verbose:
                self._show(f"{_WARNING}{problem}")
            if self._warning_log is not None:
                self._warning_log.write(str(problem))
        except OSError as error:
            _LOGGER.warning("warnings are lost: %s", error, extra={"is_quiet": True})

    def __repr__(self) -> str:
        return f"<Notices {self._problems}>"
