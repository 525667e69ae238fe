"""One login at a time while a secret is unproven: a wrong password costs one try, not one a request."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from px.core.errors import LoginBlockedError

#: How long a secret that has logged in before waits for the verdict on its first login after a while.
KNOWN_SECONDS = 1.0
#: Soon: the verdict that is waited for may come at any moment.
RETRY_AFTER_SECONDS = 1


class LoginTurns:
    """Hands out turns, per identity.

    A verdict may be long in coming: the first request of the day may go to a site that does not answer. Who
    has waited for `timeout_seconds` goes all the same, but only as long as all logins in flight, were they
    refused together, would not be too many for the account. Others wait as long again, and are told then.
    For a secret that was good a while ago, the wait is short and ends with going.

    Args:
        timeout_seconds: How long to wait for the verdict on another login.
    """

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._gates: dict[str, _Gate] = {}

    def for_identity(self, identity_key: str) -> _Turn:
        """Return a turn of an identity, not yet taken."""
        return _Turn(self._gates.setdefault(identity_key, _Gate()), self._timeout_seconds)

    def __repr__(self) -> str:
        return f"<LoginTurns {self._gates}>"


class _Gate:
    """How many logins of one identity are in flight, and who waits."""

    def __init__(self) -> None:
        self.in_flight = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def enter(self, allowed: int) -> bool:
        """Go if fewer than `allowed` are in flight."""
        if self.in_flight >= allowed:
            return False
        self.in_flight += 1
        return True

    async def wait(self, timeout_seconds: float) -> bool:
        """Wait until it is this one's turn, which it has then; return whether it came in time."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(timeout_seconds):
                await waiter
        except TimeoutError:
            return waiter.done() and not waiter.cancelled()
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.leave()  # it was handed over just now
            raise
        finally:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
        return True

    def leave(self) -> None:
        """A login is no longer in flight; with none left, hand over to who waits longest."""
        self.in_flight -= 1
        while not self.in_flight and self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                self.in_flight += 1
                waiter.set_result(None)

    def __repr__(self) -> str:
        return f"<in flight {self.in_flight}, waiting {len(self._waiting)}>"


class _Turn:
    """Implements `px.core.upstream_auth.LoginTurn`."""

    def __init__(self, gate: _Gate, timeout_seconds: float) -> None:
        self._gate = gate
        self._timeout_seconds = timeout_seconds
        self._is_taken = False

    async def take(self, refusals_left: Callable[[], int], *, is_known_good: bool) -> None:
        """Wait for the turn; see `LoginTurns`."""
        self.give_back()
        gate, seconds = self._gate, self._timeout_seconds
        if is_known_good:
            self._is_taken = gate.enter(1) or await gate.wait(min(seconds, KNOWN_SECONDS))
            return
        is_mine = gate.enter(1) or await gate.wait(seconds) or gate.enter(refusals_left())
        if not (is_mine or await gate.wait(seconds)):
            raise LoginBlockedError(
                "Px waits for the upstream's verdict on another login with the same password,"
                " and sends no more before it, so that the account is not locked.",
                "Try again in a moment.",
                retry_after=RETRY_AFTER_SECONDS,
            )
        self._is_taken = True

    def give_back(self) -> None:
        """Let the next one pass."""
        if self._is_taken:
            self._is_taken = False
            self._gate.leave()
