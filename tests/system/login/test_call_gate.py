"""One blocking call at a time, and no refusal lost."""

from __future__ import annotations

import asyncio
import threading

import pytest

from px.core.errors import LoginRefusedError, LoginUnusableError
from px.system.login.call_gate import CallGate


async def in_thread(function, *args):
    async with asyncio.timeout(0.05):
        return await asyncio.to_thread(function, *args)


async def inline(function, *args):
    return function(*args)


def make_gate(run_in_thread=in_thread) -> CallGate:
    return CallGate(run_in_thread, lambda: LoginUnusableError("silent"))


class Kdc:
    """A call that waits until it is released, then refuses, or returns its number."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.calls = 0
        self.released = threading.Event()
        self.ended = threading.Event()
        self._refuses = refuses

    def ask(self) -> int:
        self.calls += 1
        try:
            self.released.wait(10)
            if self._refuses:
                raise LoginRefusedError("refused", "hint")
            return self.calls
        finally:
            self.ended.set()


async def settle(kdc: Kdc) -> None:
    """Let the abandoned call end, and its thread notice."""
    kdc.released.set()
    await asyncio.to_thread(kdc.ended.wait, 10)
    await asyncio.sleep(0.02)


async def test_a_call_returns_its_result():
    kdc = Kdc()
    kdc.released.set()
    assert await make_gate().run(kdc.ask) == 1


async def test_one_call_runs_at_a_time():
    running, most = 0, 0

    async def count(function, *args):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return function(*args)

    gate = make_gate(count)
    assert await asyncio.gather(*(gate.run(abs, n) for n in range(5))) == [0, 1, 2, 3, 4]
    assert most == 1


async def test_while_a_silent_call_runs_on_the_others_fail_at_once_and_start_none():
    gate, kdc = make_gate(), Kdc()
    for _ in range(3):
        with pytest.raises(LoginUnusableError, match="silent"):
            await gate.run(kdc.ask)
    assert kdc.calls == 1
    await settle(kdc)
    assert await gate.run(kdc.ask) == 2


async def test_a_refusal_that_came_too_late_is_raised_once_by_the_next_call():
    gate, kdc = make_gate(), Kdc(refuses=True)
    with pytest.raises(LoginUnusableError, match="silent"):
        await gate.run(kdc.ask)
    await settle(kdc)
    with pytest.raises(LoginRefusedError) as caught:
        await gate.run(kdc.ask)
    assert (caught.value.cause, caught.value.hint, kdc.calls) == ("refused", "hint", 1)
    with pytest.raises(LoginRefusedError):
        await gate.run(kdc.ask)
    assert kdc.calls == 2


async def test_a_refusal_whose_caller_was_cancelled_is_raised_by_the_next_call():
    gate, kdc = make_gate(asyncio.to_thread), Kdc(refuses=True)
    task = asyncio.create_task(gate.run(kdc.ask))
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await settle(kdc)
    with pytest.raises(LoginRefusedError):
        await gate.run(kdc.ask)
    assert kdc.calls == 1


async def test_a_refusal_whose_caller_was_cancelled_reaches_who_waits_already():
    gate, kdc = make_gate(asyncio.to_thread), Kdc(refuses=True)
    first, second = (asyncio.create_task(gate.run(kdc.ask)) for _ in range(2))
    await asyncio.sleep(0.02)
    first.cancel()
    await settle(kdc)
    with pytest.raises(LoginRefusedError):
        await second
    assert kdc.calls == 1


async def test_a_refusal_that_arrives_with_the_cancellation_is_raised_by_the_next_call():
    gate, kdc = make_gate(inline), Kdc(refuses=True)
    kdc.released.set()
    task = asyncio.create_task(gate.run(kdc.ask))
    for _ in range(10):
        await asyncio.sleep(0)
        if kdc.calls:
            break
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(LoginRefusedError):
        await gate.run(kdc.ask)
    assert kdc.calls == 1


async def test_a_call_that_never_began_blocks_nothing_and_never_begins():
    waiting = []

    async def full(function, *args):
        waiting.append((function, args))
        raise TimeoutError

    gate, kdc = make_gate(full), Kdc()
    with pytest.raises(LoginUnusableError):
        await gate.run(kdc.ask)
    function, args = waiting[0]
    with pytest.raises(TimeoutError):
        function(*args)  # a pool that gets to it at last
    assert kdc.calls == 0
    with pytest.raises(LoginUnusableError):
        await gate.run(kdc.ask)
    assert len(waiting) == 2
