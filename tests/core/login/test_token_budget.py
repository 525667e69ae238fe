"""The budget of one account: every row of its table, and that no order of events breaks it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from px.core.login.token_budget import (
    LOST_BLOCK_SECONDS,
    OUT_SECONDS,
    REFUSAL_BLOCK_SECONDS,
    UNASKED,
    AccountRecord,
    format_record,
    parse_record,
)

#: How many orders of events are tried; `make lockout-model` tries many more.
EXAMPLES = int(os.environ.get("LOCKOUT_EXAMPLES", "200"))
HALF_AN_HOUR = 1800.0


@dataclass
class Directory:
    """What a directory counts: tokens that may have been wrong, none of which was accepted since."""

    sent_at: dict[str, float] = field(default_factory=dict)
    #: Times at which a person asked for a token, or set another secret: one more token each.
    asked_at: list[float] = field(default_factory=list)

    def most_in_half_an_hour(self, *, less: list[float]) -> int:
        sent_at = list(self.sent_at.values())
        windows = [
            sum(begin <= at < begin + HALF_AN_HOUR for at in sent_at)
            - sum(begin - HALF_AN_HOUR <= at < begin + HALF_AN_HOUR for at in less)
            for begin in sent_at
        ]
        return max(windows, default=0)


class Budget(RuleBasedStateMachine):
    """Processes that send tokens, lose verdicts, are killed, and a person who tries to help."""

    tokens = Bundle("tokens")

    def __init__(self) -> None:
        super().__init__()
        self.stored: dict[str, object] = {}
        self.now = 1_000_000.0
        self.secret = "first"
        self.names = 0
        #: Tokens without a verdict so far: when each was sent, and its secret.
        self.open: dict[str, tuple[float, str]] = {}
        self.failed_at: dict[str, float] = {}
        self.gone: set[str] = set()
        self.directory = Directory()
        self.has_waited = False

    def record(self) -> AccountRecord:
        return parse_record(self.stored)

    def store(self, record: AccountRecord) -> None:
        self.stored = format_record(record)
        self.has_waited = self.has_waited or record.blocked_until > 0

    @rule(target=tokens, most_out=st.sampled_from([1, 2]))
    def send(self, most_out: int) -> str:
        record = self.record()
        record.expire(self.now, self.is_gone)
        self.names += 1
        name = str(self.names)
        if record.charge(name, self.secret, self.now, most_out=most_out, may_lose_more=False):
            self.directory.sent_at[name] = self.now
            self.open[name] = (self.now, self.secret)
        else:
            name = ""
        self.store(record)
        return name

    @rule(token=tokens)
    def refuse(self, token: str) -> None:
        if token and token in self.outstanding():
            record = self.record()
            record.refuse(token, self.fail(token), self.now)
            self.store(record)

    def fail(self, token: str) -> str:
        _, secret = self.open.pop(token)
        self.failed_at[secret] = self.now
        return secret

    @rule(token=tokens)
    def lose(self, token: str) -> None:
        if token and token in self.outstanding():
            record = self.record()
            _, secret = self.open[token]
            self.failed_at[secret] = self.now
            record.lose(token, secret, self.now, may_lose_more=False)
            if token not in {*record.out, *record.overdue}:
                del self.open[token]
            self.store(record)

    @rule(token=tokens)
    def deny(self, token: str) -> None:
        if token and token in self.outstanding():
            record = self.record()
            secret = self.fail(token)
            if not deny(record, token, self.now, secret=secret):
                record.refuse(token, secret, self.now)
            self.store(record)

    @rule(token=tokens)
    def kill(self, token: str) -> None:
        self.gone.add(token)

    def is_gone(self, token: str) -> bool:
        return token in self.gone

    def outstanding(self) -> set[str]:
        record = self.record()
        return {*record.out, *record.overdue}

    @rule(seconds=st.sampled_from([0.1, 1.0, OUT_SECONDS, 60.0, 300.0, REFUSAL_BLOCK_SECONDS, 4 * 3600.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def accept(self) -> None:
        self.receive_acceptance("", self.now, self.secret)

    @rule(token=tokens)
    def accept_late(self, token: str) -> None:
        if token in self.open:
            self.receive_acceptance(token, *self.open.pop(token))

    def receive_acceptance(self, token: str, sent_at: float, secret: str) -> None:
        """The directory has accepted a token; perhaps the secret was changed since it was sent."""
        record = self.record().accept(token, secret, self.now, sent_at=sent_at)
        self.stored = format_record(record)
        if sent_at >= max(self.failed_at.values(), default=0.0):  # what was sent later may have been wrong
            later = {each: at for each, at in self.directory.sent_at.items() if at > sent_at}
            self.directory = Directory(later)
            self.has_waited = self.has_waited and record.blocked_until > 0
        else:
            self.directory.sent_at.pop(token, None)

    @rule(token=tokens)
    def accept_unasked(self, token: str) -> None:
        """The upstream lets a target through, whatever the token is."""
        if token in self.open:
            _, secret = self.open.pop(token)
            self.stored = format_record(self.record().accept(token, secret, self.now, sent_at=UNASKED))
            self.directory.sent_at.pop(token, None)

    @rule()
    def ask_for_a_retry(self) -> None:
        record = self.record()
        before = record.blocked_until
        record.allow_retry(self.now)
        if record.blocked_until != before:
            self.directory.asked_at.append(self.now)
        self.store(record)

    @rule()
    def change_the_secret(self) -> None:
        self.secret += "'"
        self.directory.asked_at.append(self.now)

    @invariant()
    def two_tokens_at_most_go_out_before_the_first_wait(self) -> None:
        if not self.has_waited:
            assert len(self.directory.sent_at) <= 2

    @invariant()
    def no_half_hour_sees_more_than_four_that_nobody_asked_for(self) -> None:
        assert self.directory.most_in_half_an_hour(less=self.directory.asked_at) <= 4

    @invariant()
    def a_person_can_ask_once(self) -> None:
        assert len(self.record().out) <= 2

    @invariant()
    def what_is_stored_is_read_again(self) -> None:
        assert format_record(self.record()) == self.stored


TestBudget = Budget.TestCase
TestBudget.settings = settings(
    max_examples=EXAMPLES, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)


def charge(record: AccountRecord, token: str, now: float = 0.0, **changes: object) -> bool:
    given = {"most_out": 1, "may_lose_more": False, **changes}
    secret = str(given.pop("secret", "mark"))
    record.expire(now)
    return record.charge(token, secret, now, **given)  # type: ignore[arg-type]  # as `AccountRecord.charge`


def deny(record: AccountRecord, token: str, now: float = 0.0, secret: str = "mark", **changes: bool) -> bool:
    return record.deny(
        token, secret, now, target="target", seconds=5.0, is_charged=changes.get("is_charged", True)
    )


def test_one_token_is_out_at_a_time_and_a_verification_may_be_the_second() -> None:
    record = AccountRecord()
    assert charge(record, "1")
    assert not charge(record, "2")
    assert charge(record, "2", most_out=2)
    assert not charge(record, "3", most_out=3)


def test_a_token_that_was_not_sent_is_refunded() -> None:
    record = AccountRecord()
    charge(record, "1")
    record.release("1")
    assert record.budget_used == len(record.out) == 0


def test_a_token_of_a_process_that_was_killed_is_lost_after_a_while() -> None:
    record = AccountRecord()
    charge(record, "1")
    assert not charge(record, "2", OUT_SECONDS - 1)
    assert charge(record, "2", OUT_SECONDS)
    assert record.lost == 1
    record.lose(
        "1", "mark", OUT_SECONDS, may_lose_more=False
    )  # it was alive after all, and has seen no verdict either
    assert record.lost == 1
    record.refuse("1", "mark", OUT_SECONDS)
    assert (record.lost, record.refusals) == (0, 1)


def test_a_token_whose_process_has_ended_is_lost_at_once() -> None:
    record = AccountRecord()
    charge(record, "1")
    record.expire(0.0, lambda token: token == "1")
    assert (record.lost, record.out) == (1, {})


def test_a_token_sent_in_the_future_is_lost() -> None:
    record = AccountRecord()
    charge(record, "1", 1000.0)
    assert charge(record, "2", 10.0)
    assert record.lost == 1


def test_a_denial_stays_charged_and_counts_with_the_next_one() -> None:
    record = AccountRecord()
    charge(record, "1")
    assert deny(record, "1")
    assert record.budget_used == 1
    assert charge(record, "2")
    assert not deny(record, "2")
    record.refuse("2", "mark", 0.0)
    assert record.refusals == 2
    assert record.blocked_seconds("mark", 0.0) == REFUSAL_BLOCK_SECONDS


def test_a_denial_and_a_lost_verdict_make_a_block() -> None:
    for first in ("denied", "lost"):
        record = AccountRecord()
        for token, what in (("1", first), ("2", "lost" if first == "denied" else "denied")):
            assert charge(record, token)
            if what == "denied":
                deny(record, token)
            else:
                record.lose(token, "mark", 0.0, may_lose_more=False)
        assert record.blocked_seconds("mark", 0.0) == LOST_BLOCK_SECONDS[0]


def test_another_secret_has_one_token_at_once_in_spite_of_a_block() -> None:
    record = AccountRecord()
    for token in ("1", "2"):
        charge(record, token)
        record.refuse(token, "mark", 0.0)
    assert not charge(record, "3")
    assert charge(record, "3", secret="new")
    assert not charge(record, "4", secret="new", most_out=2)
    record.refuse("3", "new", 0.0)
    assert not charge(record, "4", secret="new")
    assert not charge(record, "4")
    assert charge(record, "4", REFUSAL_BLOCK_SECONDS)


def test_a_person_can_ask_for_one_token_in_half_an_hour() -> None:
    record, now = AccountRecord(), 1_000_000.0
    for token in ("1", "2"):
        charge(record, token, now)
        record.refuse(token, "mark", now)
    sent = []
    for minute in range(60):
        record.allow_retry(now + 60 * minute)
        if charge(record, str(minute), now + 60 * minute):
            sent.append(minute)
            record.refuse(str(minute), "mark", now + 60 * minute)
    assert sent == [0, 30]


def test_a_denial_of_a_secret_accepted_lately_is_refunded() -> None:
    record = AccountRecord()
    assert deny(record, "", is_charged=False)
    assert record.budget_used == 0
    assert charge(record, "1")
    record.refuse("1", "mark", 0.0)
    assert record.refusals == 1


def test_malformed_fields_make_an_empty_record() -> None:
    stored = {
        "out": {"1": "x", "2": -1, "3": 5},
        "tried": [1, "a"],
        "overdue": "b",
        "lost": True,
        "refusals": [],
        "failed_at": {"mark": "x", "other": 5},
    }
    record = parse_record(stored)
    assert (record.out, record.failed_at) == ({"3": 5.0}, {"other": 5.0})
    assert (record.tried, record.overdue, record.refusals) == (["a"], [], 0)


def test_a_refused_secret_waits_when_another_one_is_accepted() -> None:
    record = AccountRecord()
    for token in ("1", "2"):
        charge(record, token, secret="old")
        record.refuse(token, "old", 0.0)
    charge(record, "3", secret="new")
    record = record.accept("3", "new", 0.0, sent_at=0.0)
    assert record.accept("", "new", 1.0, sent_at=1.0) == record  # nothing to store at each login
    assert charge(record, "4", secret="new")
    record.release("4")
    assert not charge(record, "4", secret="old")
    assert record.blocked_seconds("old", 10.0) == REFUSAL_BLOCK_SECONDS - 10
    assert charge(record, "4", REFUSAL_BLOCK_SECONDS, secret="old")
    late = REFUSAL_BLOCK_SECONDS
    assert record.accept("", "new", late, sent_at=late) == AccountRecord()


def test_an_acceptance_of_a_token_sent_before_a_refusal_refunds_only_that_token() -> None:
    """The password was changed, and ten answers to logins with the old one are still to come."""
    record, now = AccountRecord(), 1_000_000.0
    for token in ("2", "3"):
        charge(record, token, now)
        record.refuse(token, "mark", now)
    record.out["1"] = now - 1  # as after another acceptance
    for sent_at in (now - 1, now - 0.01):
        record = parse_record(format_record(record.accept("1", "mark", now + 1, sent_at=sent_at)))
        assert (record.out, record.refusals) == ({}, 2)
        assert record.blocked_seconds("mark", now) == REFUSAL_BLOCK_SECONDS
    for clear in (
        record.accept("4", "mark", now + 1, sent_at=now),
        record.accept("4", "mark", now - 3600, sent_at=now - 3600),  # the clock was set back
    ):
        assert clear == AccountRecord()


def test_an_acceptance_refunds_no_token_that_was_charged_later() -> None:
    """The password may have been changed in between, and the later tokens have no verdict yet."""
    record = AccountRecord()
    assert charge(record, "1", 1.0)
    assert charge(record, "2", 2.0, most_out=2)
    record = record.accept("1", "mark", 3.0, sent_at=1.5)
    assert record.out == {"2": 2.0}
    assert record.accept("", "mark", 3.0, sent_at=1.9) == record  # nothing to store at each login
    assert not charge(record, "3", 3.0)
    record.refuse("2", "mark", 3.0)
    assert charge(record, "3", 4.0)
    assert not charge(record, "4", 4.0, most_out=2)
    assert record.accept("3", "mark", 5.0, sent_at=4.0) == AccountRecord()


def test_an_acceptance_refunds_no_verdict_that_was_lost_later() -> None:
    record = AccountRecord()
    assert charge(record, "1", 1.0)
    assert charge(record, "2", 2.0, most_out=2)
    record.lose("2", "mark", 3.0, may_lose_more=False)
    record = record.accept("1", "mark", 4.0, sent_at=1.5)
    assert (record.out, record.lost) == ({}, 1)
    assert charge(record, "3", 5.0)
    record.expire(5.0 + OUT_SECONDS)
    late = record.accept("", "mark", 40.0, sent_at=4.9)
    assert (late.lost, late.overdue) == (2, ["3"])
    assert late.accept("", "mark", 40.0, sent_at=40.0) == AccountRecord()


def test_a_denial_and_the_acceptance_of_another_secret_keep_the_time_of_the_failure() -> None:
    record, now = AccountRecord(), 1_000_000.0
    deny(record, "", now, secret="old", is_charged=False)
    assert record.accept("", "old", now, sent_at=now - 1).denied
    record.refuse("", "old", now)
    record.tried = ["old", "new"]
    record = record.accept("", "new", now, sent_at=now - 1)  # it was not refused itself
    assert (record.refusals, record.tried) == (1, ["old"])
    record = record.accept("", "new", now, sent_at=now)
    assert (record.refusals, record.stale) == (0, ["old"])
    assert record.accept("", "old", now, sent_at=now - 1).stale == ["old"]
    assert record.accept("", "old", now, sent_at=now) == AccountRecord()


def test_the_record_of_an_older_px_is_read() -> None:
    fields = format_record(AccountRecord(refusals=2, blocked_until=10.0))
    del fields["failed_at"]
    record = parse_record(fields)
    assert record.refusals == 2
    assert record.accept("", "mark", 1.0, sent_at=0.0) == AccountRecord()
