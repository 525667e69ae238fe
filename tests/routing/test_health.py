"""Which upstream is tried first, and when a dead one is probed."""

from __future__ import annotations

from px.core.route import Via, parse_upstreams
from px.routing.health import (
    FIRST_PROBE_SECONDS,
    FORGET_SECONDS,
    MAX_DEAD,
    MAX_PROBE_SECONDS,
    UpstreamHealth,
)

A, B, C = parse_upstreams("a,b,c")


class Bench:
    def __init__(self) -> None:
        self.now = 100.0
        self.deaths = 0
        self.health = UpstreamHealth(lambda: self.now, self._count)

    def _count(self) -> None:
        self.deaths += 1

    def fail(self, upstream=A) -> None:
        self.health.report(upstream, is_reachable=False)


def test_the_users_order_holds_until_something_happens() -> None:
    assert Bench().health.order([A, B, C]) == [A, B, C]


def test_the_one_that_works_is_kept() -> None:
    bench = Bench()
    bench.fail()
    bench.health.report(B, is_reachable=True)
    assert bench.health.order([A, B, C]) == [B, C, A]
    bench.health.revive(A)
    assert bench.health.order([A, B, C]) == [B, A, C]


def test_a_death_is_told() -> None:
    bench = Bench()
    bench.fail()
    assert bench.deaths == 1
    assert list(bench.health.dead) == [A]
    assert "a:80" in repr(bench.health)


def test_the_probes_of_a_dead_one_back_off() -> None:
    bench = Bench()
    waits = []
    for _ in range(9):
        bench.fail()
        begun = bench.now
        while not bench.health.due_probes():
            bench.now += 0.5
        waits.append(bench.now - begun)
    assert waits[:4] == [FIRST_PROBE_SECONDS, 2, 4, 8]
    assert waits[-1] == MAX_PROBE_SECONDS


def test_many_requests_that_fail_at_once_are_one_failure() -> None:
    bench = Bench()
    for _ in range(50):
        bench.fail()
    bench.now += FIRST_PROBE_SECONDS
    assert bench.health.due_probes() == [A]


def test_one_that_is_reached_is_not_probed() -> None:
    bench = Bench()
    bench.fail()
    bench.health.report(A, is_reachable=True)
    bench.now += 100
    assert bench.health.due_probes() == []


def test_one_that_nobody_asks_for_any_more_is_forgotten() -> None:
    """A PAC script may have named it once; else it would be probed for ever."""
    bench = Bench()
    for upstream in (A, B, C):
        bench.fail(upstream)
    bench.now += FORGET_SECONDS - 1
    bench.health.order([A])
    bench.health.order_listed([Via(B)])
    bench.fail(A)
    bench.now += 1
    assert bench.health.due_probes() == [B]
    assert list(bench.health.dead) == [A, B]


def test_a_script_that_names_ever_new_ones_fills_no_memory() -> None:
    bench = Bench()
    upstreams = parse_upstreams(",".join(f"p{number}" for number in range(2 * MAX_DEAD)))
    for upstream in upstreams:
        bench.fail(upstream)
    assert list(bench.health.dead) == list(upstreams[MAX_DEAD:])
