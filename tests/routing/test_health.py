"""Which upstream is tried first, and when a dead one is probed."""

from __future__ import annotations

from px.core.rules.route import Via, parse_upstreams
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


def test_the_users_order_counts_until_an_upstream_fails() -> None:
    assert Bench().health.order([A, B, C]) == [A, B, C]


def test_a_working_upstream_comes_first() -> None:
    bench = Bench()
    bench.fail()
    bench.health.report(B, is_reachable=True)
    assert bench.health.order([A, B, C]) == [B, C, A]
    bench.health.revive(A)
    assert bench.health.order([A, B, C]) == [B, A, C]


def test_a_dead_upstream_is_reported_to_the_callback() -> None:
    bench = Bench()
    bench.fail()
    assert bench.deaths == 1
    assert list(bench.health.dead) == [A]
    assert "a:80" in repr(bench.health)


def test_the_probes_of_a_dead_upstream_back_off() -> None:
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


def test_concurrent_failures_count_as_one() -> None:
    bench = Bench()
    for _ in range(50):
        bench.fail()
    bench.now += FIRST_PROBE_SECONDS
    assert bench.health.due_probes() == [A]


def test_an_upstream_that_was_reached_is_not_probed() -> None:
    bench = Bench()
    bench.fail()
    bench.health.report(A, is_reachable=True)
    bench.now += 100
    assert bench.health.due_probes() == []


def test_a_dead_upstream_that_no_request_asks_for_is_forgotten() -> None:
    """A PAC script may have named it once. Otherwise Px would probe it without end."""
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


def test_the_number_of_upstreams_named_by_a_script_is_bounded() -> None:
    bench = Bench()
    upstreams = parse_upstreams(",".join(f"p{number}" for number in range(2 * MAX_DEAD)))
    for upstream in upstreams:
        bench.fail(upstream)
    assert list(bench.health.dead) == list(upstreams[MAX_DEAD:])


def test_the_state_of_an_upstream_is_explained() -> None:
    bench = Bench()
    assert bench.health.explain(A) == "Px has sent no request yet."
    bench.fail()
    bench.health.report(B, is_reachable=True)
    assert bench.health.explain(A) == "Px could not connect to it, and tries again in 1 s."
    assert bench.health.explain(B).startswith("It served the last request.")
    assert bench.health.explain(C) == f"{B} serves."
