"""A fixed number of workers with the same settings; a worker that dies is replaced."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Any

from px.core.startup_errors import StartupError
from px.processes.worker import Report, Worker

#: A worker that has lived this long is replaced at once: it did not die of a fault at its start.
STEADY_SECONDS = 30.0
FIRST_DELAY_SECONDS = 0.5
MAX_DELAY_SECONDS = 30.0

_LOGGER = logging.getLogger("px.workers")


class WorkerPool:
    """Keeps a number of workers running; must be made inside the event loop.

    Args:
        spawn: Makes a worker without starting it.
        size: The number of workers.
        on_worker_end: Called with the last report of each worker that has ended.
    """

    def __init__(
        self, spawn: Callable[[], Worker], size: int, on_worker_end: Callable[[Report], object]
    ) -> None:
        self._spawn = spawn
        self._size = size
        self._on_worker_end = on_worker_end
        self._posts: list[asyncio.Task[None]] = []
        #: Done as soon as the start is decided: a worker serves, no worker can (then with the reason), or the
        #: pool is told to end. The reason is a result and no exception: asyncio reports exceptions that
        #: nothing retrieves, and nothing does once `start` has returned.
        self._settled: asyncio.Future[StartupError | None] = asyncio.get_running_loop().create_future()
        self._failures = 0
        self._draining = asyncio.Event()
        #: All workers, including those that are just starting or ending.
        self.workers: list[Worker] = []

    @property
    def is_draining(self) -> bool:
        """Whether the pool has been told to end."""
        return self._draining.is_set()

    async def start(self) -> None:
        """Return when the first worker serves, or when `drain` is called before.

        Raises:
            StartupError: No worker can serve.
        """
        self._posts = [asyncio.create_task(self._fill_post()) for _ in range(self._size)]
        try:
            await self._wait_settled()
        except BaseException:
            self.drain(0)
            await asyncio.gather(*self._posts, return_exceptions=True)
            raise

    async def _wait_settled(self) -> None:
        """Return when the start has succeeded or `drain` was called; raise what the start failed of."""
        either: list[asyncio.Future[Any]] = [self._settled, *self._posts]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        for post in self._posts:
            if post.done():
                post.result()
        if self._settled.done() and (failure := self._settled.result()) is not None:
            raise failure

    async def _fill_post(self) -> None:
        deaths = 0
        while not self._draining.is_set():
            begun = time.monotonic()
            worker = self._spawn()
            how = await self._run_worker(worker)
            if self._draining.is_set():
                return
            _LOGGER.error("worker %d, pid %d, ended %s", worker.number, worker.pid, how)
            await asyncio.wait([self._settled])
            deaths = 1 if time.monotonic() - begun > STEADY_SECONDS else deaths + 1
            await self._pause(_delay_after(deaths))

    async def _run_worker(self, worker: Worker) -> str:
        """Run a worker to its end; return how it ended, for the log."""
        self.workers.append(worker)
        try:
            await worker.start()
            self._settle(None)
            return await worker.wait_ended()
        except StartupError as error:
            self._receive_failure(error)
            return f"before it served: {error}"
        finally:
            self.workers.remove(worker)
            self._on_worker_end(await worker.report())

    def _receive_failure(self, error: StartupError) -> None:
        self._failures += 1
        if self._failures >= self._size and not self._settled.done():
            self._draining.set()
            self._settle(error)

    def _settle(self, failure: StartupError | None) -> None:
        if not self._settled.done():
            self._settled.set_result(failure)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._draining.wait()

    def drain(self, seconds: float | None) -> None:
        """Tell all workers to accept no more clients and to end. See `px.processes.worker.Worker.drain`."""
        self._draining.set()
        self._settle(None)  # workers that end before they serve do so on request: that is no failure
        for worker in self.workers:
            worker.drain(seconds)

    async def wait_ended(self) -> None:
        """Return when all workers have ended after `drain`; raise the fault of a worker in this process."""
        done, _ = await asyncio.wait(self._posts, return_when=asyncio.FIRST_EXCEPTION)
        for post in done:
            post.result()

    def __repr__(self) -> str:
        return f"<WorkerPool {self.workers}{' draining' if self.is_draining else ''}>"


def _delay_after(deaths: int) -> float:
    """Return how long to wait before replacing a worker, after this many early deaths in a row."""
    return 0.0 if deaths <= 1 else min(FIRST_DELAY_SECONDS * 2.0 ** min(deaths - 2, 10), MAX_DELAY_SECONDS)
