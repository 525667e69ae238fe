"""Gets the Kerberos tickets of the option ``kerberos`` when Px starts, and renews them before they expire.

A refused password is charged to the account, as everywhere (`px.core.login.lockout`), and the renewal does
not try it again. The next request tries the password when the budget allows that. After a request has got a
ticket, the renewal goes on.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from px.core.errors import LoginError, LoginRefusedError
from px.core.login.gate import GatedLogin
from px.core.login.method import Method

if TYPE_CHECKING:
    from px.core.auth.token_source import OwnTicket, TokenSource
    from px.core.login.gate import LoginGate
    from px.core.login.lockout import LockoutGuard

_LOGGER = logging.getLogger("px.kerberos")
_Result = TypeVar("_Result")

#: How often Px checks if a ticket is due. One long timer would be late on a computer that was asleep.
TICK_SECONDS = 1.0
#: How long Px waits before it asks an unreachable KDC again.
RETRY_SECONDS = 30.0
_KDC = "The Kerberos KDC"


async def ask_kdc(
    source: TokenSource, guard: LockoutGuard, gate: LoginGate, ask: Callable[[], Awaitable[_Result]]
) -> _Result:
    """Return the result of a call that may send a password to a KDC; a refusal is charged to the account.

    Args:
        source: Of the identity.
        guard: The lock-out memory.
        gate: Of the identity.
        ask: The call.

    Raises:
        LoginError: The KDC refused the password or does not answer, or Px may not ask it now.
    """
    try:
        while not gate.is_inside:  # wait while the verdict on another login may tell if the password is right
            await gate.enter(GatedLogin.for_source(guard, source))
            guard.check(source, gate.charge)
        return await ask()
    except LoginRefusedError:
        guard.receive_refusal(source, _KDC, Method.KERBEROS.value, gate.spend())
        raise
    finally:
        gate.leave()


class TicketRenewal:
    """Renews the ticket of one identity; `state` is for people.

    Args:
        source: Has an `own_ticket`.
        hosts: Of the upstreams that the ticket is for; the caller may add more.
        guard: The lock-out memory.
        gate: Of the identity.
        wall_clock: Seconds since the epoch.
    """

    def __init__(
        self,
        source: TokenSource,
        hosts: Collection[str],
        guard: LockoutGuard,
        gate: LoginGate,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        assert source.own_ticket is not None  # noqa: S101 - the caller has checked that
        self._ticket: OwnTicket = source.own_ticket
        self._source = source
        self._hosts = hosts
        self._guard = guard
        self._gate = gate
        self._wall_clock = wall_clock
        self._try_at = 0.0
        #: `OwnTicket.renew_at` when the password was refused. While it stays, the renewal does not try again.
        self._refused_at: tuple[float | None] | None = None
        self.state = "no Kerberos ticket yet"

    async def run(self) -> None:
        """Get the ticket now, and renew it until cancelled."""
        while True:
            await self.renew_if_due()
            await asyncio.sleep(TICK_SECONDS)

    async def renew_if_due(self) -> None:
        """Get a ticket if it is time to try."""
        if self._is_due():
            await self._renew()

    def _is_due(self) -> bool:
        renew_at = self._ticket.renew_at
        is_refused = self._refused_at == (renew_at,)
        return not is_refused and max(self._try_at, renew_at or 0.0) <= self._wall_clock()

    async def _renew(self) -> None:
        self._try_at = self._wall_clock() + RETRY_SECONDS
        renew = partial(self._ticket.renew, sorted(self._hosts))
        try:
            name = await ask_kdc(self._source, self._guard, self._gate, renew)
        except LoginRefusedError as error:
            self._refused_at = (self._ticket.renew_at,)
            self._note_failure(error)
        except LoginError as error:
            self._note_failure(error)
        else:
            self._note(name)

    def _note(self, name: str) -> None:
        self._try_at, self._refused_at = 0.0, None
        renew_at = time.strftime("%H:%M:%S", time.localtime(self._ticket.renew_at))
        self.state = f"Kerberos ticket of {name}, to be renewed at {renew_at}"
        _LOGGER.info("%s", self.state)

    def _note_failure(self, error: LoginError) -> None:
        state = f"no new Kerberos ticket: {error.cause}."
        self.state = f"{state} {error.hint}".rstrip()
        _LOGGER.warning("%s", state, extra={"hint": error.hint})

    def __repr__(self) -> str:
        return f"<TicketRenewal {self._source.identity.name}: {self.state}>"
