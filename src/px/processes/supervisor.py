"""All workers of a Px, and the sockets on which they listen.

Nothing is changed in place. A reload starts new workers with the new settings, on the sockets of the old
workers or on new ones, and then lets the old workers end. So no connection is lost, and settings that do not
work change nothing.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from px.core.problems import ProblemReport, merge_problems
from px.core.startup_errors import StartupError
from px.processes.child_worker import ChildWorker
from px.processes.handover import execute_process
from px.processes.listen_sockets import ListenSockets
from px.processes.local_worker import LocalWorker
from px.processes.notices import Notices
from px.processes.status import merge_reports, sum_counters
from px.processes.traffic_sum import sum_traffic
from px.processes.worker import Report, SpawnProcess, Worker, WorkOrder
from px.processes.worker_pool import WorkerPool
from px.system.state.installation import load_installation
from px.system.state.shared_right import SharedRight

if TYPE_CHECKING:
    from px.config.settings import Settings


class Supervisor:
    """Starts, replaces and ends workers; must be made inside the event loop.

    Args:
        settings: For the workers.
        listen_sockets: Where the workers listen.
        state: The state directory.
        add_secrets: Adds the passwords in the user's keyring to settings.
        shared_right: The right of all workers together to send a login where the lock-out record cannot be
            kept.
        notices: What Px tells the user, and the problems of this process.
        spawn_process: Starts the process of a worker, if there are several workers.
    """

    def __init__(  # noqa: PLR0913 - what the workers share, and what starts them
        self,
        settings: Settings,
        listen_sockets: ListenSockets,
        state: Path,
        add_secrets: Callable[[Settings], Awaitable[Settings]],
        shared_right: SharedRight,
        notices: Notices,
        *,
        spawn_process: SpawnProcess = execute_process,
    ) -> None:
        self.settings = settings
        self._add_secrets = add_secrets
        self.listen_sockets = listen_sockets
        self._state = state
        self._shared_right = shared_right
        self._notices = notices
        self._spawn_process = spawn_process
        self._installation = load_installation(state)
        self._numbers = count(1)
        self._pools: list[WorkerPool] = []
        self._watching: set[asyncio.Task[None]] = set()
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._is_ending = False
        self._changing = asyncio.Lock()
        #: Returns what a status says of Px as a whole, besides the workers.
        self.describe: Callable[[], Mapping[str, object]] = dict
        self._past_counters: dict[str, int] = {}
        self._past_traffic: dict[str, Any] = {}
        self._past_problems: Sequence[ProblemReport] = ()

    async def start(self) -> None:
        """Return when the first worker serves.

        Raises:
            StartupError: No worker can serve.
        """
        await self._begin(self.settings, self.listen_sockets)

    async def change(self, settings: Settings) -> None:
        """Serve with other settings from now on; return when the first new worker serves.

        Open tunnels and requests continue with the old settings until they end.

        Raises:
            StartupError: The new settings do not work; everything is as before.
        """
        async with self._changing:
            self._check_not_ending()  # the sockets would be closed
            old = self.listen_sockets
            listen_sockets = ListenSockets.take(settings, self._state, old)
            try:
                await self._begin(settings, listen_sockets)
            except BaseException:
                listen_sockets.leave_to(old)
                raise
            self.settings, self.listen_sockets = settings, listen_sockets
            for pool in self._pools[:-1]:
                if not pool.is_draining:
                    pool.drain(None)
            old.leave_to(listen_sockets)

    async def _begin(self, settings: Settings, listen_sockets: ListenSockets) -> None:
        complete = await self._add_secrets(settings)
        self._check_not_ending()  # Px may end while the keyring is asked
        spawn = partial(self._spawn, complete, listen_sockets.sockets)
        pool = WorkerPool(spawn, settings.workers, self._keep_past)
        self._pools.append(pool)
        try:
            await pool.start()
        except BaseException:
            self._dismiss(pool)
            raise
        watching = asyncio.create_task(self._watch_pool(pool))
        self._watching.add(watching)
        watching.add_done_callback(self._watching.discard)

    def _check_not_ending(self) -> None:
        if self._is_ending:
            raise StartupError("Px is ending")

    def _spawn(self, settings: Settings, sockets: Sequence[socket.socket]) -> Worker:
        order = WorkOrder(next(self._numbers), settings, self._state, self._installation)
        arguments = (order, sockets, self._shared_right, self.report, self._notices.receive)
        if settings.workers == 1:
            return LocalWorker(*arguments)
        return ChildWorker(*arguments, self._spawn_process)

    def _keep_past(self, report: Report) -> None:
        """Keep the counters, the traffic and the problems of a worker that has ended."""
        self._past_counters = sum_counters([self._past_counters, report.get("counters", {})])
        self._past_traffic = sum_traffic([self._past_traffic, report.get("traffic", {})])
        self._past_problems = merge_problems([self._past_problems, report.get("problems", ())])

    async def _watch_pool(self, pool: WorkerPool) -> None:
        """Forget a pool once its workers have ended; keep the fault of a worker for `wait_ended`."""
        try:
            await pool.wait_ended()
        except Exception as error:  # noqa: BLE001 - `wait_ended` raises it
            if not self._ended.done():
                self._ended.set_exception(error)
        self._dismiss(pool)

    def _dismiss(self, pool: WorkerPool) -> None:
        self._pools.remove(pool)
        self._notice_end()

    def _notice_end(self) -> None:
        if self._is_ending and not self._pools and not self._ended.done():
            self._ended.set_result(None)

    def drain(self, seconds: float) -> None:
        """Stop listening, and tell all workers to end. See `px.processes.worker.Worker.drain`."""
        self._is_ending = True
        self.listen_sockets.shut()
        for pool in self._pools:
            pool.drain(seconds)
        self._notice_end()  # there may be no pool yet, or the only one has just failed

    async def wait_ended(self) -> None:
        """Return when all workers have ended after `drain`; raise the fault of a worker in this process."""
        await asyncio.shield(self._ended)

    async def report(self) -> dict[str, Any]:
        """Return the state of all workers as JSON, merged by `px.processes.status`.

        Takes at most `px.processes.channel.REPORT_SECONDS`, also where a worker does not answer.
        """
        asking = (_ask(pool, worker) for pool in self._pools for worker in pool.workers)
        reports = await asyncio.gather(*asking)
        problems = merge_problems([self._past_problems, self._notices.problems])
        merged = merge_reports(reports, self._past_counters, self._past_traffic, problems)
        return {**self.describe(), **merged}

    def __repr__(self) -> str:
        return f"<Supervisor {self._pools}>"


async def _ask(pool: WorkerPool, worker: Worker) -> Report:
    report = await worker.report()
    return {"number": worker.number, "pid": worker.pid, "is_draining": pool.is_draining, **report}
