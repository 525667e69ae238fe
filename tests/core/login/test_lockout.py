"""The lock-out guard: every row of the table in px.core.login.token_budget."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from px.core.errors import LoginBlockedError
from px.core.login.lockout import ACCEPTED_LATELY_SECONDS, MAX_ACCEPTED, LockoutGuard
from px.core.login.lockout_report import RETRY_AFTER_SECONDS
from px.core.login.token_budget import (
    LOST_BEFORE_BLOCK,
    LOST_BLOCK_SECONDS,
    MAX_BLOCK_SECONDS,
    MAY_LOSE_MORE_SECONDS,
    REFUSAL_BLOCK_SECONDS,
    UNASKED,
    Fields,
    parse_record,
)
from px.core.login.unrecorded_login import OwnUnrecordedLogin
from tests.core.login.test_attempt import Memory, Source


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def key_of(source: Source) -> str:
    return source.identity.account


class Bench:
    def __init__(self) -> None:
        self.store, self.clock, self.source = Memory(), Clock(), Source()
        self.guard = LockoutGuard(self.store, self.clock)

    def other_process(self) -> LockoutGuard:
        return LockoutGuard(self.store, self.clock)

    def refuse(self) -> None:
        self.guard.receive_refusal(self.source, "http://up:8080", "NTLM")

    def lose(self, guard: LockoutGuard | None = None) -> None:
        (guard or self.guard).receive_no_verdict(self.source, "http://up:8080")

    def blocked_seconds(self) -> int | None:
        try:
            self.guard.check(self.source)
        except LoginBlockedError:
            until = self.store.records[key_of(self.source)]["blocked_until"]
            assert isinstance(until, float)
            return round(until - self.clock.now)
        return None


def test_a_clear_record_lets_tokens_pass_but_the_secret_is_uncertain() -> None:
    bench = Bench()
    assert bench.blocked_seconds() is None
    assert bench.guard.budget_used(bench.source) == 0
    assert not bench.guard.is_accepted_lately(bench.source)


def test_one_refusal_makes_the_secret_uncertain_and_an_acceptance_clears_it() -> None:
    bench = Bench()
    bench.refuse()
    assert bench.blocked_seconds() is None
    assert bench.guard.budget_used(bench.source) > 0
    assert bench.guard.refused_method(bench.source) == "NTLM"
    bench.guard.receive_acceptance(bench.source)
    assert bench.guard.is_accepted_lately(bench.source)
    assert bench.store.records == {}


def test_two_refusals_block_for_half_an_hour_then_one_retry_then_twice_as_long() -> None:
    bench = Bench()
    bench.refuse()
    bench.refuse()
    assert bench.blocked_seconds() == REFUSAL_BLOCK_SECONDS
    bench.clock.now += REFUSAL_BLOCK_SECONDS - 1
    assert bench.blocked_seconds() == 1
    bench.clock.now += 1
    assert bench.blocked_seconds() is None
    bench.refuse()
    assert bench.blocked_seconds() == 2 * REFUSAL_BLOCK_SECONDS


def test_a_block_never_lasts_longer_than_a_day() -> None:
    bench = Bench()
    for _ in range(20):
        bench.refuse()
        bench.clock.now += MAX_BLOCK_SECONDS
    bench.refuse()
    assert bench.blocked_seconds() == MAX_BLOCK_SECONDS


def test_a_login_that_was_sent_before_a_refusal_does_not_clear_the_block() -> None:
    bench = Bench()
    other, sent_at = bench.other_process(), bench.clock.now
    bench.guard.receive_acceptance(bench.source)
    bench.clock.now += 1
    bench.refuse()
    bench.refuse()
    for guard in (bench.guard, other):
        guard.receive_acceptance(bench.source, None, sent_at)
        assert not guard.is_accepted_lately(bench.source)
        assert guard.budget_used(bench.source) == 2
        assert bench.blocked_seconds() == REFUSAL_BLOCK_SECONDS
    assert not other.was_accepted(bench.source)
    bench.guard.receive_acceptance(bench.source, None, bench.clock.now)
    assert bench.blocked_seconds() is None


def test_a_changed_secret_goes_at_once_in_spite_of_a_block_and_clears_it() -> None:
    """Its first login was sent before the old secret was refused, so only the second one clears the block."""
    bench = Bench()
    first = bench.guard.charge(bench.source, 1)
    bench.clock.now += 1
    bench.refuse()
    bench.refuse()
    bench.source.secret_mark = "new"
    bench.guard.receive_acceptance(bench.source, first, bench.clock.now - 1)
    assert not bench.guard.is_accepted_lately(bench.source)
    assert bench.blocked_seconds() is None
    second = bench.guard.charge(bench.source, 1)
    assert second is not None
    bench.guard.receive_acceptance(bench.source, second, bench.clock.now)
    assert bench.guard.is_accepted_lately(bench.source)
    assert bench.blocked_seconds() is None


def test_an_acceptance_that_nobody_asked_for_keeps_trust_but_gives_none() -> None:
    """The upstream may let a target through whatever the token is."""
    bench = Bench()
    bench.guard.receive_acceptance(bench.source, bench.guard.charge(bench.source, 1), UNASKED)
    assert not bench.guard.was_accepted(bench.source)
    bench.guard.receive_acceptance(bench.source, None, bench.clock.now)
    bench.clock.now += ACCEPTED_LATELY_SECONDS - 1
    bench.guard.receive_acceptance(bench.source, None, UNASKED)
    bench.clock.now += 2
    assert bench.guard.is_accepted_lately(bench.source)
    bench.refuse()
    bench.guard.receive_acceptance(bench.source, None, UNASKED)
    assert not bench.guard.is_accepted_lately(bench.source)
    assert bench.guard.budget_used(bench.source) == 1


def test_a_block_outlives_the_process() -> None:
    bench = Bench()
    bench.refuse()
    bench.refuse()
    bench.guard = LockoutGuard(bench.store, bench.clock)
    assert bench.blocked_seconds() == REFUSAL_BLOCK_SECONDS


def test_refusals_count_over_processes_and_any_acceptance_clears_them() -> None:
    bench = Bench()
    other = bench.other_process()
    bench.refuse()
    assert other.budget_used(bench.source) >= 1
    other.receive_refusal(bench.source, "http://other:8080", "NTLM")
    assert bench.blocked_seconds() == REFUSAL_BLOCK_SECONDS
    other.receive_acceptance(bench.source)
    assert bench.blocked_seconds() is None
    assert not bench.guard.is_accepted_lately(bench.source)  # each process must see an acceptance itself


def test_a_clock_that_was_set_back_does_not_lengthen_a_block() -> None:
    bench = Bench()
    bench.refuse()
    bench.refuse()
    bench.clock.now -= 5 * 24 * 3600
    assert bench.blocked_seconds() == REFUSAL_BLOCK_SECONDS
    bench.clock.now += REFUSAL_BLOCK_SECONDS
    assert bench.blocked_seconds() is None


def test_a_retry_that_is_allowed_goes_at_once_and_a_refusal_of_it_blocks_twice_as_long() -> None:
    bench = Bench()
    bench.refuse()
    bench.refuse()
    bench.other_process().allow_retry()
    assert bench.blocked_seconds() is None
    assert bench.guard.budget_used(bench.source) >= 1
    bench.refuse()
    assert bench.blocked_seconds() == 2 * REFUSAL_BLOCK_SECONDS
    bench.guard.allow_retry()
    bench.guard.receive_acceptance(bench.source)
    assert bench.store.records == {}


def test_a_retry_that_is_allowed_where_nothing_is_blocked_changes_nothing() -> None:
    bench = Bench()
    bench.guard.allow_retry()
    bench.refuse()
    bench.guard.allow_retry()
    assert bench.guard.budget_used(bench.source) >= 1


def test_a_denial_is_known_to_all_processes_and_makes_the_secret_uncertain() -> None:
    bench = Bench()
    other = bench.other_process()
    bench.guard.receive_acceptance(bench.source)
    assert bench.guard.receive_denial(bench.source, "denied.test:443", 5.0)
    assert bench.guard.budget_used(bench.source) == 0
    assert not bench.guard.is_accepted_lately(bench.source)
    assert other.is_target_denied(bench.source, "denied.test:443")
    assert not other.is_target_denied(bench.source, "other.test:443")
    assert not other.receive_denial(bench.source, "other.test:443", 5.0)
    assert "denied.test" not in str(bench.store.records)
    bench.clock.now += 5.0
    assert not other.is_target_denied(bench.source, "denied.test:443")
    assert not other.receive_denial(bench.source, "denied.test:443", 5.0)
    other.receive_acceptance(bench.source)
    assert bench.guard.receive_denial(bench.source, "other.test:443", 5.0)


def test_lost_verdicts_make_blocks_of_1_then_5_then_30_minutes_over_processes_too() -> None:
    bench = Bench()
    bench.lose()
    assert bench.guard.budget_used(bench.source) >= 1
    bench.lose(bench.other_process())
    for seconds in (*LOST_BLOCK_SECONDS, LOST_BLOCK_SECONDS[-1]):
        assert bench.blocked_seconds() == seconds
        assert bench.guard.budget_used(bench.source) >= 1
        bench.clock.now += seconds
        assert bench.blocked_seconds() is None
        bench.lose()
    assert bench.guard.refused_method(bench.source) == ""
    bench.guard.receive_acceptance(bench.source)
    assert bench.store.records == {}


def test_no_more_than_four_tokens_that_may_be_wrong_go_out_in_half_an_hour() -> None:
    bench = Bench()
    sent = []
    for _ in range(4 * 3600):
        if bench.blocked_seconds() is None:
            sent.append(bench.clock.now)
            bench.lose()
        bench.clock.now += 1
    assert max(sum(begin <= each < begin + REFUSAL_BLOCK_SECONDS for each in sent) for begin in sent) <= 4


def test_a_block_after_lost_verdicts_does_not_blame_the_password_and_ends_at_once_after_a_reload() -> None:
    bench = Bench()
    bench.lose()
    bench.lose()
    with pytest.raises(LoginBlockedError, match="neither accepted nor refused 2 logins of DOM") as caught:
        bench.guard.check(bench.source)
    assert "1 minute" in caught.value.hint
    assert "assword" not in caught.value.hint
    bench.guard.allow_retry()
    assert bench.blocked_seconds() is None


@pytest.mark.parametrize("order", ["refused then lost", "lost then refused"])
def test_a_refusal_and_a_lost_verdict_are_two_tokens(order: str) -> None:
    bench = Bench()
    for each in order.split(" then "):
        assert bench.blocked_seconds() is None
        bench.lose() if each == "lost" else bench.refuse()
    assert bench.blocked_seconds() == LOST_BLOCK_SECONDS[0]
    with pytest.raises(LoginBlockedError, match=r"once and neither accepted nor refused a login of"):
        bench.guard.check(bench.source)
    bench.refuse()
    assert bench.blocked_seconds() == REFUSAL_BLOCK_SECONDS


def test_a_retry_after_a_block_whose_verdict_is_lost_begins_the_block_again_and_no_longer_one() -> None:
    bench = Bench()
    bench.refuse()
    bench.refuse()
    bench.clock.now += REFUSAL_BLOCK_SECONDS
    bench.lose()
    assert bench.blocked_seconds() == REFUSAL_BLOCK_SECONDS


def test_a_secret_accepted_lately_may_lose_more_verdicts_until_one_is_refused() -> None:
    bench = Bench()
    bench.guard.receive_acceptance(bench.source)
    for _ in range(LOST_BEFORE_BLOCK):
        assert bench.blocked_seconds() is None
        bench.lose()
    assert bench.blocked_seconds() == LOST_BLOCK_SECONDS[0]
    bench.guard.receive_acceptance(bench.source)
    bench.refuse()
    bench.lose()
    assert bench.blocked_seconds() == LOST_BLOCK_SECONDS[0]
    bench.guard.receive_acceptance(bench.source)
    bench.clock.now += MAY_LOSE_MORE_SECONDS
    bench.lose()
    bench.lose()
    assert bench.blocked_seconds() == LOST_BLOCK_SECONDS[0]


def test_a_lost_verdict_makes_the_secret_uncertain_for_all_processes_until_one_is_seen() -> None:
    bench = Bench()
    other = bench.other_process()
    bench.guard.receive_acceptance(bench.source)
    bench.lose()
    for guard in (bench.guard, other):
        assert not guard.is_accepted_lately(bench.source)
        assert guard.budget_used(bench.source) >= 1
    other.receive_acceptance(bench.source)
    assert bench.guard.budget_used(bench.source) == 0


def test_a_bounded_number_of_accepted_secrets_is_remembered() -> None:
    bench = Bench()
    for number in range(MAX_ACCEPTED + 1):
        bench.source.secret_mark = str(number)
        bench.guard.receive_acceptance(bench.source)
    assert repr(bench.guard) == f"<LockoutGuard accepted={MAX_ACCEPTED}>"
    assert bench.guard.is_accepted_lately(bench.source)
    bench.source.secret_mark = "0"
    assert not bench.guard.was_accepted(bench.source)


def test_a_new_secret_has_one_token_in_spite_of_a_block() -> None:
    bench = Bench()
    bench.refuse()
    bench.refuse()
    bench.source.secret_mark = "new"
    assert bench.blocked_seconds() is None
    bench.refuse()
    assert bench.blocked_seconds() == REFUSAL_BLOCK_SECONDS


def test_another_identity_is_not_blocked() -> None:
    bench = Bench()
    bench.refuse()
    bench.refuse()
    bench.source.identity = bench.source.identity._replace(key="other")
    assert bench.blocked_seconds() is None


def test_a_refusal_makes_a_secret_uncertain_that_was_accepted_lately() -> None:
    bench = Bench()
    bench.guard.receive_acceptance(bench.source)
    bench.refuse()
    assert not bench.guard.is_accepted_lately(bench.source)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"refusals": "many"},
        {"blocked_until": None, "refusals": []},
        {"unknown": 1},
        {"refusals": math.inf},
        {"refusals": math.nan, "lost": 10**400, "drops": 1, "unsettled": True},
        {"refusals": -5, "blocked_until": 1e308, "block_seconds": -1},
        {"refusals": 2, "blocked_until": 1e11, "block_seconds": 0},
        {"upstream": 3, "method": None, "denied": []},
    ],
)
def test_an_edited_record_does_not_crash_px(fields: dict[str, object]) -> None:
    bench = Bench()
    bench.store.records[key_of(bench.source)] = dict(fields)
    for _ in range(2):  # the first call may correct a block that is too long
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
    assert "30 minutes" in caught.value.hint
    assert caught.value.retry_after == RETRY_AFTER_SECONDS


def test_a_secret_refused_before_another_one_was_accepted_waits_and_the_error_says_why() -> None:
    bench = Bench()
    bench.refuse()
    bench.refuse()
    bench.source.secret_mark = "new"
    bench.guard.receive_acceptance(bench.source)
    assert not bench.guard.is_blocked(bench.source)
    bench.source.secret_mark = "abc"
    with pytest.raises(LoginBlockedError, match="has accepted another one since"):
        bench.guard.check(bench.source)
    assert bench.guard.charge(bench.source, 1) is None
    bench.clock.now += REFUSAL_BLOCK_SECONDS
    bench.guard.check(bench.source)


class Busy(Memory):
    """A store in which another process changes a record while this one waits for the lock."""

    meanwhile: Callable[[], object] = staticmethod(lambda: None)

    def try_change_record(self, account: str, change: Callable[[Fields], Fields]) -> bool:
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        return super().try_change_record(account, change)


def test_a_token_that_another_process_charges_meanwhile_does_not_count_as_sent_in_the_future() -> None:
    bench = Bench()
    bench.store = Busy()
    bench.guard, other = LockoutGuard(bench.store, bench.clock), bench.other_process()

    def charge_elsewhere() -> None:
        bench.clock.now += 0.001
        assert other.charge(bench.source, 2)

    bench.store.meanwhile = charge_elsewhere
    assert bench.guard.charge(bench.source, 2)
    (record,) = bench.store.records.values()
    assert (len(parse_record(record).out), parse_record(record).lost) == (2, 0)


class Unkept(Memory):
    """A worker's own memory, where no file can be written."""

    is_kept = False


