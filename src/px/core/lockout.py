"""Holds tokens back before an account is locked.

A directory locks an account after a few wrong passwords, whoever sent them. Px stands behind every
program of a person, so one stale password would be tried hundreds of times a minute. Per identity, over
all upstreams, schemes, processes and restarts:

=================  ==============================  ===========================================
record             a final token is refused        a final token is accepted
=================  ==============================  ===========================================
clear              doubtful                        clear
doubtful           blocked for 30 minutes          clear
blocked            (no token is sent)              (a login that was under way) clear
blocked, time up   blocked for twice as long       clear
=================  ==============================  ===========================================

A new secret begins with a clear record. A connection that is dropped in place of a verdict may be a refusal
or an accident: two of them count as one refusal. A verdict that was not seen, because the client left in the
middle of an upload or Px ended, leaves the secret in doubt: the next token must settle that. When that one
remains without a verdict, too, it counts as a drop. A first refusal that is held against its target
(`px.core.upstream_auth`) does not count, but stands in the record for all processes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Protocol

from px.core.errors import LoginBlockedError
from px.core.token_source import TokenSource

REFUSALS_BEFORE_BLOCK = 2
BLOCK_SECONDS = 30 * 60
MAX_BLOCK_SECONDS = 24 * 3600
DROPS_AS_A_REFUSAL = 2
#: How long a target that was refused to a secret which has logged in is not asked for again.
DENIED_SECONDS = 60.0
#: A block that seems to last this much longer than it was made for: the clock was set back.
CLOCK_SLACK_SECONDS = 60.0
#: How long an accepted token speaks for the next one: the password may have been changed meanwhile.
PROOF_SECONDS = 20.0
#: What a client is told to wait. Not how long the block lasts: curl and pip sleep for that long without a
#: word, and beyond the moment at which the user has mended the cause. Asking again costs no token.
RETRY_AFTER_SECONDS = 5
#: Secrets that are known to have logged in; the oldest is forgotten first.
MAX_ACCEPTED = 64
#: A stored number beyond is no count and no time.
MAX_NUMBER = 1e12


@dataclass
class LockoutRecord:
    """What is remembered of one identity's refusals.

    Attributes:
        refusals: Final tokens refused in a row.
        drops: Connections dropped in place of a verdict, in a row.
        unsettled: Whether a token was sent and its verdict not seen.
        blocked_until: Wall clock time, seconds since the epoch, before which no token is sent.
        block_seconds: How long that block lasts, or the last one lasted; the next is twice as long.
        upstream: Who refused it last.
        method: By which login method.
        denied: Mark of the target that a refusal is held against.
        denied_at: Wall clock time of that.
    """

    refusals: int = 0
    drops: int = 0
    unsettled: bool = False
    blocked_until: float = 0.0
    block_seconds: float = 0.0
    upstream: str = ""
    method: str = ""
    denied: str = ""
    denied_at: float = 0.0

    def is_clear(self) -> bool:
        """Whether no refusal counts against the secret, nor one that may have been."""
        return self.refusals == 0 and not self.unsettled

    def block(self, now: float) -> None:
        """Begin a block, twice as long as the one before."""
        self.block_seconds = min(max(BLOCK_SECONDS, 2 * self.block_seconds), MAX_BLOCK_SECONDS)
        self.blocked_until = now + self.block_seconds


#: A record as it is stored.
Fields = dict[str, object]


class LockoutStore(Protocol):
    """Keeps records over restarts and between processes."""

    def load_record(self, identity_key: str) -> Fields:
        """Return the stored fields of an identity's record; empty when there is none."""

    def change_record(self, identity_key: str, change: Callable[[Fields], Fields]) -> None:
        """Store what `change` makes of a record, with no other change between; empty removes it."""

    def list_keys(self) -> list[str]:
        """Return the key of every record."""


