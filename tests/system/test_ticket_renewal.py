"""When a ticket is got and renewed, and when it is not tried: with a ticket that is a script."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import cast

import pytest

from px.core.errors import LoginError, LoginRefusedError, LoginUnusableError
from px.core.lockout import BLOCK_SECONDS, LockoutGuard
from px.core.login_parts import Doubt
from px.core.token_source import Identity, TokenSource
from px.net.login_turn import LoginTurns
from px.system import ticket_renewal
from px.system.lockout_file import LockoutFile
from px.system.login_slot import make_login_slots
from px.system.ticket_renewal import RETRY_SECONDS, TicketRenewal
from tests.scripted_upstream import until

LIFE_SECONDS = 600.0
HOSTS = ["a.test", "b.test"]


class Ticket:
    """Implements `OwnTicket`; `failure` is what the KDC says, `asked` which hosts it was asked for."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.renew_at: float | None = None
        self.failure: LoginError | None = None
        self.asked: list[list[str]] = []

    async def renew(self, hosts: Iterable[str]) -> str:
        self.asked.append(list(hosts))
        if self.failure is not None:
            raise self.failure
        self.be_got()
        return "alice@AD.TEST"

    def be_got(self) -> None:
        self.renew_at = self.now + LIFE_SECONDS


class Source:
    identity = Identity("alice", "alice")
    secret_mark = "abc"
    mechanisms = frozenset({"kerberos"})

    def __init__(self) -> None:
        self.own_ticket = Ticket()


class House:
    """A renewal with its ticket, its memory of refusals and the turns of its identity."""

    def __init__(self, state: Path) -> None:
        source = Source()
        self.ticket = source.own_ticket
        self.source = cast("TokenSource", source)
        self.guard = LockoutGuard(LockoutFile(state / "lockout.json"), lambda: self.ticket.now)
        self.turns = LoginTurns(5.0, partial(make_login_slots, state, b"salt", 2))
        turn = self.turns.for_identity("alice")
        self.renewal = TicketRenewal(self.source, HOSTS, self.guard, turn, lambda: self.ticket.now)

    async def after(self, seconds: float) -> int:
        """Let so much time go by and the renewal look at it; return how often the KDC was asked so far."""
        self.ticket.now += seconds
        await self.renewal.renew_if_due()
        return len(self.ticket.asked)


@pytest.fixture
def house(tmp_path):
    return House(tmp_path)


UNREACHABLE = LoginUnusableError("The Kerberos KDC cannot be reached", "Check the network.")
REFUSED = LoginRefusedError("The Kerberos KDC refused the password of alice", "Store the right one.")


async def test_the_ticket_is_got_at_the_start_for_all_hosts_and_then_when_it_is_due(house, caplog):
    caplog.set_level(logging.INFO)
    assert await house.after(0) == 1
    assert house.ticket.asked == [HOSTS]
    assert "Kerberos ticket of alice@AD.TEST" in house.renewal.state
    assert house.renewal.state in caplog.text
    assert await house.after(LIFE_SECONDS - 1) == 1
    assert await house.after(1) == 2


async def test_a_computer_that_slept_renews_at_once(house):
    await house.after(0)
    assert await house.after(100 * LIFE_SECONDS) == 2


async def test_a_kdc_that_cannot_be_asked_is_asked_again_after_a_while(house, caplog):
    house.ticket.failure = UNREACHABLE
    assert await house.after(0) == 1
    assert await house.after(RETRY_SECONDS - 1) == 1
    assert await house.after(1) == 2
    assert caplog.text.count("cannot be reached") == 1
    assert house.guard.is_clear(house.source)
    house.ticket.failure = None
    assert await house.after(RETRY_SECONDS) == 3
    assert "cannot be reached" not in house.renewal.state


async def test_a_refused_password_counts_and_is_not_tried_again(house, caplog):
    house.ticket.failure = REFUSED
    assert await house.after(0) == 1
    assert not house.guard.is_clear(house.source)
    assert house.guard.refused_method(house.source) == "Negotiate (Kerberos)"
    assert "refused the password of alice. Store the right one." in caplog.text
    for _ in range(3):
        assert await house.after(2 * BLOCK_SECONDS) == 1


async def test_after_a_refusal_a_ticket_that_a_request_got_is_renewed_again(house):
    house.ticket.failure = REFUSED
    await house.after(0)
    house.ticket.failure = None
    house.ticket.be_got()
    assert await house.after(LIFE_SECONDS - 1) == 1
    assert await house.after(1) == 2


async def test_a_password_that_was_good_and_is_refused_is_not_tried_again_either(house):
    await house.after(0)
    house.ticket.failure = REFUSED
    assert await house.after(LIFE_SECONDS) == 2
    assert await house.after(2 * BLOCK_SECONDS) == 2


async def test_while_px_holds_back_no_kdc_is_asked(house):
    for _ in range(2):
        house.guard.receive_refusal(house.source, "The upstream", "NTLM")
    assert await house.after(0) == 0
    assert "no more logins" in house.renewal.state
    assert await house.after(BLOCK_SECONDS) == 1


async def test_the_password_is_tried_only_after_the_verdict_on_another_login(house):
    other = house.turns.for_identity("alice")
    doubt = Doubt.about(house.guard, house.source, "The upstream")
    await other.take(doubt)
    renewing = asyncio.create_task(house.renewal.renew_if_due())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert house.ticket.asked == []
    other.give_back()
    await renewing
    assert house.ticket.asked == [HOSTS]
    async with asyncio.timeout(1):  # the turn is given back
        await other.take(doubt)


async def test_it_goes_on_by_itself(house, monkeypatch):
    monkeypatch.setattr(ticket_renewal, "TICK_SECONDS", 0.001)
    running = asyncio.create_task(house.renewal.run())
    await until(lambda: len(house.ticket.asked) == 1)
    house.ticket.now += LIFE_SECONDS
    await until(lambda: len(house.ticket.asked) == 2)
    running.cancel()
    assert repr(house.renewal).startswith("<TicketRenewal alice: Kerberos ticket of alice@AD.TEST")
