"""How a pool replaces workers, shown with workers that a test controls."""

from __future__ import annotations

import asyncio
import gc

import pytest

from px.processes import worker_pool as pool_module
from px.processes.worker import Report, WorkerFailedError
from px.processes.worker_pool import WorkerPool, _delay_after
from tests.scripted_upstream import until


class ScriptedWorker:
    """Implements `px.processes.worker.Worker`."""

    def __init__(self, number: int, failure: Exception | None = None) -> None:
        self.number = number
        self.pid = 100 + number
        self.drained: list[float | None] = []
        self.may_start = asyncio.Event()
        self._failure = failure
        self._ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def start(self) -> None:
        await self.may_start.wait()
        if self._failure is not None:
            raise self._failure

    def drain(self, seconds: float | None) -> None:
        self.drained.append(seconds)
        self.may_start.set()
        self.end("as it was told to")

    async def report(self) -> Report:
        return {"counters": {"requests": self.number}}

    async def wait_ended(self) -> str:
        return await self._ended

    def end(self, how: str) -> None:
        if not self._ended.done():
            self._ended.set_result(how)

    def break_down(self, error: Exception) -> None:
        self._ended.set_exception(error)


class Spawned:
    """Makes workers and remembers them."""

    def __init__(self, *failures: Exception | None, is_slow: bool = False) -> None:
        self.workers: list[ScriptedWorker] = []
        self.retired: list[Report] = []
        self._failures = list(failures)
        self._is_slow = is_slow

    def pool(self, size: int) -> WorkerPool:
        return WorkerPool(self.spawn, size, self.retired.append)

    def spawn(self) -> ScriptedWorker:
        failure = self._failures.pop(0) if self._failures else None
        worker = ScriptedWorker(len(self.workers) + 1, failure)
        if not self._is_slow:
            worker.may_start.set()
        self.workers.append(worker)
        return worker


async def test_the_pool_serves_as_soon_as_its_first_worker_does():
    spawned = Spawned(is_slow=True)
    pool = spawned.pool(2)
    starting = asyncio.create_task(pool.start())
    await until(lambda: len(spawned.workers) == 2)
    spawned.workers[1].may_start.set()
    await starting
    pool.drain(None)
    await pool.wait_ended()
    assert spawned.workers[0].drained == spawned.workers[1].drained == [None]


async def test_the_pool_replaces_an_ended_worker_at_once_and_keeps_its_counters():
    spawned = Spawned()
    pool = spawned.pool(2)
    await pool.start()
    spawned.workers[0].end("by SIGKILL")
    await until(lambda: len(spawned.workers) == 3)
    assert pool.workers == [spawned.workers[1], spawned.workers[2]]
    assert spawned.retired == [{"counters": {"requests": 1}}]
    pool.drain(1.0)
    await pool.wait_ended()
    assert len(spawned.retired) == 3
    assert pool.workers == []


async def test_the_pool_delays_replacements_of_a_worker_that_keeps_dying(monkeypatch):
    monkeypatch.setattr(pool_module, "FIRST_DELAY_SECONDS", 0.05)
    spawned = Spawned()
    pool = spawned.pool(1)
    await pool.start()
    began = asyncio.get_running_loop().time()
    for number in range(4):
        await until(lambda: len(spawned.workers) == number + 1)  # noqa: B023 - it is called here only
        spawned.workers[number].end("with exit code 1")
    await until(lambda: len(spawned.workers) == 5)
    assert asyncio.get_running_loop().time() - began > 0.3  # 0.05 + 0.1 + 0.2, by the coarse clock of Windows
    pool.drain(0)
    await pool.wait_ended()


def test_the_delay_is_bounded():
    assert [_delay_after(deaths) for deaths in (1, 2, 3, 4)] == [0.0, 0.5, 1.0, 2.0]
    assert _delay_after(10_000) == pool_module.MAX_DELAY_SECONDS


async def test_a_pool_that_waits_to_replace_a_worker_can_be_drained():
    spawned = Spawned()
    pool = spawned.pool(1)
    await pool.start()
    for number in range(2):
        await until(lambda: len(spawned.workers) == number + 1)  # noqa: B023
        spawned.workers[number].end("with exit code 1")
    await asyncio.sleep(0.01)
    async with asyncio.timeout(0.3):
        pool.drain(None)
        await pool.wait_ended()
    assert len(spawned.workers) == 2


async def test_a_pool_in_which_no_worker_can_start_fails_with_the_reason():
    spawned = Spawned(WorkerFailedError("no log", 2), WorkerFailedError("no log", 2))
    pool = spawned.pool(2)
    with pytest.raises(WorkerFailedError, match="no log") as caught:
        await pool.start()
    assert caught.value.exit_code == 2
    assert len(spawned.workers) == 2
    assert pool.workers == []


async def test_a_worker_that_cannot_start_is_tried_again_when_another_one_serves():
    spawned = Spawned(WorkerFailedError("no memory"))
    pool = spawned.pool(2)
    await pool.start()
    await until(lambda: len(pool.workers) == 2)
    assert [worker.number for worker in pool.workers] == [2, 3]
    pool.drain(None)
    await pool.wait_ended()


async def test_a_pool_can_be_drained_while_it_starts():
    spawned = Spawned(is_slow=True)
    pool = spawned.pool(2)
    starting = asyncio.create_task(pool.start())
    await until(lambda: len(spawned.workers) == 2)
    pool.drain(0)
    await starting
    await pool.wait_ended()
    assert pool.workers == []


class KilledWorker(ScriptedWorker):
    """A process that a drain kills, since it does not serve yet."""

    async def start(self) -> None:
        await super().start()
        raise WorkerFailedError(f"worker {self.number} ended before it served: by SIGKILL")


async def test_workers_killed_at_their_start_by_a_drain_leave_no_unretrieved_failure():
    reported: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    workers = [KilledWorker(number) for number in range(4)]
    waiting = list(workers)
    pool = WorkerPool(lambda: waiting.pop(0), len(workers), lambda _: None)
    starting = asyncio.create_task(pool.start())
    await until(lambda: not waiting)
    pool.drain(5.0)
    await starting
    await pool.wait_ended()
    assert [worker.drained for worker in workers] == [[5.0]] * 4
    del pool
    gc.collect()  # asyncio reports an unretrieved exception when it deletes the future
    assert reported == []


async def test_a_worker_that_failed_before_a_drain_does_not_wait_for_another_one():
    spawned = Spawned(WorkerFailedError("no memory"), is_slow=True)
    pool = spawned.pool(2)
    starting = asyncio.create_task(pool.start())
    await until(lambda: len(spawned.workers) == 2)
    spawned.workers[0].may_start.set()
    await until(lambda: len(pool.workers) == 1)
    pool.drain(0)
    async with asyncio.timeout(1):
        await starting
        await pool.wait_ended()
    assert len(spawned.workers) == 2


async def test_the_error_of_a_worker_in_this_process_is_raised():
    spawned = Spawned()
    pool = spawned.pool(1)
    await pool.start()
    spawned.workers[0].break_down(RuntimeError("a fault"))
    with pytest.raises(RuntimeError, match="a fault"):
        await pool.wait_ended()


async def test_a_fault_at_the_start_is_raised_and_leaves_no_worker():
    spawned = Spawned(None, RuntimeError("a fault"), is_slow=True)
    pool = spawned.pool(2)
    starting = asyncio.create_task(pool.start())
    await until(lambda: len(spawned.workers) == 2)
    spawned.workers[1].may_start.set()
    with pytest.raises(RuntimeError, match="a fault"):
        await starting
    assert pool.workers == []
    assert spawned.workers[0].drained == [0]
