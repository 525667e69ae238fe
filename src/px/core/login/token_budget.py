"""The budget of one account: how many tokens Px may send before the account could be locked.

A directory locks an account after a few wrong passwords, from whatever program they come. So Px charges a
token to the account before it sends the token, unless the secret was just accepted, and an acceptance refunds
what was charged before the accepted token. One token is out at a time (two, if the second is a verification),
and at most two are out, refused or lost since the last acceptance (four may be lost, if the secret was
accepted in the last four hours). Then the account is blocked, and each further token waits for the end of the
block: `REFUSAL_BLOCK_SECONDS` and longer after refusals, `LOST_BLOCK_SECONDS` after lost verdicts.

======================  ==========================================================================
what happens            then
======================  ==========================================================================
a token is to be sent   charged, if none is out and fewer than two are refused or lost;
                        a verification may be the second token that is out
                        with two refused or lost: charged, if none is out and the block is over
accepted                the record is cleared, but for tokens that were charged later and are still out;
                        other secrets that were refused wait for 30 minutes
accepted, but sent      refunded, and nothing else: the secret may have been changed in between. A secret
before a failure        that has not failed itself may have one more token at once
refused                 one refusal; with two, a block of 30 minutes, and twice as long each time
denied                  refused, perhaps because a rule denies the target: stays charged like a refusal,
                        unless the secret was accepted lately; if the next token is refused too, both count
lost                    nobody saw the verdict: stays charged; with two refused or lost, a block of
                        1, 5, then 30 minutes: shorter, because nobody has refused two tokens
not sent after all      refunded
without any report      its process has ended, or `OUT_SECONDS` are over: lost
another secret          one token at once, in spite of a block; each secret has that once
a person asks           (``--reload``, ``--password``) one token at once, once in 30 minutes
======================  ==========================================================================

A secret that was accepted within `MAY_LOSE_MORE_SECONDS`, and not refused since, may lose `LOST_BEFORE_BLOCK`
verdicts. All processes of a user share the record, so these numbers apply over workers and restarts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

REFUSALS_BEFORE_BLOCK = 2
#: How long the first block after refusals lasts. Each next one lasts twice as long.
REFUSAL_BLOCK_SECONDS = 30 * 60
MAX_BLOCK_SECONDS = 24 * 3600
#: How many verdicts in a row a secret that was accepted a while ago may lose before a block.
LOST_BEFORE_BLOCK = 4
#: How long after an acceptance that applies.
MAY_LOSE_MORE_SECONDS = 4 * 3600
#: How long a block after lost verdicts lasts: the first one, the second one, and each later one. So at most
#: four logins with a wrong password go out in any half hour.
LOST_BLOCK_SECONDS = (60.0, 5 * 60.0, 30 * 60.0)
#: If a block seems to last this much longer than its length, the clock was set back.
CLOCK_SLACK_SECONDS = 60.0
#: A token counts as lost when nobody has reported its verdict for this long.
OUT_SECONDS = 30.0
#: Tokens and secrets that a record names; the oldest are forgotten first.
MAX_NAMES = 16
_ANY_SECRET = ""
#: In place of the time when a token was sent: the upstream did not ask for the token, and may not have looked
#: at it. So its acceptance refunds only its own charge if another token has failed.
UNASKED = -math.inf
#: A larger stored number is neither a count nor a time.
MAX_NUMBER = 1e12

#: A record as it is stored.
Fields = dict[str, object]


@dataclass
class AccountRecord:
    """What an account has used of its budget since the last acceptance. Times are seconds since the epoch.

    Attributes:
        out: Tokens that were charged and have no verdict yet, with the times of their charges.
        refusals: Tokens refused.
        lost: Tokens whose verdicts were not seen.
        overdue: Lost tokens whose verdicts may still come.
        lost_blocks: How many blocks there were because of lost verdicts.
        blocked_until: Px sends no token before this time.
        block_seconds: How long that block lasts, or the last one lasted.
        tried: Marks of the secrets whose tokens were charged.
        stale: Marks of secrets that were refused before another secret was accepted.
        stale_until: Px sends no token of stale secrets before this time.
        failed_at: When a token of a secret was refused or denied last, by the marks of the secrets; and at
            `_ANY_SECRET`, when a token was lost last.
        retry_allowed_at: When a person last had Px send a token in spite of a block (a retry).
        upstream: The upstream that refused the last token, or did not answer it.
        method: The login method of the token that was refused last.
        denied: Mark of the target of the denial: the refusal that a rule may explain; empty: none.
        is_denial_charged: Whether the denial stays charged, because the secret may be wrong.
        denied_at: When the denial was.
        denied_seconds: How long Px does not ask for that target again.
    """

    out: dict[str, float] = field(default_factory=dict)
    refusals: int = 0
    lost: int = 0
    overdue: list[str] = field(default_factory=list)
    lost_blocks: int = 0
    blocked_until: float = 0.0
    block_seconds: float = 0.0
    tried: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    stale_until: float = 0.0
    failed_at: dict[str, float] = field(default_factory=dict)
    retry_allowed_at: float = 0.0
    upstream: str = ""
    method: str = ""
    denied: str = ""
    is_denial_charged: bool = False
    denied_at: float = 0.0
    denied_seconds: float = 0.0

    @property
    def budget_used(self) -> int:
        """How much of the budget is used: tokens refused, lost, or denied and still charged."""
        return self.refusals + self.lost + self.is_denial_charged

    @property
    def is_used_up_by_refusals(self) -> bool:
        """Whether refusals alone have used up the budget, so that a block is one after refusals."""
        return self.refusals >= REFUSALS_BEFORE_BLOCK

    def blocked_seconds(self, secret: str, now: float, own: str = "") -> float:
        """Return how many seconds a block keeps a token back.

        0 or less: no block keeps it back, but another token may be out.

        Args:
            secret: Its mark.
            now: The time.
            own: The name of a token that is charged and was not sent yet.
        """
        if secret in self.stale and self.stale_until > now:
            return min(self.stale_until - now, REFUSAL_BLOCK_SECONDS)
        has_others = bool(self.out.keys() - {own})
        return 0.0 if has_others or secret not in self.tried else self.blocked_until - now

    def charge(self, token: str, secret: str, now: float, *, most_out: int, may_lose_more: bool) -> bool:
        """Charge a token that is to be sent now, after `expire`; return whether that is allowed.

        Args:
            token: Its name, different from all others.
            secret: Mark of the secret that it is made of.
            now: The time.
            most_out: How many tokens may be out then.
            may_lose_more: The secret was accepted within `MAY_LOSE_MORE_SECONDS`.
        """
        if self.blocked_seconds(secret, now) > 0 or len(self.out) >= most_out:
            return False
        if self.out and self.budget_used + len(self.out) >= self._budget(may_lose_more=may_lose_more):
            return False
        self._try(secret)
        self.out[token] = now
        return True

    def _try(self, secret: str) -> None:
        if secret not in self.tried:
            self.tried = [*self.tried, secret][-MAX_NAMES:]
            self.retry_allowed_at = 0.0

    def has_failed_since(self, sent_at: float, now: float, *secrets: str) -> bool:
        """Whether a token failed after this time: one that was sent then says nothing of the account of now.

        A failure in the future does not count: the clock was set back.

        Args:
            sent_at: The time.
            now: The time now.
            *secrets: Marks of the secrets whose failures count; none: all.
        """
        failed_at = [self.failed_at.get(each, -math.inf) for each in secrets] or self.failed_at.values()
        return any(sent_at < each <= now + CLOCK_SLACK_SECONDS for each in failed_at)

    def may_have_failed(self, secret: str) -> bool:
        """Whether a token that failed may have been made of this secret; an empty mark is not known yet."""
        return not (secret and self.failed_at) or bool(self.failed_at.keys() & {secret, _ANY_SECRET})

    def accept(self, token: str, secret: str, now: float, *, sent_at: float) -> AccountRecord:
        """Return the record after a token was accepted; see `charge` and `refuse` for the arguments.

        Args:
            token: The accepted token.
            secret: Mark of its secret.
            now: The time.
            sent_at: When it was sent, or minus infinity: see `UNASKED`. The verdict may come late, together
                with the answer of a slow origin.
        """
        if self.has_failed_since(sent_at, now):
            self._take_back(token)
            if not self.has_failed_since(sent_at, now, secret, _ANY_SECRET):  # as if it was not tried yet
                self.tried = [each for each in self.tried if each != secret]
            return self
        charged_at = min(self.out.get(token, sent_at), sent_at)
        later = {
            each: at
            for each, at in self.out.items()
            if each != token and charged_at < at <= now + CLOCK_SLACK_SECONDS
        }
        refused = self.tried if self.refusals else []
        stale = [each for each in {**dict.fromkeys(self.stale), **dict.fromkeys(refused)} if each != secret]
        until = now + REFUSAL_BLOCK_SECONDS if refused else self.stale_until
        tried = self.tried if later else []
        if not stale or until <= now:
            return AccountRecord(out=later, tried=tried)
        return AccountRecord(
            out=later,
            tried=tried,
            stale=stale[-MAX_NAMES:],
            stale_until=until,
            failed_at={each: at for each, at in self.failed_at.items() if each in stale},
            block_seconds=REFUSAL_BLOCK_SECONDS,
            upstream=self.upstream,
            method=self.method,
        )

    def release(self, token: str) -> None:
        """Refund a token that was not sent after all."""
        self._take_back(token)

    def refuse(self, token: str, secret: str, now: float) -> None:
        """Count a refusal, and with it a charged denial: no rule about one target explains both.

        Args:
            token: The refused token; empty: it was not charged.
            secret: Mark of the secret of the token.
            now: The time.
        """
        self._take_back(token)
        self._try(secret)
        self._fail(secret, now)
        had = self.refusals
        self.refusals += 1 + self.is_denial_charged
        self.is_denial_charged = False
        if not self.is_used_up_by_refusals:
            self._block_after_loss(REFUSALS_BEFORE_BLOCK, now)
        elif had < REFUSALS_BEFORE_BLOCK or not self._is_blocked(now):
            longer = 2 * self.block_seconds if had >= REFUSALS_BEFORE_BLOCK else 0.0
            self._block(min(max(REFUSAL_BLOCK_SECONDS, longer), MAX_BLOCK_SECONDS), now)

    def deny(
        self, token: str, secret: str, now: float, *, target: str, seconds: float, is_charged: bool
    ) -> bool:
        """Take a refusal for a denial of its target; return False when it is not the first refusal.

        Args:
            token: The refused token; empty: it was not charged.
            secret: Mark of the secret of the token.
            now: The time.
            target: Mark of the target.
            seconds: How long Px does not ask for that target again.
            is_charged: Whether the token stays charged: the secret may be wrong.
        """
        self._fail(secret, now)
        if self.denied or self.refusals:
            return False
        self._take_back(token)
        self.denied, self.denied_at, self.denied_seconds = target, now, seconds
        self.is_denial_charged = is_charged
        self._block_after_loss(REFUSALS_BEFORE_BLOCK, now)
        return True

    def lose(self, token: str, secret: str, now: float, *, may_lose_more: bool) -> None:
        """Count a token as lost; see `charge` and `refuse` for the arguments."""
        if token and token not in self.out:
            return  # overdue, and so counted already; or a login that was accepted meanwhile has refunded it
        self._take_back(token)
        self._try(secret)
        self._fail(_ANY_SECRET, now)
        self._count_lost(now, self._budget(may_lose_more=may_lose_more))

    def expire(self, now: float, is_gone: Callable[[str], bool] = lambda _: False) -> None:
        """Count tokens as lost when nobody will report their verdicts.

        Args:
            now: The time. Tokens that were sent too long ago, or in the future, count as lost.
            is_gone: Whether the process that charged a token has ended.
        """
        for token, sent_at in list(self.out.items()):
            if is_gone(token) or not 0 <= now - sent_at < OUT_SECONDS:
                self._take_back(token)
                self._fail(_ANY_SECRET, now)
                self._count_lost(now, REFUSALS_BEFORE_BLOCK)
                self.overdue = [*self.overdue, token][-MAX_NAMES:]

    def may_retry(self, now: float) -> bool:
        """Whether a person may have a token sent in spite of a block."""
        return not (self.retry_allowed_at and 0 <= now - self.retry_allowed_at < REFUSAL_BLOCK_SECONDS)

    def allow_retry(self, now: float) -> None:
        """Let one token go at once, if no person has asked for that in the last half hour."""
        if max(self.blocked_until, self.stale_until) > now and self.may_retry(now):
            self.blocked_until, self.stale_until, self.retry_allowed_at = 0.0, 0.0, now

    def begin_block_again(self, now: float) -> None:
        """Let the block last its full length from now on."""
        self.blocked_until = now + self.block_seconds

    def _budget(self, *, may_lose_more: bool) -> int:
        """Return the budget: more if the secret was accepted a while ago and only lost verdicts since."""
        return LOST_BEFORE_BLOCK if may_lose_more and self.budget_used == self.lost else REFUSALS_BEFORE_BLOCK

    def _fail(self, secret: str, now: float) -> None:
        self.failed_at.pop(secret, None)
        self.failed_at[secret] = now
        if len(self.failed_at) > MAX_NAMES:
            del self.failed_at[next(iter(self.failed_at))]

    def _take_back(self, token: str) -> None:
        if token in self.overdue:
            self.overdue.remove(token)
            self.lost = max(0, self.lost - 1)
        self.out.pop(token, None)

    def _count_lost(self, now: float, budget: int) -> None:
        self.lost += 1
        if self.is_used_up_by_refusals and not self._is_blocked(now):
            self._block(self.block_seconds, now)  # the retry after a block brought no verdict
        else:
            self._block_after_loss(budget, now)

    def _block_after_loss(self, budget: int, now: float) -> None:
        """Begin a block if the budget is used up, and not by refusals alone."""
        if self.lost and self.budget_used >= budget and not self._is_blocked(now):
            self._block(LOST_BLOCK_SECONDS[min(self.lost_blocks, len(LOST_BLOCK_SECONDS) - 1)], now)
            self.lost_blocks += 1

    def _is_blocked(self, now: float) -> bool:
        """Whether a block runs; not if it seems to last longer than its length (the clock was set back)."""
        return 0 < self.blocked_until - now <= self.block_seconds + CLOCK_SLACK_SECONDS

    def _block(self, seconds: float, now: float) -> None:
        self.block_seconds, self.blocked_until = seconds, now + seconds


def format_record(record: AccountRecord) -> Fields:
    """Return the fields to store; empty for a record in which nothing is used."""
    return _fields_of(record) if record != AccountRecord() else {}


def _fields_of(record: AccountRecord) -> Fields:
    """Return all fields, lists and dicts copied: faster than `asdict`, and done many times per login."""
    return {
        name: value.copy() if isinstance(value, list | dict) else value
        for name, value in vars(record).items()
    }


def parse_record(fields: Mapping[str, object]) -> AccountRecord:
    """Return the record of stored fields; fields of a wrong type (an edited file) count as missing."""
    record = AccountRecord()
    for name, default in _fields_of(record).items():
        value = fields.get(name)
        if isinstance(default, str):
            setattr(record, name, value if isinstance(value, str) else default)
        elif isinstance(default, int | float) and isinstance(value, int | float) and _is_number(value):
            setattr(record, name, type(default)(value))
    record.out, record.failed_at = _times(fields.get("out")), _times(fields.get("failed_at"))
    for name in ("tried", "overdue", "stale"):
        setattr(record, name, _names(fields.get(name)))
    record.block_seconds = min(record.block_seconds, MAX_BLOCK_SECONDS)
    return record


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and 0 <= value < MAX_NUMBER  # not NaN either


def _times(value: object) -> dict[str, float]:
    named = list(value.items())[-MAX_NAMES:] if isinstance(value, dict) else []
    return {str(name): float(at) for name, at in named if _is_number(at)}


def _names(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str)][-MAX_NAMES:] if isinstance(value, list) else []
