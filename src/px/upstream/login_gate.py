"""One login at a time until a secret is accepted: a wrong password costs one refusal, not one per request.

A token that is sent is charged to the account in the lock-out memory, which all processes of the user share
(`px.core.login.token_budget`). No process learns by itself that another one has a verdict. So the first login
that waits reads the memory again and again, but only one login of each process does so.

A login is *inside* from the moment when the gate lets it through until it leaves, and *settled* once its
secret is known to be right, although its own verdict may still come.

Even a secret that was accepted a moment ago may have been changed at the directory since. So a login goes
without a charge only if its secret was just accepted, in the same process, and no other login of this process
is inside. If the secret is changed at that very moment, the directory refuses one such login of each worker,
and the two that may be charged then. All other logins are charged, and wait for the verdict on the one
without a charge if the secret was refused meanwhile. An acceptance also settles the logins whose final tokens
were sent before the accepted one: the secret was right for them, too. A login that ends without an acceptance
after its final token ends that moment for all. If a secret was accepted lately, a login that is not settled
after `ACCEPTED_LATELY_WAIT_SECONDS` probably waits for a slow origin. The next login then goes as
a verification, whose verdict no origin delays.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time

from px.core.errors import LoginBlockedError
from px.core.login.gate import GatedLogin
from px.core.login.lockout import Charge
from px.core.login.token_budget import REFUSALS_BEFORE_BLOCK

#: How long a login waits for the verdict on an earlier one if the last verdict was an acceptance, long ago.
ACCEPTED_LAST_WAIT_SECONDS = 1.0
#: How long a login waits for the verdicts on earlier ones if its secret was accepted lately.
ACCEPTED_LATELY_WAIT_SECONDS = 0.25
#: How long after an acceptance logins of the same secret need no charge: twice as long as the last verdict
#: took, within these bounds. Short: the secret may be changed meanwhile.
JUST_ACCEPTED_SECONDS, MAX_JUST_ACCEPTED_SECONDS = 0.1, 0.5
#: Short, because the verdict that the client waits for may come at any moment.
RETRY_AFTER_SECONDS = 1
#: The first and the longest pause between two looks for the verdict of another process.
FIRST_POLL_SECONDS = 0.005
LAST_POLL_SECONDS = 0.1
_SLOWDOWN = 1.5


def explain_waiting() -> LoginBlockedError:
    """Return the error for a login that must wait for the verdict on another one."""
    return LoginBlockedError(
        "Px waits for the upstream's verdict on another login with the same password,"
        " and sends no more before it, so that the account is not locked.",
        "Try again in a moment.",
        retry_after=RETRY_AFTER_SECONDS,
    )


class LoginGates:
    """The login gates of all accounts.

    A verdict may take long: the first request of the day may go to a site that does not answer. A login that
    has waited for `timeout_seconds` enters all the same, provided that the account stays unlocked even if the
    upstream refuses every login inside. It waits for `ACCEPTED_LAST_WAIT_SECONDS` only if the last verdict
    was an acceptance, and for `ACCEPTED_LATELY_WAIT_SECONDS` if the secret was accepted lately. Any other
    login waits for `timeout_seconds` more, and then fails.

    Args:
        timeout_seconds: How long to wait for the verdict on another login.
    """

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._accounts: dict[str, _AccountLogins] = {}

    def for_account(self, account: str) -> _Gate:
        """Return the gate for one login of an account; the login has not entered yet."""
        logins = self._accounts.setdefault(account, _AccountLogins())
        return _Gate(logins, self._timeout_seconds)

    def __repr__(self) -> str:
        return f"<LoginGates {self._accounts}>"


class _AccountLogins:
    """The logins of one account in this process: those inside the gate, and those that wait."""

    def __init__(self) -> None:
        self._one_left = asyncio.Event()
        self.first_queue, self.late_queue = asyncio.Lock(), asyncio.Lock()
        #: The logins inside that are not settled, in the order in which they entered.
        self._unsettled: dict[_Gate, None] = {}
        self._just_accepted_until = -math.inf
        self._last_failed_at = -math.inf
        self._sent = 0  # final tokens so far

    def add(self, gate: _Gate) -> None:
        """Note that a login has entered."""
        self._unsettled[gate] = None

    def remove(self, gate: _Gate, *, is_accepted: bool) -> None:
        """Note that a login has left, and wake those that wait."""
        now = time.monotonic()
        if not is_accepted:
            self._last_failed_at = now
            if gate.sent_as:  # refused, or lost: the secret may have been changed
                self._just_accepted_until = -math.inf
        elif gate.entered_at > self._last_failed_at:  # an older token says nothing of the secret of now
            self._settle_before(gate)
            seconds = max(JUST_ACCEPTED_SECONDS, 2 * (now - gate.entered_at))
            self._just_accepted_until = now + min(seconds, MAX_JUST_ACCEPTED_SECONDS)
        self._unsettled.pop(gate, None)
        self._one_left.set()
        self._one_left.clear()

    def count_sent(self) -> int:
        """Return the number of a final token that is sent now; a later one has a higher number."""
        self._sent += 1
        return self._sent

    def _settle_before(self, accepted: _Gate) -> None:
        for gate in list(self._unsettled):
            if 0 < gate.sent_as < accepted.sent_as:
                del self._unsettled[gate]

    @property
    def was_just_accepted(self) -> bool:
        """Whether a login was just accepted."""
        return time.monotonic() < self._just_accepted_until

    @property
    def is_any_slow(self) -> bool:
        """Whether a login is inside whose verdict should have come by now."""
        latest = time.monotonic() - ACCEPTED_LATELY_WAIT_SECONDS
        return any(gate.sent_as and gate.entered_at <= latest for gate in self._unsettled)

    @property
    def awaits_uncharged(self) -> bool:
        """Whether a login without a charge, which no record shows, may get its verdict soon."""
        earliest = time.monotonic() - ACCEPTED_LAST_WAIT_SECONDS
        return any(gate.is_uncharged and gate.entered_at > earliest for gate in self._unsettled)

    @property
    def has_room(self) -> bool:
        """Whether one more login may be inside without a charge."""
        return not self._unsettled

    def seconds_to_wait(self) -> float:
        """Return how much longer the oldest login has to be settled; 0 or less: its time is over."""
        oldest = next(iter(self._unsettled), None)
        return 0.0 if oldest is None else oldest.entered_at + ACCEPTED_LATELY_WAIT_SECONDS - time.monotonic()

    async def wait(self, seconds: float) -> None:
        """Wait until a login of this process has left, but at most this long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._one_left.wait()

    def __repr__(self) -> str:
        return f"<{len(self._unsettled)} inside>"


