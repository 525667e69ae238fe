from __future__ import annotations

import pytest

from px.core.report_limits import MAX_SLOTS
from px.downstream.activity.traffic import Totals, TrafficHistory
from px.io.io_loop import IoLoop


class Clock:
    """The clock and the totals of a history, which the test sets."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.totals = Totals(0, 0, 0)
        self.has_more = True
        io_loop = IoLoop()
        io_loop.now = lambda: self.seconds - 900
        self.history = TrafficHistory(
            io_loop, lambda: self.totals, lambda: self.has_more, lambda: self.seconds
        )

    def go(self, seconds: float, up: int = 0) -> None:
        """Let time pass in the steps of a sweep, with bytes that come evenly."""
        steps = int(seconds * 4)
        for step in range(steps):
            self.seconds += 0.25
            self.totals = Totals(
                self.totals.up + up * (step + 1) // steps - up * step // steps, 0, self.totals.requests
            )
            if self.history.deadline <= self.seconds - 900:
                self.history.expire()

    @property
    def up(self) -> list[int]:
        amounts = self.history.report()["up"]
        assert isinstance(amounts, list)
        return amounts


@pytest.fixture
async def clock() -> Clock:
    return Clock()


async def test_the_bytes_of_a_long_tunnel_are_in_the_slots_in_which_they_came(clock: Clock) -> None:
    clock.history.begin()
    clock.go(5, up=5000)
    clock.go(10, up=10_000)
    clock.go(15, up=0)
    clock.go(3, up=300)
    assert clock.up == pytest.approx([10_000, 5000, 0, 300], abs=250)  # a sweep is up to 0.25 s late
    assert sum(clock.up) == 15_300
    assert clock.history.report()["end"] == 1040


async def test_without_connections_nothing_is_watched_after_the_slot(clock: Clock) -> None:
    clock.history.begin()
    clock.go(2, up=7)
    clock.has_more = False
    clock.go(9)
    assert clock.history.deadline == float("inf")
    clock.seconds += 60
    assert clock.up == [7, 0, 0, 0, 0, 0, 0, 0]
    clock.has_more = True
    clock.history.begin()
    clock.go(1, up=5)
    assert clock.up == [7, 0, 0, 0, 0, 0, 0, 5]


async def test_the_last_hour_is_kept(clock: Clock) -> None:
    clock.history.begin()
    clock.go(10, up=4)
    clock.go(3590, up=0)
    assert (len(clock.up), clock.up[0]) == (1, 0)
    clock.go(10, up=8)
    clock.go(3580, up=0)
    assert len(clock.up) == MAX_SLOTS
    assert clock.up[0] == pytest.approx(8, abs=1)


async def test_a_clock_that_is_set_back_does_not_bring_bytes_into_slots_that_have_ended(clock: Clock) -> None:
    clock.history.begin()
    clock.go(10, up=4)
    clock.seconds -= 500
    clock.totals = Totals(104, 0, 0)
    assert (clock.up, clock.history.report()["end"]) == ([4, 100], 1020)


async def test_a_total_that_goes_back_makes_no_negative_slot_and_loses_nothing(clock: Clock) -> None:
    clock.history.begin()
    clock.go(1, up=100)
    assert clock.up == [100]
    clock.totals = Totals(70, 0, 0)  # 30 bytes of a page are counted before they are sent
    assert clock.up == [100]
    clock.totals = Totals(105, 0, 0)
    assert clock.up == [105]