class Workers:
    """Workers of one Px whose records cannot be kept."""

    def __init__(self) -> None:
        self.clock, self.right = Clock(), OwnUnrecordedLogin()

    def new(self, key: str = "") -> tuple[LockoutGuard, Source]:
        source = Source()
        source.identity = source.identity._replace(key=key or source.identity.key)
        return LockoutGuard(Unkept(), self.clock, unrecorded=self.right), source


def refuse(guard: LockoutGuard, source: Source) -> None:
    charge = guard.charge(source, 1)
    assert charge is not None
    guard.receive_refusal(source, "http://up:8080", "NTLM", charge)


def test_where_no_record_is_kept_all_workers_and_accounts_have_one_login_that_may_fail() -> None:
    workers = Workers()
    first, source = workers.new()
    refuse(first, source)
    for guard, other in ((first, source), workers.new(), workers.new("another account")):
        with pytest.raises(LoginBlockedError, match="cannot write its record"):
            guard.check(other)
        assert guard.charge(other, 2) is None


def test_where_no_record_is_kept_a_right_password_works_in_all_workers_one_after_the_other() -> None:
    workers = Workers()
    first, second = workers.new(), workers.new()
    accepted = first[0].charge(first[1], 1)
    assert accepted
    assert second[0].charge(second[1], 1) is None
    second[0].check(second[1])  # no error: the login only has to wait
    first[0].receive_acceptance(first[1], accepted)
    charge = second[0].charge(second[1], 1)
    assert charge
    second[0].release(second[1], charge)
    refuse(*second)
    assert first[0].is_accepted_lately(first[1])  # this worker saw the acceptance itself
    workers.clock.now += ACCEPTED_LATELY_SECONDS + 1
    assert first[0].is_blocked(first[1])


