"""All workers of a Px, and the place where they listen.

Nothing is changed in place. A reload makes new workers with the new settings, on the sockets that the old
ones have or on new ones, and then lets the old ones end: no connection is lost, and settings that do not
work change nothing.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from px.admin.status import merge_reports, sum_counters
from px.core.startup_errors import StartupError
from px.system.installation import load_installation
from px.workers.child_worker import ChildWorker
from px.workers.crew import Crew
from px.workers.local_worker import LocalWorker
from px.workers.station import Station
from px.workers.worker import Report, Worker, WorkOrder

if TYPE_CHECKING:
    from px.config import Settings


class Supervisor:
    """Keeps workers at work; made inside the event loop.

    Args:
        settings: What they shall do.
        station: Where they listen.
        state: The state directory.
        add_secrets: Adds to settings what the user's keyring has for them.
    """

    def __init__(
        self,
        settings: Settings,
        station: Station,
        state: Path,
        add_secrets: Callable[[Settings], Awaitable[Settings]],
    ) -> None:
        self.settings = settings
        self._add_secrets = add_secrets
        self.station = station
        self._state = state
        self._installation = load_installation(state)
        self._numbers = count(1)
        self._crews: list[Crew] = []
        self._keeping: set[asyncio.Task[None]] = set()
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._is_ending = False
        self._changing = asyncio.Lock()
        self._past_counters: dict[str, int] = {}

    async def start(self) -> None:
        """Return when the first worker serves.

        Raises:
            StartupError: None of them can.
        """
        await self._begin(self.settings, self.station)

    async def change(self, settings: Settings) -> None:
        """Serve with other settings from now on; return when the first new worker does.

        Tunnels and requests that there are go on with the old ones until they end.

        Raises:
            StartupError: It cannot be done; everything is as before.
        """
        async with self._changing:
            old = self.station
            station = Station.take(settings, self._state, old)
            try:
                await self._begin(settings, station)
            except BaseException:
                station.leave_to(old)
                raise
            self.settings, self.station = settings, station
            for crew in self._crews[:-1]:
                if not crew.is_draining:
                    crew.drain(None)
            old.leave_to(station)

    async def _begin(self, settings: Settings, station: Station) -> None:
        if self._is_ending:
            raise StartupError("Px is ending")
        complete = await self._add_secrets(settings)
        hire = partial(self._hire, complete, station.sockets)
        crew = Crew(hire, settings.workers, self._retire)
        self._crews.append(crew)
        try:
            await crew.start()
        except BaseException:
            self._dismiss(crew)
            raise
        keeping = asyncio.create_task(self._keep(crew))
        self._keeping.add(keeping)
        keeping.add_done_callback(self._keeping.discard)

    def _hire(self, settings: Settings, sockets: Sequence[socket.socket]) -> Worker:
        order = WorkOrder(next(self._numbers), settings, self._state, self._installation)
        return LocalWorker(order, sockets) if settings.workers == 1 else ChildWorker(order, sockets)

    def _retire(self, report: Report) -> None:
        counters: Any = report.get("counters", {})
        self._past_counters = sum_counters([self._past_counters, counters])

    async def _keep(self, crew: Crew) -> None:
        try:
            await crew.wait_ended()
        except Exception as error:  # noqa: BLE001 - whoever waits for the end has to know
            if not self._ended.done():
                self._ended.set_exception(error)
        self._dismiss(crew)

    def _dismiss(self, crew: Crew) -> None:
        self._crews.remove(crew)
        if self._is_ending and not self._crews and not self._ended.done():
            self._ended.set_result(None)

    def drain(self, seconds: float) -> None:
        """Listen no more, and have all workers end. See `px.workers.worker.Worker.drain`."""
        self._is_ending = True
        self.station.shut()
        for crew in self._crews:
            crew.drain(seconds)

    async def wait_ended(self) -> None:
        """Return when all workers have ended after `drain`; raise what broke one in this process."""
        await asyncio.shield(self._ended)

    async def report(self) -> dict[str, Any]:
        """Return what there is to tell of all of them, as JSON; see `px.admin.status`."""
        asking = (_ask(crew, worker) for crew in self._crews for worker in crew.workers)
        reports = await asyncio.gather(*asking)
        return merge_reports(reports, self._past_counters)

    def __repr__(self) -> str:
        return f"<Supervisor {self._crews}>"


async def _ask(crew: Crew, worker: Worker) -> Report:
    report = await worker.report()
    return {"number": worker.number, "pid": worker.pid, "is_draining": crew.is_draining, **report}