class _Gate:
    """Implements `px.core.login.gate.LoginGate`."""

    def __init__(self, logins: _AccountLogins, timeout_seconds: float) -> None:
        self._logins = logins
        self._timeout_seconds = timeout_seconds
        self.charge: Charge | None = None
        self._login: GatedLogin | None = None
        self.is_inside = False
        self.entered_at = 0.0
        #: The number of its last final token; 0: it has sent none.
        self.sent_as = 0
        self._is_alone = False
        #: Whether the login has entered without a charge.
        self.is_uncharged = False

    async def enter(self, login: GatedLogin) -> bool:
        """Wait until the login may send a token; see `LoginGates`."""
        self.leave()
        self._login = login
        if await self._wait_for_room(login):
            return True
        logins, seconds = self._logins, self._timeout_seconds
        is_in_time = not login.is_verification and await self._wait(
            logins.first_queue, login, 1, self._first_wait_seconds(login)
        )
        if not (is_in_time or await self._wait(logins.late_queue, login, REFUSALS_BEFORE_BLOCK, seconds)):
            raise explain_waiting()
        return self.charge is None or self._is_alone

    def _first_wait_seconds(self, login: GatedLogin) -> float:
        """Return how long a login waits for the verdict on another one before both may be out."""
        if login.is_accepted_lately():
            return min(self._timeout_seconds, ACCEPTED_LATELY_WAIT_SECONDS)
        if login.was_accepted_last:
            return min(self._timeout_seconds, ACCEPTED_LAST_WAIT_SECONDS)
        return self._timeout_seconds

    async def _wait_for_room(self, login: GatedLogin) -> bool:
        """Wait until the login may go without a charge; False: it needs one."""
        while not (is_inside := self._enter_uncharged(login)) and self._is_room_near(login):
            await self._logins.wait(self._logins.seconds_to_wait())
        return is_inside

    def _enter_uncharged(self, login: GatedLogin) -> bool:
        """Enter if the login needs no charge and there is room."""
        if not (self._needs_no_charge(login) and self._logins.has_room):
            return False
        self._note_inside(is_uncharged=True)
        return True

    def _needs_no_charge(self, login: GatedLogin) -> bool:
        return self._logins.was_just_accepted and login.is_accepted_lately()

    def _is_room_near(self, login: GatedLogin) -> bool:
        """Whether the login had better wait for the verdicts of those inside than be charged."""
        return self._needs_no_charge(login) and self._logins.seconds_to_wait() > 0

    def _may_be_charged(self, login: GatedLogin) -> bool:
        """Whether the login may be charged now.

        Not while verdicts without a charge are due on a secret that was refused: they may be refusals, too.
        """
        if login.is_accepted_lately():
            return not self._is_room_near(login)
        return not self._logins.awaits_uncharged

    async def _wait(self, queue: asyncio.Lock, login: GatedLogin, most_out: int, seconds: float) -> bool:
        """Wait until a token may go, or until none may for now; return False when the time is up."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), queue:
                pause = FIRST_POLL_SECONDS
                while not login.is_over():
                    if self._enter_uncharged(login):
                        return True
                    if self._may_be_charged(login) and (charge := login.charge(most_out)) is not None:
                        self.charge = charge
                        self._is_alone = charge.is_alone and not self._logins.is_any_slow
                        self._note_inside(is_uncharged=False)
                        return True
                    await self._logins.wait(pause)
                    pause = min(pause * _SLOWDOWN, LAST_POLL_SECONDS)
                return True
        return False

    def _note_inside(self, *, is_uncharged: bool) -> None:
        self.is_inside, self.is_uncharged, self.entered_at = True, is_uncharged, time.monotonic()
        self.sent_as = 0
        self._logins.add(self)

    def may_go_on(self) -> bool:
        """Return whether the final token may go now; see `px.core.login.gate.LoginGate`."""
        login = self._login
        if login is None or login.is_over():
            return False
        if self.charge is None:
            return self.is_inside and login.is_accepted_lately()
        if not login.is_charged(self.charge):
            self.charge = login.charge(1)
        return self.charge is not None

    def note_sent(self) -> None:
        """Note that the login sends its final token now."""
        self.sent_as = self._logins.count_sent()
        if self.is_inside:
            self._logins.add(self)  # again, if it was settled: Digest sends another one after a new nonce

    def spend(self) -> Charge | None:
        """Return the charge of the token whose verdict is known now."""
        charge, self.charge = self.charge, None
        return charge

    def leave(self, *, is_accepted: bool = False) -> None:
        """Let the next login enter."""
        charge = self.spend()
        if charge is not None and self._login is not None:
            self._login.release(charge)
        if self.is_inside:
            self.is_inside = False
            self._logins.remove(self, is_accepted=is_accepted)