class LockoutGuard:
    """Decides whether an identity may send a token.

    Args:
        store: Of the records.
        wall_clock: Seconds since the epoch: a block outlives the process.
    """

    def __init__(self, store: LockoutStore, wall_clock: Callable[[], float]) -> None:
        self._store = store
        self._wall_clock = wall_clock
        #: Tokens accepted and refused since Px was started.
        self.acceptances = 0
        self.refusals = 0
        self._accepted: dict[str, float] = {}  # by key: when this process saw a token accepted last

    def check(self, source: TokenSource) -> None:
        """Return if a token may be sent.

        Raises:
            LoginBlockedError: Too many were refused.
        """
        record = self._load(source)
        remaining = record.blocked_until - self._wall_clock()
        if record.refusals < REFUSALS_BEFORE_BLOCK or remaining <= 0:
            return
        if remaining > record.block_seconds + CLOCK_SLACK_SECONDS:
            remaining = self._begin_block_again(source)
        raise LoginBlockedError(
            f"{record.upstream} refused {source.identity.name} {record.refusals} times in a row."
            " Px sends no more logins for now, so that the account is not locked.",
            "Correct the password by px --password, or in px.ini or the environment and run px --restart."
            f" If it was right: px --reload tries once more; Px does by itself in {_say_minutes(remaining)}.",
            retry_after=RETRY_AFTER_SECONDS,
        )

    def _begin_block_again(self, source: TokenSource) -> float:
        """A clock that was set back must not make a block of minutes one of years; return its seconds."""

        def change(record: LockoutRecord) -> None:
            record.blocked_until = self._wall_clock() + record.block_seconds

        return self._change(_key_of(source), change).block_seconds

    def is_proven(self, source: TokenSource) -> bool:
        """Whether this secret has logged in lately, in this process, and nothing speaks against it since."""
        age = self._wall_clock() - self._accepted.get(_key_of(source), float("-inf"))
        if abs(age) > PROOF_SECONDS:
            return False
        fields = self._store.load_record(_key_of(source))
        return not fields or _parse_record(fields) == LockoutRecord()

    def has_logged_in(self, source: TokenSource) -> bool:
        """Whether this secret has logged in since Px was started."""
        return _key_of(source) in self._accepted

    def is_blocked(self, source: TokenSource) -> bool:
        """Whether no token may be sent now."""
        return bool(self.say_blocked(source))

    def say_blocked(self, source: TokenSource) -> str:
        """Return why no token may be sent now; empty when one may."""
        try:
            self.check(source)
        except LoginBlockedError as error:
            return f"{error.cause} {error.mend}"
        return ""

    def is_clear(self, source: TokenSource) -> bool:
        """Whether the verdict on the last final token was seen, and was no refusal."""
        return self._load(source).is_clear()

    def refusals_left(self, source: TokenSource) -> int:
        """Return how many more refusals the secret may meet, at least one: as many may be in flight."""
        record = self._load(source)
        return max(1, REFUSALS_BEFORE_BLOCK - record.refusals - record.unsettled)

    def refused_method(self, source: TokenSource) -> str:
        """Return the method by which the secret was refused last; empty when its record is clear."""
        return self._load(source).method

    def is_target_denied(self, source: TokenSource, target: str) -> bool:
        """Whether a refusal is held against this target, of late and with no login accepted since."""
        record = self._load(source)
        age = self._wall_clock() - record.denied_at
        return record.denied == _mark_target(target) and abs(age) < DENIED_SECONDS

    def receive_acceptance(self, source: TokenSource) -> None:
        """A final token was accepted."""
        key = _key_of(source)
        self.acceptances += 1
        self._accepted.pop(key, None)
        self._accepted[key] = self._wall_clock()
        if len(self._accepted) > MAX_ACCEPTED:  # each change of a ticket cache makes a new key
            del self._accepted[next(iter(self._accepted))]
        if self._store.load_record(key):
            self._store.change_record(key, lambda _: {})

    def receive_drop(self, source: TokenSource, upstream: str, method: str) -> None:
        """A connection was dropped in place of the verdict on a final token."""
        self._change(_key_of(source), lambda record: self._count_drop(record, upstream, method))

    def receive_denial(self, source: TokenSource, target: str) -> bool:
        """Hold the refusal of a secret that has logged in against the target; return whether it is the first.

        A second one with no login accepted between, in whatever process, is more than a rule about a target.
        """
        mark, now, is_first = _mark_target(target), self._wall_clock(), False

        def change(record: LockoutRecord) -> None:
            nonlocal is_first
            is_first = not record.denied
            if is_first:
                record.denied, record.denied_at = mark, now

        self._change(_key_of(source), change)
        return is_first

    def receive_no_verdict(self, source: TokenSource, upstream: str, method: str) -> None:
        """The verdict on a final token was not waited for."""

        def change(record: LockoutRecord) -> None:
            if record.unsettled:
                self._count_drop(record, upstream, method)
            record.unsettled = True

        self._change(_key_of(source), change)

    def receive_refusal(self, source: TokenSource, upstream: str, method: str) -> None:
        """A final token, or a password at the KDC, was refused."""
        self.refusals += 1
        self._change(_key_of(source), lambda record: self._count_refusal(record, upstream, method))

    def _count_drop(self, record: LockoutRecord, upstream: str, method: str) -> None:
        record.drops += 1
        if record.drops >= DROPS_AS_A_REFUSAL:
            self._count_refusal(record, upstream, method)

    def _count_refusal(self, record: LockoutRecord, upstream: str, method: str) -> None:
        now = self._wall_clock()
        record.refusals += 1
        record.drops, record.unsettled = 0, False
        record.upstream, record.method = upstream, method
        if record.refusals >= REFUSALS_BEFORE_BLOCK and record.blocked_until <= now:
            record.block(now)

    def allow_probe(self) -> None:
        """Let each blocked identity try once more at once: its user may have mended the cause.

        No refusal is forgotten: if the probe is refused too, the block is twice as long.
        """

        def change(record: LockoutRecord) -> None:
            record.blocked_until = 0.0

        for key in self._store.list_keys():
            self._change(key, change)

    def _load(self, source: TokenSource) -> LockoutRecord:
        fields = self._store.load_record(_key_of(source))
        return _parse_record(fields) if fields else LockoutRecord()

    def _change(self, key: str, change: Callable[[LockoutRecord], None]) -> LockoutRecord:
        """Change a record in the store, and return it."""
        record = LockoutRecord()

        def change_fields(fields: Fields) -> Fields:
            nonlocal record
            record = _parse_record(fields)
            change(record)
            return asdict(record) if record != LockoutRecord() else {}

        self._store.change_record(key, change_fields)
        return record

    def __repr__(self) -> str:
        return f"<LockoutGuard accepted={len(self._accepted)}>"


def _key_of(source: TokenSource) -> str:
    """Return what a record is kept by: a new secret of the same identity has one of its own."""
    return f"{source.identity.key} {source.secret_mark}".rstrip()


def _mark_target(target: str) -> str:
    """Return what a target is known by in the record: no file tells where a person goes."""
    return hashlib.sha256(target.encode()).hexdigest()[:12]


def _parse_record(fields: Fields) -> LockoutRecord:
    """Read a record; fields of the wrong type (a file touched by hand) count as not there."""
    record = LockoutRecord()
    for name, default in asdict(record).items():
        value = fields.get(name)
        if isinstance(default, str):
            setattr(record, name, value if isinstance(value, str) else default)
        elif isinstance(value, int | float) and 0 <= value < MAX_NUMBER:  # not NaN either
            setattr(record, name, type(default)(value))
    record.block_seconds = min(record.block_seconds, MAX_BLOCK_SECONDS)
    return record


def _say_minutes(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return f"{minutes} minute{'s' if minutes > 1 else ''}"
