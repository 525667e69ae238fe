"""Blocking calls in threads."""

from __future__ import annotations

import asyncio
import threading

import pytest

from px.io import thread_lane
from px.io.thread_lane import ThreadLane
from tests.scripted_upstream import until


async def test_a_call_in_a_thread_returns_its_result_or_raises_its_error() -> None:
    lane = ThreadLane("lane", 2, 5)
    assert await lane.run(int, "17") == 17
    nothing: dict[str, str] = {}
    assert await lane.run(lambda: nothing.get("x")) is None
    with pytest.raises(ValueError, match="invalid literal"):
        await lane.run(int, "x")
    assert repr(lane) == "<ThreadLane lane>"


async def test_the_number_of_threads_stays_below_the_limit() -> None:
    lane, running, most = ThreadLane("lane", 2, 5), 0, 0
    lock, release = threading.Lock(), threading.Event()

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        release.wait(5)
        with lock:
            running -= 1

    tasks = [asyncio.create_task(lane.run(work)) for _ in range(6)]
    await asyncio.sleep(0.05)
    assert most == 2
    release.set()
    await asyncio.gather(*tasks)
    assert most == 2


async def test_a_thread_past_its_timeout_no_longer_counts() -> None:
    lane, release = ThreadLane("lane", 1, 0.1), threading.Event()
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await lane.run(release.wait, 5)
    assert await lane.run(int, "1") == 1
    release.set()


async def test_a_cancelled_caller_frees_its_thread_for_others() -> None:
    lane, release = ThreadLane("lane", 1, 5), threading.Event()
    calling = asyncio.create_task(lane.run(release.wait, 5))
    await asyncio.sleep(0.01)
    calling.cancel()
    await asyncio.gather(calling, return_exceptions=True)
    assert await lane.run(int, "1") == 1
    release.set()


def test_a_thread_that_outlives_its_loop_causes_no_error() -> None:
    release, ended = threading.Event(), threading.Event()

    def work() -> None:
        release.wait(5)
        ended.set()

    async def call() -> None:
        with pytest.raises(TimeoutError):
            await ThreadLane("lane", 1, 0.01).run(work)

    asyncio.run(call())
    release.set()
    assert ended.wait(5)


async def test_the_number_of_calls_that_never_return_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread_lane, "MAX_ABANDONED", 2)
    lane, release = ThreadLane("lane", 1, 0.1), threading.Event()
    before = threading.active_count()
    for _ in range(5):
        with pytest.raises(TimeoutError):
            await lane.run(release.wait, 5)
    assert threading.active_count() == before + 2
    release.set()
    await until(lambda: threading.active_count() == before)
    assert await lane.run(int, "1") == 1
