"""When a ticket is got and renewed, and when it is not tried: with a ticket that is a script."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import cast

import pytest

from px.core.auth.token_source import Identity, TokenSource
from px.core.errors import LoginError, LoginRefusedError, LoginUnusableError
from px.core.login.gate import GatedLogin
from px.core.login.lockout import LockoutGuard
from px.core.login.token_budget import REFUSAL_BLOCK_SECONDS
from px.system.login import ticket_renewal
from px.system.login.ticket_renewal import RETRY_SECONDS, TicketRenewal
from px.system.state.lockout_file import LockoutFile
from px.upstream.login_gate import LoginGates
from tests.scripted_upstream import until

LIFE_SECONDS = 600.0
HOSTS = ["a.test", "b.test"]


class Ticket:
    """Implements `OwnTicket`; `failure` is the answer of the KDC, `asked` has the hosts of each call."""

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
    secret_place = "PX_PASSWORD"
    mechanisms = frozenset({"kerberos"})

    def __init__(self) -> None:
        self.own_ticket = Ticket()


class House:
    """A renewal with its ticket, its memory of refusals and the login gates of its identity."""

    def __init__(self, state: Path) -> None:
        source = Source()
        self.ticket = source.own_ticket
        self.source = cast("TokenSource", source)
        self.guard = LockoutGuard(LockoutFile(state / "lockout.json"), lambda: self.ticket.now)
        self.login_gates = LoginGates(5.0)
        gate = self.login_gates.for_account("alice")
        self.renewal = TicketRenewal(self.source, HOSTS, self.guard, gate, lambda: self.ticket.now)

    async def after(self, seconds: float) -> int:
        """Advance the clock and run the renewal; return how often the KDC was asked so far."""
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
    assert caplog.text.count("cannot be reached") == 2
    assert house.guard.budget_used(house.source) == 0
    house.ticket.failure = None
    assert await house.after(RETRY_SECONDS) == 3
    assert "cannot be reached" not in house.renewal.state


async def test_a_refused_password_counts_and_is_not_tried_again(house, caplog):
    house.ticket.failure = REFUSED
    assert await house.after(0) == 1
    assert house.guard.budget_used(house.source) > 0
    assert house.guard.refused_method(house.source) == "Negotiate (Kerberos)"
    (warning,) = caplog.records
    assert "refused the password of alice." in warning.getMessage()
    assert warning.hint == "Store the right one."
    for _ in range(3):
        assert await house.after(2 * REFUSAL_BLOCK_SECONDS) == 1


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
    assert await house.after(2 * REFUSAL_BLOCK_SECONDS) == 2


async def test_while_the_account_is_blocked_no_kdc_is_asked(house):
    for _ in range(2):
        house.guard.receive_refusal(house.source, "The upstream", "NTLM")
    assert await house.after(0) == 0
    assert "no more logins" in house.renewal.state
    assert await house.after(REFUSAL_BLOCK_SECONDS) == 1


async def test_the_password_is_tried_only_after_the_verdict_on_another_login(house):
    other = house.login_gates.for_account("alice")
    gated = GatedLogin.for_source(house.guard, house.source)
    await other.enter(gated)
    renewing = asyncio.create_task(house.renewal.renew_if_due())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert house.ticket.asked == []
    other.leave()
    await renewing
    assert house.ticket.asked == [HOSTS]
    async with asyncio.timeout(1):  # the login has left the gate
        await other.enter(gated)


async def test_it_goes_on_by_itself(house, monkeypatch):
    monkeypatch.setattr(ticket_renewal, "TICK_SECONDS", 0.001)
    running = asyncio.create_task(house.renewal.run())
    await until(lambda: len(house.ticket.asked) == 1)
    house.ticket.now += LIFE_SECONDS
    await until(lambda: len(house.ticket.asked) == 2)
    running.cancel()
    assert repr(house.renewal).startswith("<TicketRenewal alice: Kerberos ticket of alice@AD.TEST")
