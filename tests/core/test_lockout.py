"""The lock-out guard: every row of its table."""

from __future__ import annotations

import math

import pytest

from px.core.errors import LoginBlockedError
from px.core.lockout import (
    BLOCK_SECONDS,
    DENIED_SECONDS,
    MAX_ACCEPTED,
    MAX_BLOCK_SECONDS,
    RETRY_AFTER_SECONDS,
    LockoutGuard,
)
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

    def other_process(self) -> LockoutGuard:
        return LockoutGuard(self.store, self.clock)

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


def test_refusals_count_over_processes_and_any_acceptance_clears_them() -> None:
    bench = Bench()
    other = bench.other_process()
    bench.refuse()
    assert other.refusals_left(bench.source) == 1
    other.receive_refusal(bench.source, "http://other:8080", "NTLM")
    assert bench.blocked_seconds() == BLOCK_SECONDS
    other.receive_acceptance(bench.source)
    assert bench.blocked_seconds() is None
    assert not bench.guard.is_proven(bench.source)  # a proof is of the process that has it


def test_a_block_that_outlasts_itself_began_before_the_clock_was_set_back() -> None:
    bench = Bench()
    bench.refuse()
    bench.refuse()
    bench.clock.now -= 5 * 24 * 3600
    assert bench.blocked_seconds() == BLOCK_SECONDS
    bench.clock.now += BLOCK_SECONDS
    assert bench.blocked_seconds() is None


def test_a_probe_that_is_allowed_goes_at_once_and_a_refusal_of_it_blocks_twice_as_long() -> None:
    bench = Bench()
    bench.refuse()
    bench.refuse()
    bench.other_process().allow_probe()
    assert bench.blocked_seconds() is None
    assert not bench.guard.is_clear(bench.source)
    assert bench.guard.refusals_left(bench.source) == 1
    bench.refuse()
    assert bench.blocked_seconds() == 2 * BLOCK_SECONDS
    bench.guard.allow_probe()
    bench.guard.receive_acceptance(bench.source)
    assert bench.store.records == {}


def test_a_probe_that_is_allowed_where_nothing_is_blocked_changes_nothing() -> None:
    bench = Bench()
    bench.guard.allow_probe()
    bench.refuse()
    bench.guard.allow_probe()
    assert bench.guard.refusals_left(bench.source) == 1


def test_a_refusal_held_against_a_target_is_known_to_all_processes_and_takes_the_proof() -> None:
    bench = Bench()
    other = bench.other_process()
    bench.guard.receive_acceptance(bench.source)
    assert bench.guard.receive_denial(bench.source, "denied.test:443")
    assert bench.guard.is_clear(bench.source)
    assert not bench.guard.is_proven(bench.source)
    assert other.is_target_denied(bench.source, "denied.test:443")
    assert not other.is_target_denied(bench.source, "other.test:443")
    assert not other.receive_denial(bench.source, "other.test:443")
    assert "denied.test" not in str(bench.store.records)
    bench.clock.now += DENIED_SECONDS
    assert not other.is_target_denied(bench.source, "denied.test:443")
    assert not other.receive_denial(bench.source, "denied.test:443")
    other.receive_acceptance(bench.source)
    assert bench.guard.receive_denial(bench.source, "other.test:443")


def test_two_verdicts_that_never_come_count_as_a_refusal_over_processes_too() -> None:
    bench = Bench()
    bench.guard.receive_drop(bench.source, "http://up:8080", "NTLM")
    assert bench.guard.is_clear(bench.source)
    bench.other_process().receive_drop(bench.source, "http://up:8080", "NTLM")
    assert not bench.guard.is_clear(bench.source)
    assert bench.guard.refusals_left(bench.source) == 1
    bench.guard.receive_acceptance(bench.source)
    bench.guard.receive_drop(bench.source, "http://up:8080", "NTLM")
    assert bench.guard.is_clear(bench.source)


def test_a_verdict_that_nobody_heard_is_a_doubt_for_all_processes_until_one_is_heard() -> None:
    bench = Bench()
    other = bench.other_process()
    bench.guard.receive_acceptance(bench.source)
    bench.guard.receive_no_verdict(bench.source, "http://up:8080", "NTLM")
    for guard in (bench.guard, other):
        assert not guard.is_proven(bench.source)
        assert not guard.is_clear(bench.source)
        assert guard.refusals_left(bench.source) == 1
    for _ in range(2):  # unheard again and again: as if the connection were dropped
        other.receive_no_verdict(bench.source, "http://up:8080", "NTLM")
    assert bench.guard.refused_method(bench.source) == "NTLM"
    other.receive_acceptance(bench.source)
    assert bench.guard.is_clear(bench.source)


def test_secrets_that_have_logged_in_are_not_remembered_without_end() -> None:
    bench = Bench()
    for number in range(MAX_ACCEPTED + 1):
        bench.source.secret_mark = str(number)
        bench.guard.receive_acceptance(bench.source)
    assert repr(bench.guard) == f"<LockoutGuard accepted={MAX_ACCEPTED}>"
    assert bench.guard.is_proven(bench.source)
    bench.source.secret_mark = "0"
    assert not bench.guard.has_logged_in(bench.source)


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
        {"refusals": math.nan, "drops": 10**400},
        {"refusals": -5, "blocked_until": 1e308, "block_seconds": -1},
        {"refusals": 2, "blocked_until": 1e11, "block_seconds": 0},
        {"upstream": 3, "method": None, "denied": []},
    ],
)
def test_a_record_that_was_touched_by_hand_is_no_crash(fields: dict[str, object]) -> None:
    bench = Bench()
    bench.store.records[key_of(bench.source)] = dict(fields)
    for _ in range(2):  # at the most it takes one attempt to see that no block is as long
        bench.guard.is_blocked(bench.source)
    assert not bench.guard.is_blocked(bench.source)
    bench.refuse()
    bench.refuse()
    assert bench.guard.is_blocked(bench.source)
    bench.clock.now += MAX_BLOCK_SECONDS
    assert not bench.guard.is_blocked(bench.source)


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
