"""What the supervisor needs of a worker, in this process or in another one."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from px.core.startup_errors import StartupError

if TYPE_CHECKING:
    from px.config.settings import Settings
    from px.system.state.installation import Installation

#: JSON: the state of one worker, as `px.app.px.Px.report` makes it, or of all workers, as
#: `px.processes.status` merges them.
Report = dict[str, Any]

#: Receives what a worker has to tell the user; see `px.processes.notices`.
OnNotice = Callable[[Report], object]

#: Returns the state of all workers; None when the supervisor does not answer in time.
AskStatus = Callable[[], Awaitable[Report | None]]


class WorkerFailedError(StartupError):
    """A worker could not start to serve; the message is for a person.

    Args:
        message: The reason.
        exit_code: The exit code of Px if no worker can serve.
    """

    def __init__(self, message: str, exit_code: int = StartupError.exit_code) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class WorkOrder:
    """What a worker needs in addition to the sockets.

    Attributes:
        number: The number of the worker; each worker has its own.
        settings: The settings of Px.
        state: The directory of what Px remembers over restarts.
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
        """The number of the worker."""

    @property
    def pid(self) -> int:
        """The id of the worker's process; 0 before the process has started."""

    async def start(self) -> None:
        """Return when the worker serves.

        Raises:
            WorkerFailedError: The worker cannot serve.
        """

    def drain(self, seconds: float | None) -> None:
        """Tell the worker to accept no more clients, to finish open requests and tunnels, and then to end.

        If this is called again, the last call counts.

        Args:
            seconds: The time limit; None: no limit.
        """

    async def report(self) -> Report:
        """Return the state of the worker; if it does not answer in time, the last known one or none."""

    async def wait_ended(self) -> str:
        """Return how the worker has ended, for the log, once it has."""


class WorkerProcess(Protocol):
    """The process of a worker as its supervisor sees it, however the process was started."""

    @property
    def pid(self) -> int:
        """The id of the process."""

    async def hand_over(self, order: WorkOrder) -> None:
        """Give the process its order, for which it waits; if it has ended, `wait` tells."""

    def kill(self) -> None:
        """Kill the process; nothing happens if it has ended."""

    async def wait(self) -> int | None:
        """Return the exit code once the process has ended: negative for a signal, None if unknown."""


#: Starts a process that gets these sockets, which stay open in this process; raises OSError.
SpawnProcess = Callable[[Sequence[socket.socket]], Awaitable[WorkerProcess]]
