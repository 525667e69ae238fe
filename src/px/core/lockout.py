"""Holds tokens back before an account is locked.

A directory locks an account after a few wrong passwords, whoever sent them. Px stands behind every
program of a person, so one stale password would be tried hundreds of times a minute. Per identity, over
all upstreams, schemes and restarts:

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
middle of an upload, leaves the secret in doubt: the next token must settle that. When that one remains
without a verdict, too, it counts as a drop.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Protocol

from px.core.errors import LoginBlockedError
from px.core.token_source import TokenSource

REFUSALS_BEFORE_BLOCK = 2
BLOCK_SECONDS = 30 * 60
MAX_BLOCK_SECONDS = 24 * 3600
DROPS_AS_A_REFUSAL = 2
#: How long an accepted token speaks for the next one: the password may have been changed meanwhile.
PROOF_SECONDS = 20.0
#: What a client is told to wait. Not how long the block lasts: curl and pip sleep for that long without a
#: word, and beyond the moment at which the user has mended the cause. Asking again costs no token.
RETRY_AFTER_SECONDS = 5


@dataclass
class LockoutRecord:
    """What is remembered of one identity's refusals.

    Attributes:
        refusals: Final tokens refused in a row.
        blocked_until: Wall clock time, seconds since the epoch, before which no token is sent.
        block_seconds: How long the next block lasts.
        upstream: Who refused it last.
        method: By which login method.
    """

    refusals: int = 0
    blocked_until: float = 0.0
    block_seconds: float = BLOCK_SECONDS
    upstream: str = ""
    method: str = ""

    def is_clear(self) -> bool:
        """Whether nothing speaks against the secret."""
        return self.refusals == 0


class LockoutStore(Protocol):
    """Keeps records over restarts and between processes."""

    def load_record(self, identity_key: str) -> dict[str, object]:
        """Return the stored fields of an identity's record; empty when there is none."""

    def save_record(self, identity_key: str, fields: dict[str, object] | None) -> None:
        """Store an identity's record; None removes it."""


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
        self._accepted: dict[str, float] = {}  # by key: when a token was accepted last
        self._drops: dict[str, int] = {}
        self._unsettled: set[str] = set()  # by key: a token was sent, and its verdict not seen

    def check(self, source: TokenSource) -> None:
        """Return if a token may be sent.

        Raises:
            LoginBlockedError: Too many were refused.
        """
        record = self._load(source)
        # A clock that was set back must not make a block of hours one of years.
        remaining = min(record.blocked_until - self._wall_clock(), MAX_BLOCK_SECONDS)
        if record.refusals < REFUSALS_BEFORE_BLOCK or remaining <= 0:
            return
        raise LoginBlockedError(
            f"{record.upstream} refused {source.identity.name} {record.refusals} times in a row."
            " Px sends no more logins for now, so that the account is not locked.",
            f"Correct the user name or the password and restart Px; it tries again by itself"
            f" in {_say_minutes(remaining)}.",
            retry_after=RETRY_AFTER_SECONDS,
        )

    def is_proven(self, source: TokenSource) -> bool:
        """Whether this secret has logged in lately and was not refused since."""
        age = self._wall_clock() - self._accepted.get(_key_of(source), float("-inf"))
        return abs(age) <= PROOF_SECONDS and self.is_clear(source)

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
        return _key_of(source) not in self._unsettled and self._load(source).is_clear()

    def refusals_left(self, source: TokenSource) -> int:
        """Return how many more refusals the secret may meet, at least one: as many may be in flight."""
        return max(1, REFUSALS_BEFORE_BLOCK - self._load(source).refusals)

    def refused_method(self, source: TokenSource) -> str:
        """Return the method by which the secret was refused last; empty when its record is clear."""
        return self._load(source).method

    def receive_acceptance(self, source: TokenSource) -> None:
        """A final token was accepted."""
        key = _key_of(source)
        self.acceptances += 1
        self._accepted[key] = self._wall_clock()
        self._drops.pop(key, None)
        self._unsettled.discard(key)
        if not self._load(source).is_clear():
            self._store.save_record(key, None)

    def receive_drop(self, source: TokenSource, upstream: str, method: str) -> None:
        """A connection was dropped in place of the verdict on a final token."""
        key = _key_of(source)
        self._drops[key] = self._drops.get(key, 0) + 1
        if self._drops[key] >= DROPS_AS_A_REFUSAL:
            self.receive_refusal(source, upstream, method)

    def receive_no_verdict(self, source: TokenSource, upstream: str, method: str) -> None:
        """The verdict on a final token was not waited for."""
        key = _key_of(source)
        if key in self._unsettled:
            self.receive_drop(source, upstream, method)
        self._unsettled.add(key)

    def receive_refusal(self, source: TokenSource, upstream: str, method: str) -> None:
        """A final token, or a password at the KDC, was refused."""
        self.refusals += 1
        record = self._load(source)
        self._drops.pop(_key_of(source), None)
        self._unsettled.discard(_key_of(source))
        now = self._wall_clock()
        record.refusals += 1
        record.upstream, record.method = upstream, method
        if record.refusals >= REFUSALS_BEFORE_BLOCK and record.blocked_until <= now:
            record.blocked_until = now + record.block_seconds
            record.block_seconds = min(2 * record.block_seconds, MAX_BLOCK_SECONDS)
        self._store.save_record(_key_of(source), asdict(record))

    def _load(self, source: TokenSource) -> LockoutRecord:
        return _parse_record(self._store.load_record(_key_of(source)))

    def __repr__(self) -> str:
        return f"<LockoutGuard accepted={len(self._accepted)}>"


def _key_of(source: TokenSource) -> str:
    """Return what a record is kept by: a new secret of the same identity has one of its own."""
    return f"{source.identity.key} {source.secret_mark}".rstrip()


def _parse_record(fields: dict[str, object]) -> LockoutRecord:
    """Read a record; fields of the wrong type (a file touched by hand) count as not there."""
    record = LockoutRecord()
    for name, default in asdict(record).items():
        value = fields.get(name)
        is_number = isinstance(value, int | float) and math.isfinite(value)
        if is_number if isinstance(default, int | float) else isinstance(value, str):
            setattr(record, name, type(default)(value))
    return record


def _say_minutes(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return f"{minutes} minute{'s' if minutes > 1 else ''}"
