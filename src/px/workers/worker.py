"""What a worker is to its supervisor, wherever it runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from px.core.startup_errors import StartupError

if TYPE_CHECKING:
    from px.config import Settings
    from px.system.installation import Installation

#: What a worker tells of itself: JSON, as `px.app.Px.report` makes it.
Report = dict[str, object]


class WorkerFailedError(StartupError):
    """A worker could not begin to serve; the message is for a person.

    Args:
        message: Why.
        exit_code: Of Px, when none of its workers could.
    """

    def __init__(self, message: str, exit_code: int = StartupError.exit_code) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class WorkOrder:
    """What a worker has to know, besides the sockets.

    Attributes:
        number: Of the worker: each has its own.
        settings: What Px shall do.
        state: Directory of what Px remembers over restarts.
        installation: The random values that all workers share.
    """

    number: int
    settings: Settings
    state: Path
    installation: Installation


class Worker(Protocol):
    """Serves clients on sockets that it shares with other workers."""

    @property
    def number(self) -> int:
        """Its number."""

    @property
    def pid(self) -> int:
        """The process it runs in; 0 as long as it has none."""

    async def start(self) -> None:
        """Return when it serves.

        Raises:
            WorkerFailedError: It cannot.
        """

    def drain(self, seconds: float | None) -> None:
        """Have it accept nobody more, let what is under way end, and end itself.

        Called again, the last call counts.

        Args:
            seconds: How long; None: until the last tunnel has ended.
        """

    async def report(self) -> Report:
        """Return what it has done so far; empty when it does not tell in time."""

    async def wait_ended(self) -> str:
        """Return when it has ended, and how: for the log."""
