"""Kerberos tickets of Px's own, got at its start and renewed before they expire: the option ``kerberos``.

A refused password counts, as everywhere (`px.core.lockout`), and is not tried again here: whether and when
it is worth another try is for the next request to find out. Once one has got a ticket, that is renewed again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from px.core.errors import LoginError, LoginRefusedError
from px.core.login_parts import Doubt
from px.core.upstream_login import Method

if TYPE_CHECKING:
    from px.core.lockout import LockoutGuard
    from px.core.login_parts import LoginTurn
    from px.core.token_source import OwnTicket, TokenSource

_LOGGER = logging.getLogger("px.kerberos")

#: How often it is looked whether a ticket is due: a computer that was asleep has not noticed the time.
TICK_SECONDS = 1.0
#: When a KDC that could not be asked is asked again.
RETRY_SECONDS = 30.0
_KDC = "The Kerberos KDC"


class TicketRenewal:
    """Renews the ticket of one identity; `state` is for people.

    Args:
        source: Has an `own_ticket`.
        hosts: Of the upstreams that it is for; more may be added.
        guard: The lock-out memory.
        turn: Of the identity.
        wall_clock: Seconds since the epoch.
    """

    def __init__(
        self,
        source: TokenSource,
        hosts: Collection[str],
        guard: LockoutGuard,
        turn: LoginTurn,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        assert source.own_ticket is not None  # noqa: S101 - the caller looked
        self._ticket: OwnTicket = source.own_ticket
        self._source = source
        self._hosts = hosts
        self._guard = guard
        self._turn = turn
        self._wall_clock = wall_clock
        self._try_at = 0.0
        #: `OwnTicket.renew_at` when the password was refused: as long as it stays, it is not tried again.
        self._refused_at: tuple[float | None] | None = None
        self.state = "no Kerberos ticket yet"

    async def run(self) -> None:
        """Get the ticket now, and renew it for ever."""
        while True:
            await self.renew_if_due()
            await asyncio.sleep(TICK_SECONDS)

    async def renew_if_due(self) -> None:
        """Get the ticket, or a new one, if it is time to try."""
        if self._is_due():
            await self._renew()

    def _is_due(self) -> bool:
        renew_at = self._ticket.renew_at
        is_refused = self._refused_at == (renew_at,)
        return not is_refused and max(self._try_at, renew_at or 0.0) <= self._wall_clock()

    async def _renew(self) -> None:
        self._try_at = self._wall_clock() + RETRY_SECONDS
        try:
            await self._take_turn()
            self._guard.check(self._source)
            name = await self._ticket.renew(sorted(self._hosts))
        except LoginRefusedError as error:
            self._refused_at = (self._ticket.renew_at,)
            self._guard.receive_refusal(self._source, _KDC, Method.KERBEROS.value)
            self._note_failure(error)
        except LoginError as error:
            self._note_failure(error)
        else:
            self._note(name)
        finally:
            self._turn.give_back()

    async def _take_turn(self) -> None:
        """Wait while another login may tell whether the password is good."""
        if not self._guard.is_proven(self._source):
            await self._turn.take(Doubt.about(self._guard, self._source, _KDC))

    def _note(self, name: str) -> None:
        self._try_at, self._refused_at = 0.0, None
        renew_at = time.strftime("%H:%M:%S", time.localtime(self._ticket.renew_at))
        self.state = f"Kerberos ticket of {name}, to be renewed at {renew_at}"
        _LOGGER.info("%s", self.state)

    def _note_failure(self, error: LoginError) -> None:
        state = f"no new Kerberos ticket: {error.cause}. {error.mend}".rstrip()
        if state != self.state:
            self.state = state
            _LOGGER.warning("%s", state)

    def __repr__(self) -> str:
        return f"<TicketRenewal {self._source.identity.name}: {self.state}>"
