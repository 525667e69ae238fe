"""The lock-out guard: every row of its table."""

from __future__ import annotations

import math

import pytest

from px.core.errors import LoginBlockedError
from px.core.lockout import BLOCK_SECONDS, MAX_BLOCK_SECONDS, RETRY_AFTER_SECONDS, LockoutGuard
from tests.core.test_upstream_auth import Memory, Source


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def key_of(source: Source) -> str:
    return f"{source.identity.key} {source.secret_mark}"


class Bench:
    def __init__(self) -> None:
        self.store, self.clock, self.source = Memory(), Clock(), Source()
        self.guard = LockoutGuard(self.store, self.clock)

    def refuse(self) -> None:
        self.guard.receive_refusal(self.source, "http://up:8080", "NTLM")

    def blocked_seconds(self) -> int | None:
        try:
            self.guard.check(self.source)
        except LoginBlockedError:
            until = self.store.records[key_of(self.source)]["blocked_until"]
            assert isinstance(until, float)
            return round(until - self.clock.now)
        return None


def test_a_clear_record_lets_tokens_pass_but_proves_nothing() -> None:
    bench = Bench()
    assert bench.blocked_seconds() is None
    assert bench.guard.is_clear(bench.source)
    assert not bench.guard.is_proven(bench.source)


def test_one_refusal_is_a_doubt_and_an_acceptance_clears_it() -> None:
    bench = Bench()
    bench.refuse()
    assert bench.blocked_seconds() is None
    assert not bench.guard.is_clear(bench.source)
    assert bench.guard.refused_method(bench.source) == "NTLM"
    bench.guard.receive_acceptance(bench.source)
    assert bench.guard.is_proven(bench.source)
    assert bench.store.records == {}


def test_two_refusals_block_for_half_an_hour_then_one_probe_then_twice_as_long() -> None:
    bench = Bench()
    bench.refuse()
    bench.refuse()
    assert bench.blocked_seconds() == BLOCK_SECONDS
    bench.clock.now += BLOCK_SECONDS - 1
    assert bench.blocked_seconds() == 1
    bench.clock.now += 1
    assert bench.blocked_seconds() is None
    bench.refuse()
    assert bench.blocked_seconds() == 2 * BLOCK_SECONDS


def test_a_block_never_lasts_longer_than_a_day() -> None:
    bench = Bench()
    for _ in range(20):
        bench.refuse()
        bench.clock.now += MAX_BLOCK_SECONDS
    bench.refuse()
    assert bench.blocked_seconds() == MAX_BLOCK_SECONDS


def test_a_login_that_was_under_way_clears_a_block() -> None:
    bench = Bench()
    bench.refuse()
    bench.refuse()
    bench.guard.receive_acceptance(bench.source)
    assert bench.blocked_seconds() is None


def test_a_block_outlives_the_process() -> None:
    bench = Bench()
    bench.refuse()
    bench.refuse()
    bench.guard = LockoutGuard(bench.store, bench.clock)
    assert bench.blocked_seconds() == BLOCK_SECONDS


def test_a_new_secret_begins_with_a_clear_record() -> None:
    bench = Bench()
    bench.refuse()
    bench.refuse()
    bench.source.secret_mark = "new"
    assert bench.blocked_seconds() is None
    bench.refuse()
    assert bench.blocked_seconds() is None


def test_another_identity_is_not_held_back() -> None:
    bench = Bench()
    bench.refuse()
    bench.refuse()
    bench.source.identity = bench.source.identity._replace(key="other")
    assert bench.blocked_seconds() is None


def test_the_refusal_of_a_proven_secret_takes_its_proof() -> None:
    bench = Bench()
    bench.guard.receive_acceptance(bench.source)
    bench.refuse()
    assert not bench.guard.is_proven(bench.source)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"refusals": "many"},
        {"blocked_until": None, "refusals": []},
        {"unknown": 1},
        {"refusals": math.inf},
    ],
)
def test_a_record_that_was_touched_by_hand_is_no_crash(fields: dict[str, object]) -> None:
    bench = Bench()
    bench.store.records[bench.source.identity.key] = {**fields, "secret_mark": "abc"}
    assert bench.blocked_seconds() is None


def test_the_error_says_who_refused_whom_and_when_to_try_again() -> None:
    bench = Bench()
    bench.refuse()
    bench.refuse()
    with pytest.raises(LoginBlockedError) as caught:
        bench.guard.check(bench.source)
    assert "http://up:8080" in caught.value.cause
    assert "DOM\\user" in caught.value.cause
    assert "30 minutes" in caught.value.mend
    assert caught.value.retry_after == RETRY_AFTER_SECONDS
