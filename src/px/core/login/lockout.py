"""The lock-out memory: whether an identity may send a token, and what became of its earlier tokens.

`px.core.login.token_budget` has the rule. The record of each account is in a store that all processes of a
user share. In addition, each process remembers which secrets it has seen accepted, and when: the table in
`px.core.login` says what that allows. Where the records cannot be kept, all workers of a Px share the right
to send one token that should be charged (`px.core.login.unrecorded_login`).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import NamedTuple, Protocol

from px.core.auth.token_source import TokenSource
from px.core.errors import LoginBlockedError
from px.core.login.lockout_report import make_blocked_error, make_limit_error, make_unrecorded_error
from px.core.login.token_budget import (
    CLOCK_SLACK_SECONDS,
    MAY_LOSE_MORE_SECONDS,
    UNASKED,
    AccountRecord,
    Fields,
    format_record,
    parse_record,
)
from px.core.login.unrecorded_login import OwnUnrecordedLogin, UnrecordedLogin

#: How long Px takes a secret for right after it was accepted. After that the password may have been changed.
ACCEPTED_LATELY_SECONDS = 20.0
#: Secrets remembered as accepted; the oldest is forgotten first.
MAX_ACCEPTED = 64


class Charge(NamedTuple):
    """A token that may be sent.

    Attributes:
        token: The name of the token in the record.
        secret: Mark of the secret of the token; a ticket may turn out to have another mark.
        is_alone: Whether no other token of the account was out at the time of the charge.
    """

    token: str
    secret: str
    is_alone: bool


class LockoutStore(Protocol):
    """Keeps records over restarts and between processes."""

    def load_record(self, account: str) -> Fields:
        """Return the stored fields of an account's record; empty when there is none."""

    def change_record(self, account: str, change: Callable[[Fields], Fields]) -> None:
        """Store what `change` returns for a record, with no other change between; empty removes the record.

        This store shows the change at once; other processes may see it a moment later. `change` may be
        called more than once.
        """

    def try_change_record(self, account: str, change: Callable[[Fields], Fields]) -> bool:
        """Store what `change` returns for a record, for all processes at once; return whether that was done.

        False: another process changes a record now. Try again in a moment.
        """

    @property
    def is_kept(self) -> bool:
        """Whether the records outlive this process: the last attempt to write them succeeded."""

    def list_keys(self) -> list[str]:
        """Return the key of every record."""