def test_where_no_record_is_kept_a_lost_verdict_or_a_refusal_after_an_acceptance_ends_all_logins() -> None:
    for is_lost in (True, False):
        workers = Workers()
        guard, source = workers.new()
        guard.receive_acceptance(source)
        if is_lost:
            guard.receive_no_verdict(source, "http://up:8080", guard.charge(source, 1))
        else:
            guard.receive_refusal(source, "http://up:8080", "NTLM")
        other, same = workers.new()
        assert guard.is_blocked(source)
        assert other.is_blocked(same)


@pytest.mark.parametrize("end", ["not sent", "accepted"])
def test_the_right_stays_with_its_token_when_another_token_of_the_account_ends(end: str) -> None:
    """The disk is full, then free, then full again while the first token is out."""
    workers, disk, source = Workers(), Memory(), Source()
    guard = LockoutGuard(disk, workers.clock, unrecorded=workers.right)
    disk.is_kept = False
    with_right = guard.charge(source, 1)
    assert with_right
    disk.is_kept = True
    recorded = guard.charge(source, 2)
    assert recorded
    if end == "accepted":
        guard.receive_acceptance(source, recorded)
    else:
        guard.release(source, recorded)
    disk.is_kept = False
    other, same = workers.new()
    assert other.charge(same, 1) is None
    guard.release(source, with_right)
    assert other.charge(same, 1)


@pytest.mark.parametrize("is_charged", [True, False])
def test_a_denial_ends_the_right_only_if_the_refusal_stays_charged(*, is_charged: bool) -> None:
    workers = Workers()
    guard, source = workers.new()
    guard.receive_acceptance(source)
    charge = guard.charge(source, 1)
    assert guard.receive_denial(source, "denied.test:443", 5.0, charge, is_charged=is_charged)
    assert workers.right.is_used_up is is_charged
    assert workers.right.is_free is not is_charged


def test_the_right_is_not_needed_where_the_record_is_kept() -> None:
    bench = Bench()
    right = OwnUnrecordedLogin()
    guard = LockoutGuard(bench.store, bench.clock, unrecorded=right)
    refuse(guard, bench.source)
    assert right.is_free
    refuse(guard, bench.source)
    assert guard.is_blocked(bench.source)
