"""The shared timer."""

from __future__ import annotations

import asyncio

from px.io.io_loop import NEVER, IoLoop
from tests.scripted_upstream import until


class Patient:
    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.expired = asyncio.Event()
        self.times = 0

    def expire(self) -> None:
        self.times += 1
        self.expired.set()


async def test_a_waiter_past_its_deadline_expires_and_others_do_not() -> None:
    io_loop = IoLoop()
    late, never = Patient(io_loop.now() + 0.02), Patient(NEVER)
    io_loop.watch(late)
    io_loop.watch(never)
    async with asyncio.timeout(5):
        await late.expired.wait()
    assert io_loop.now() >= late.deadline
    assert not never.expired.is_set()
    assert repr(io_loop) == "<IoLoop watching=2>"


async def test_a_waiter_that_stays_past_its_deadline_expires_again() -> None:
    io_loop = IoLoop()
    late = Patient(io_loop.now())
    io_loop.watch(late)
    await until(lambda: late.times >= 2)


async def test_an_unwatched_waiter_does_not_expire_and_the_timer_ends() -> None:
    io_loop = IoLoop()
    gone = Patient(io_loop.now())
    io_loop.watch(gone)
    io_loop.unwatch(gone)
    io_loop.unwatch(gone)
    await asyncio.sleep(0.03)
    assert gone.times == 0
    assert io_loop._timer is None


async def test_a_waiter_may_unwatch_itself_while_it_expires() -> None:
    io_loop = IoLoop()

    class Leaving(Patient):
        def expire(self) -> None:
            super().expire()
            io_loop.unwatch(self)

    leaving = [Leaving(io_loop.now()) for _ in range(3)]
    for each in leaving:
        io_loop.watch(each)
    async with asyncio.timeout(5):
        for each in leaving:
            await each.expired.wait()
    assert [each.times for each in leaving] == [1, 1, 1]
