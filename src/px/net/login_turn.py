"""One login at a time while a secret is unproven: a wrong password costs one try, not one a request.

What is in flight is counted over all processes of the user: a login holds a slot (`px.core.login_parts`),
and there are as many slots as an account bears refusals. Nothing tells when another process frees one, so
who is first in the queue looks again and again; only while the secret is unproven, and only one of a process.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence

from px.core.errors import LoginBlockedError
from px.core.login_parts import Doubt, LoginSlot

#: How long a secret that has logged in before waits for the verdict on its first login after a while.
KNOWN_SECONDS = 1.0
#: Soon: the verdict that is waited for may come at any moment.
RETRY_AFTER_SECONDS = 1
#: How often it is looked for a slot that another process has: at first, and later.
FIRST_POLL_SECONDS = 0.005
LAST_POLL_SECONDS = 0.1
_SLOWDOWN = 1.5

_LOGGER = logging.getLogger("px.login")


def say_waiting() -> LoginBlockedError:
    """Return the error for a login that must wait for the verdict on another one."""
    return LoginBlockedError(
        "Px waits for the upstream's verdict on another login with the same password,"
        " and sends no more before it, so that the account is not locked.",
        "Try again in a moment.",
        retry_after=RETRY_AFTER_SECONDS,
    )


class LoginTurns:
    """Hands out turns, per identity.

    A verdict may be long in coming: the first request of the day may go to a site that does not answer. Who
    has waited for `timeout_seconds`, or a moment if the secret was good a while ago, goes all the same, but
    only as long as all logins in flight, were they refused together, would not be too many for the account.
    Others wait for `timeout_seconds` more, and are told then.

    Args:
        timeout_seconds: How long to wait for the verdict on another login.
        make_slots: Returns the slots of an identity by its key, the same for all processes.
    """

    def __init__(self, timeout_seconds: float, make_slots: Callable[[str], Sequence[LoginSlot]]) -> None:
        self._timeout_seconds = timeout_seconds
        self._make_slots = make_slots
        self._gates: dict[str, _Gate] = {}

    def for_identity(self, identity_key: str) -> _Turn:
        """Return a turn of an identity, not yet taken."""
        if identity_key not in self._gates:
            self._gates[identity_key] = _Gate(self._make_slots(identity_key))
        return _Turn(self._gates[identity_key], self._timeout_seconds)

    def __repr__(self) -> str:
        return f"<LoginTurns {self._gates}>"


class _Place:
    """A slot as seen from this process, which has it or not.

    Where there are no locks (a directory that cannot be written), it is of this process alone.
    """

    def __init__(self, slot: LoginSlot) -> None:
        self.slot = slot
        self.is_taken = False
        #: No other login was in flight when it was taken.
        self.is_alone = False

    def take(self) -> bool:
        """Take the slot if it is free, and return whether it was."""
        if self.is_taken:
            return False
        try:
            self.is_taken = self.slot.try_acquire()
        except OSError as error:
            _LOGGER.debug("logins of other processes are not seen: %s", error)
            self.is_taken = True
        return self.is_taken

    def leave(self) -> None:
        """Free it."""
        self.is_taken = False
        self.slot.release()


class _Gate:
    """The logins of one identity in flight, and who waits: those who wait for all, and those for any slot."""

    def __init__(self, slots: Sequence[LoginSlot]) -> None:
        self._places = [_Place(slot) for slot in slots]
        self._left = asyncio.Event()
        self.first_queue, self.late_queue = asyncio.Lock(), asyncio.Lock()

    def enter(self, allowed: Callable[[], int]) -> _Place | None:
        """Go if fewer than `allowed` are in flight.

        Two processes that look at the same moment may both see too many, and look again; never too few.
        """
        if self._count_taken() >= allowed():
            return None
        mine = [place for place in self._places if place.take()]
        others = len(self._places) - len(mine)
        entered = None
        try:
            # Asked once more: whoever has left a slot before it was looked at had told what came of it.
            if mine and others < allowed():
                entered = mine[0]
                entered.is_alone = others == 0
        finally:
            for place in mine:
                if place is not entered:
                    place.leave()
        return entered

    def leave(self, place: _Place) -> None:
        """A login is no longer in flight."""
        place.leave()
        self._left.set()
        self._left.clear()

    async def wait(self, seconds: float) -> None:
        """Wait until a login of this process has left, for so long at the most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._left.wait()

    def _count_taken(self) -> int:
        return sum(place.is_taken for place in self._places)

    def __repr__(self) -> str:
        return f"<in flight {self._count_taken()} of {len(self._places)}>"


class _Turn:
    """Implements `px.core.login_parts.LoginTurn`."""

    def __init__(self, gate: _Gate, timeout_seconds: float) -> None:
        self._gate = gate
        self._timeout_seconds = timeout_seconds
        self._place: _Place | None = None

    async def take(self, doubt: Doubt) -> bool:
        """Wait for the turn; see `LoginTurns`."""
        self.give_back()
        gate, seconds = self._gate, self._timeout_seconds
        patience = min(seconds, KNOWN_SECONDS) if doubt.is_known_good else seconds
        is_in_time = not doubt.is_verification and await self._wait(
            gate.first_queue, doubt, lambda: 1, patience
        )
        if not (is_in_time or await self._wait(gate.late_queue, doubt, doubt.refusals_left, seconds)):
            raise say_waiting()
        return self._place is None or self._place.is_alone

    async def _wait(
        self, queue: asyncio.Lock, doubt: Doubt, allowed: Callable[[], int], seconds: float
    ) -> bool:
        """Wait until fewer than `allowed` are in flight or the doubt is settled; return whether that came."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), queue:
                pause = FIRST_POLL_SECONDS
                while not doubt.is_settled():
                    if self._enter(doubt, allowed):
                        return True
                    await self._gate.wait(pause)
                    pause = min(pause * _SLOWDOWN, LAST_POLL_SECONDS)
                return True
        return False

    def _enter(self, doubt: Doubt, allowed: Callable[[], int]) -> bool:
        self._place = self._gate.enter(allowed)
        if self._place is not None and self._place.slot.begin():
            doubt.receive_no_verdict()
        return self._place is not None

    def give_back(self) -> None:
        """Let the next one pass."""
        if self._place is not None:
            place, self._place = self._place, None
            self._gate.leave(place)
