"""Who replaces whom, and when: with workers that do as a test says."""

from __future__ import annotations

import asyncio

import pytest

from px.workers import crew as crew_module
from px.workers.crew import Crew, _delay_after
from px.workers.worker import Report, WorkerFailedError
from tests.scripted_upstream import until


class ScriptedWorker:
    """Implements `px.workers.worker.Worker`."""

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
        self.end("it was told to")

    async def report(self) -> Report:
        return {"counters": {"requests": self.number}}

    async def wait_ended(self) -> str:
        return await self._ended

    def end(self, how: str) -> None:
        if not self._ended.done():
            self._ended.set_result(how)

    def break_down(self, error: Exception) -> None:
        self._ended.set_exception(error)


class Hired:
    """Makes workers, and keeps them."""

    def __init__(self, *failures: Exception | None, is_slow: bool = False) -> None:
        self.workers: list[ScriptedWorker] = []
        self.retired: list[Report] = []
        self._failures = list(failures)
        self._is_slow = is_slow

    def crew(self, size: int) -> Crew:
        return Crew(self.hire, size, self.retired.append)

    def hire(self) -> ScriptedWorker:
        failure = self._failures.pop(0) if self._failures else None
        worker = ScriptedWorker(len(self.workers) + 1, failure)
        if not self._is_slow:
            worker.may_start.set()
        self.workers.append(worker)
        return worker


async def test_the_first_worker_that_serves_is_enough_to_begin():
    hired = Hired(is_slow=True)
    crew = hired.crew(2)
    starting = asyncio.create_task(crew.start())
    await until(lambda: len(hired.workers) == 2)
    hired.workers[1].may_start.set()
    await starting
    crew.drain(None)
    await crew.wait_ended()
    assert hired.workers[0].drained == hired.workers[1].drained == [None]


async def test_a_worker_that_ends_is_replaced_at_once_and_its_counters_are_kept():
    hired = Hired()
    crew = hired.crew(2)
    await crew.start()
    hired.workers[0].end("by SIGKILL")
    await until(lambda: len(hired.workers) == 3)
    assert crew.workers == [hired.workers[1], hired.workers[2]]
    assert hired.retired == [{"counters": {"requests": 1}}]
    crew.drain(1.0)
    await crew.wait_ended()
    assert len(hired.retired) == 3
    assert crew.workers == []


async def test_one_that_dies_again_and_again_is_replaced_more_and_more_slowly(monkeypatch):
    monkeypatch.setattr(crew_module, "FIRST_DELAY_SECONDS", 0.05)
    hired = Hired()
    crew = hired.crew(1)
    await crew.start()
    began = asyncio.get_running_loop().time()
    for number in range(4):
        await until(lambda: len(hired.workers) == number + 1)  # noqa: B023 - it is called here only
        hired.workers[number].end("with exit code 1")
    await until(lambda: len(hired.workers) == 5)
    assert asyncio.get_running_loop().time() - began > 0.3  # 0.05 + 0.1 + 0.2, by the coarse clock of Windows
    crew.drain(0)
    await crew.wait_ended()


def test_the_delay_is_bounded():
    assert [_delay_after(deaths) for deaths in (1, 2, 3, 4)] == [0.0, 0.5, 1.0, 2.0]
    assert _delay_after(10_000) == crew_module.MAX_DELAY_SECONDS


async def test_a_crew_that_waits_to_replace_one_can_be_told_to_end():
    hired = Hired()
    crew = hired.crew(1)
    await crew.start()
    for number in range(2):
        await until(lambda: len(hired.workers) == number + 1)  # noqa: B023
        hired.workers[number].end("with exit code 1")
    await asyncio.sleep(0.01)
    async with asyncio.timeout(0.3):
        crew.drain(None)
        await crew.wait_ended()
    assert len(hired.workers) == 2


async def test_a_crew_of_which_nobody_can_begin_fails_with_the_reason():
    hired = Hired(WorkerFailedError("no log", 2), WorkerFailedError("no log", 2))
    crew = hired.crew(2)
    with pytest.raises(WorkerFailedError, match="no log") as caught:
        await crew.start()
    assert caught.value.exit_code == 2
    assert len(hired.workers) == 2
    assert crew.workers == []


async def test_one_that_cannot_begin_is_tried_again_when_another_one_serves():
    hired = Hired(WorkerFailedError("no memory"))
    crew = hired.crew(2)
    await crew.start()
    await until(lambda: len(crew.workers) == 2)
    assert [worker.number for worker in crew.workers] == [2, 3]
    crew.drain(None)
    await crew.wait_ended()


async def test_a_crew_told_to_end_while_it_starts_ends():
    hired = Hired(is_slow=True)
    crew = hired.crew(2)
    starting = asyncio.create_task(crew.start())
    await until(lambda: len(hired.workers) == 2)
    crew.drain(0)
    await starting
    await crew.wait_ended()
    assert crew.workers == []


async def test_what_breaks_a_worker_in_this_process_is_raised():
    hired = Hired()
    crew = hired.crew(1)
    await crew.start()
    hired.workers[0].break_down(RuntimeError("a fault"))
    with pytest.raises(RuntimeError, match="a fault"):
        await crew.wait_ended()


async def test_a_fault_at_the_start_is_raised_and_leaves_nobody():
    hired = Hired(None, RuntimeError("a fault"), is_slow=True)
    crew = hired.crew(2)
    starting = asyncio.create_task(crew.start())
    await until(lambda: len(hired.workers) == 2)
    hired.workers[1].may_start.set()
    with pytest.raises(RuntimeError, match="a fault"):
        await starting
    assert crew.workers == []
    assert hired.workers[0].drained == [0]
