"""The workers that serve with one set of settings: so many, each replaced when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

from px.core.startup_errors import StartupError
from px.workers.worker import Report, Worker

#: A worker that has lived so long did not die of what its predecessor died of: it is replaced at once.
STEADY_SECONDS = 30.0
FIRST_DELAY_SECONDS = 0.5
MAX_DELAY_SECONDS = 30.0

_LOGGER = logging.getLogger("px.workers")


class Crew:
    """Some workers; made inside the event loop.

    Args:
        hire: Makes a worker, not yet started.
        size: How many there shall be.
        retire: Called with the last report of each one that has ended.
    """

    def __init__(self, hire: Callable[[], Worker], size: int, retire: Callable[[Report], object]) -> None:
        self._hire = hire
        self._size = size
        self._retire = retire
        self._posts: list[asyncio.Task[None]] = []
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._failures = 0
        self._draining = asyncio.Event()
        #: Those there are, also such as are just starting or ending.
        self.workers: list[Worker] = []

    @property
    def is_draining(self) -> bool:
        """Whether it accepts nobody more."""
        return self._draining.is_set()

    async def start(self) -> None:
        """Return when the first worker serves.

        Raises:
            StartupError: None of them can.
        """
        self._posts = [asyncio.create_task(self._fill_post()) for _ in range(self._size)]
        try:
            await asyncio.wait([self._ready, *self._posts], return_when=asyncio.FIRST_COMPLETED)
            for done in (self._ready, *self._posts):
                if done.done():
                    done.result()
        except BaseException:
            self.drain(0)
            await asyncio.gather(*self._posts, return_exceptions=True)
            raise

    async def _fill_post(self) -> None:
        deaths = 0
        while not self._draining.is_set():
            begun = time.monotonic()
            worker = self._hire()
            how = await self._employ(worker)
            if self._draining.is_set():
                return
            _LOGGER.error("worker %d, pid %d, ended %s", worker.number, worker.pid, how)
            await asyncio.wait([self._ready])
            deaths = 1 if time.monotonic() - begun > STEADY_SECONDS else deaths + 1
            await self._pause(_delay_after(deaths))

    async def _employ(self, worker: Worker) -> str:
        """Return how a worker has ended."""
        self.workers.append(worker)
        try:
            await worker.start()
            if not self._ready.done():
                self._ready.set_result(None)
            return await worker.wait_ended()
        except StartupError as error:
            self._receive_failure(error)
            return f"before it served: {error}"
        finally:
            self.workers.remove(worker)
            self._retire(await worker.report())

    def _receive_failure(self, error: StartupError) -> None:
        self._failures += 1
        if self._failures >= self._size and not self._ready.done():
            self._draining.set()
            self._ready.set_exception(error)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._draining.wait()

    def drain(self, seconds: float | None) -> None:
        """Have all accept nobody more and end. See `px.workers.worker.Worker.drain`."""
        self._draining.set()
        for worker in self.workers:
            worker.drain(seconds)

    async def wait_ended(self) -> None:
        """Return when all have ended that shall; raise what broke one of them in this process."""
        done, _ = await asyncio.wait(self._posts, return_when=asyncio.FIRST_EXCEPTION)
        for post in done:
            post.result()

    def __repr__(self) -> str:
        return f"<Crew {self.workers}{' draining' if self.is_draining else ''}>"


def _delay_after(deaths: int) -> float:
    """Return how long to wait before a worker is replaced that died early, as so many before it."""
    return 0.0 if deaths <= 1 else min(FIRST_DELAY_SECONDS * 2.0 ** min(deaths - 2, 10), MAX_DELAY_SECONDS)