class LockoutGuard:
    """Decides whether an identity may send a token.

    Args:
        store: Keeps the records.
        wall_clock: Seconds since the epoch: a block outlives the process.
        process: A name that no other process has; the names of tokens begin with this name.
        is_gone: Whether the process that charged a token of this name has ended.
        unrecorded: The right to send a token where records cannot be kept; None: this process shares it with
            no other.
    """

    def __init__(
        self,
        store: LockoutStore,
        wall_clock: Callable[[], float],
        process: str = "",
        is_gone: Callable[[str], bool] = lambda _: False,
        unrecorded: UnrecordedLogin | None = None,
    ) -> None:
        self._store = store
        #: Returns the time as the records have it.
        self.now = wall_clock
        self._process = process or hex(id(self))
        self._is_gone = is_gone
        self._charges = 0
        self._unrecorded = unrecorded or OwnUnrecordedLogin()
        self._token_with_right = ""  # the token of this process that goes by the unrecorded right
        #: How many more tokens may fail before this process sends none: a test of the login has one.
        self.failures_left: float = math.inf
        #: Tokens accepted and refused since Px was started.
        self.acceptances = 0
        self.refusals = 0
        # By account and secret: when this process saw a token accepted last.
        self._accepted: dict[tuple[str, str], float] = {}

    def check(self, source: TokenSource, own: Charge | None = None) -> None:
        """Return if a token may be sent, now or as soon as another one has its verdict.

        Args:
            source: Makes the token.
            own: The charge of the token, if it has one; the secret may not have been known then.

        Raises:
            LoginBlockedError: The budget of the account is used up.
        """
        if own is not None and own.secret == source.secret_mark:
            return  # else it would not have been charged
        record, now = self._load(source), self.now()
        remaining = record.blocked_seconds(source.secret_mark, now, _token_of(own))
        if remaining > record.block_seconds + CLOCK_SLACK_SECONDS:
            # A clock that was set back must not turn a block of minutes into one of years.
            record = self._change(source.identity.account, lambda record: record.begin_block_again(now))
            remaining = record.block_seconds
        if remaining > 0:
            raise make_blocked_error(record, source, remaining, may_retry=record.may_retry(now))
        if own is None and not self._store.is_kept and self._unrecorded.is_used_up:
            raise make_unrecorded_error(source)
        if self.is_limit_reached:
            raise make_limit_error(source)

    @property
    def is_limit_reached(self) -> bool:
        """Whether as many tokens have failed in this process as `failures_left` allowed."""
        return self.failures_left <= 0

    def charge(self, source: TokenSource, most_out: int) -> Charge | None:
        """Charge a token that is to be sent now; None: other tokens are out, so this one has to wait.

        Args:
            source: Makes the token.
            most_out: How many tokens of the account may be out then.
        """
        if not (self._store.is_kept or self._unrecorded.is_free):
            return None
        others, is_charged = 0, False
        token = f"{self._process}-{self._charges}"
        may_lose_more = self._may_lose_more(source)

        def charge(record: AccountRecord) -> None:
            nonlocal others, is_charged
            # The time is read once the record is locked: else a token that another process has charged
            # meanwhile would seem to come from the future, and count as lost.
            now = self.now()
            record.expire(now, self._is_gone)
            others = len(record.out)
            is_charged = record.charge(
                token, source.secret_mark, now, most_out=most_out, may_lose_more=may_lose_more
            )

        charge(self._load(source))
        if not is_charged:  # known without the lock, which others need
            return None
        is_done = self._store.try_change_record(source.identity.account, _change_fields(charge))
        if not (is_done and is_charged):
            return None
        self._charges += 1
        granted = Charge(token, source.secret_mark, is_alone=others == 0)
        if not self._store.is_kept:  # the change itself may have failed
            if not self._unrecorded.take():
                self.release(source, granted)
                return None
            self._token_with_right = granted.token
        return granted

    def release(self, source: TokenSource, charge: Charge) -> None:
        """Refund a token that was not sent after all."""
        self._give_back_right(charge)
        self._change(source.identity.account, lambda record: record.release(charge.token))

    def _has_right(self, charge: Charge | None) -> bool:
        return charge is not None and charge.token == self._token_with_right

    def _give_back_right(self, charge: Charge | None) -> None:
        """Give the unrecorded right back if this token has it: another token of the account may be out."""
        if self._has_right(charge):
            self._token_with_right = ""
            self._unrecorded.give_back()

    def _use_up_right(self) -> None:
        """Allow no further token of any account while records cannot be kept."""
        if self._token_with_right or (not self._store.is_kept and self._unrecorded.take()):
            self._token_with_right = ""
            self._unrecorded.use_up()

    def is_accepted_lately(self, source: TokenSource) -> bool:
        """Whether this process saw the secret accepted lately, and no token was refused or lost since.

        See the table in `px.core.login`.
        """
        age = self.now() - self._accepted.get(_key_of(source), float("-inf"))
        if abs(age) > ACCEPTED_LATELY_SECONDS:
            return False
        return not self.has_failed(source)

    def was_accepted(self, source: TokenSource) -> bool:
        """Whether this process ever saw the secret accepted."""
        return _key_of(source) in self._accepted

    def _may_lose_more(self, source: TokenSource) -> bool:
        """Whether the secret was accepted within `MAY_LOSE_MORE_SECONDS`."""
        accepted_at = self._accepted.get(_key_of(source), -math.inf)
        return abs(self.now() - accepted_at) < MAY_LOSE_MORE_SECONDS

    def has_failed(self, source: TokenSource) -> bool:
        """Whether a token of the account was refused, denied or lost since the last acceptance."""
        record = self._load(source)
        return bool(record.budget_used or record.denied)

    def is_charged(self, source: TokenSource, charge: Charge) -> bool:
        """Whether a charge still counts: no acceptance has refunded it, and it is not lost."""
        return charge.token in self._load(source).out

    def is_blocked(self, source: TokenSource) -> bool:
        """Whether no token may be sent now."""
        return bool(self.describe_block(source))

    def describe_block(self, source: TokenSource) -> str:
        """Return why no token may be sent now; empty when one may."""
        try:
            self.check(source)
        except LoginBlockedError as error:
            return f"{error.cause} {error.hint}"
        return ""

    def budget_used(self, source: TokenSource) -> int:
        """Return how many tokens of the account were refused or lost since the last acceptance.

        A denial counts if it stays charged.
        """
        return self._load(source).budget_used

    def has_lost_trust(self, source: TokenSource) -> bool:
        """Whether a token of the account failed that may have been made of this secret."""
        record = self._load(source)
        return record.budget_used > 0 and record.may_have_failed(source.secret_mark)

    def refused_method(self, source: TokenSource) -> str:
        """Return the method by which the secret was refused last; empty: it was not refused."""
        record = self._load(source)
        return record.method if record.may_have_failed(source.secret_mark) else ""

    def is_target_denied(self, source: TokenSource, target: str) -> bool:
        """Whether a denial of this target lasts, with no login accepted since."""
        record = self._load(source)
        age = self.now() - record.denied_at
        return record.denied == _mark_target(target) and abs(age) < record.denied_seconds

    def is_denied(self, source: TokenSource) -> bool:
        """Whether a refusal was taken for a denial of its target, and no login was accepted since."""
        return bool(self._load(source).denied)

    def receive_acceptance(
        self, source: TokenSource, charge: Charge | None = None, sent_at: float = math.inf
    ) -> None:
        """Note that a final token was accepted.

        Args:
            source: Made the token.
            charge: Of the token, if it had one.
            sent_at: When the token was sent, by `now`; infinite: no token has failed since; `UNASKED`: the
                upstream did not ask for the token. That keeps a secret accepted, but makes none so.
        """
        self.acceptances += 1
        self._give_back_right(charge)
        key, now = _key_of(source), self.now()
        account, secret = key
        if (sent_at != UNASKED or key in self._accepted) and not self._load(source).has_failed_since(
            sent_at, now
        ):
            self._accepted.pop(key, None)
            self._accepted[key] = now
            if len(self._accepted) > MAX_ACCEPTED:  # each change of a ticket cache makes a new key
                del self._accepted[next(iter(self._accepted))]

        def accept(fields: Fields) -> Fields:
            return format_record(parse_record(fields).accept(_token_of(charge), secret, now, sent_at=sent_at))

        if (fields := self._store.load_record(account)) and accept(fields) != fields:
            self._store.change_record(account, accept)

    def receive_denial(
        self,
        source: TokenSource,
        target: str,
        seconds: float,
        charge: Charge | None = None,
        *,
        is_charged: bool = False,
    ) -> bool:
        """Take a refusal for a denial of the target by a rule; return whether that was done.

        Only the first refusal since the last acceptance can be a denial, in whichever process it happens: a
        second one is more than a rule about a target.

        Args:
            source: Made the token.
            target: What the request asked for.
            seconds: How long no process asks for that target again.
            charge: Of the token, if it had one.
            is_charged: Whether the refusal stays charged: the secret was not accepted lately.
        """
        token, secret, now, mark = _token_of(charge), source.secret_mark, self.now(), _mark_target(target)
        is_first = False

        def change(record: AccountRecord) -> None:
            nonlocal is_first
            is_first = record.deny(token, secret, now, target=mark, seconds=seconds, is_charged=is_charged)

        self._change(source.identity.account, change)
        if is_charged:
            self.failures_left -= 1
        if is_first and not is_charged:
            self._give_back_right(charge)
        elif is_charged or self._has_right(charge):
            self._use_up_right()
        return is_first

    def receive_no_verdict(self, source: TokenSource, upstream: str, charge: Charge | None = None) -> None:
        """Note that a final token was sent, and that nobody saw the verdict."""
        self.failures_left -= 1
        now, may_lose_more = self.now(), self._may_lose_more(source)

        def change(record: AccountRecord) -> None:
            record.upstream = upstream
            record.lose(_token_of(charge), source.secret_mark, now, may_lose_more=may_lose_more)

        self._change(source.identity.account, change)
        self._use_up_right()

    def receive_refusal(
        self, source: TokenSource, upstream: str, method: str, charge: Charge | None = None
    ) -> None:
        """Note that the upstream refused a final token, or a KDC the password."""
        self.refusals += 1
        self.failures_left -= 1
        now = self.now()

        def change(record: AccountRecord) -> None:
            record.upstream, record.method = upstream, method
            record.refuse(_token_of(charge), source.secret_mark, now)

        self._change(source.identity.account, change)
        self._use_up_right()

    def allow_retry(self) -> None:
        """Let each blocked account try once more at once: its user may have corrected the password.

        This works once in half an hour; more calls do nothing. No refusal is forgotten: if the retry is
        refused too, the block is twice as long.
        """
        now = self.now()
        for account in self._store.list_keys():
            self._change(account, lambda record: record.allow_retry(now))

    def _load(self, source: TokenSource) -> AccountRecord:
        fields = self._store.load_record(source.identity.account)
        return parse_record(fields) if fields else AccountRecord()

    def _change(self, account: str, change: Callable[[AccountRecord], None]) -> AccountRecord:
        """Change a record in the store, and return it."""
        record = AccountRecord()

        def change_record(changed: AccountRecord) -> None:
            nonlocal record
            change(changed)
            record = changed

        self._store.change_record(account, _change_fields(change_record))
        return record

    def __repr__(self) -> str:
        return f"<LockoutGuard accepted={len(self._accepted)}>"


def _change_fields(change: Callable[[AccountRecord], None]) -> Callable[[Fields], Fields]:
    """Return the change of a stored record for a change of a record."""

    def change_fields(fields: Fields) -> Fields:
        record = parse_record(fields)
        change(record)
        return format_record(record)

    return change_fields


def _key_of(source: TokenSource) -> tuple[str, str]:
    return source.identity.account, source.secret_mark


def _token_of(charge: Charge | None) -> str:
    return charge.token if charge else ""


def _mark_target(target: str) -> str:
    """Return the mark of a target in the record: no file shows which sites a person visits."""
    return hashlib.sha256(target.encode()).hexdigest()[:12]
