"""Passwords of SOCKS upstreams: what the lock-out memory records, and when Px sends none."""

from __future__ import annotations

import asyncio

import pytest

from px.core.errors import UnreachableError, UpstreamSilentError
from px.core.login.lockout import LockoutGuard
from px.core.rules.route import parse_upstreams
from px.core.socks.login import SocksLogin
from px.core.socks.messages import SocksLoginError
from tests.core.login.test_attempt import Gate, Memory, Source

REFUSED = SocksLoginError("refused")


class Bench:
    """One SOCKS upstream, and its verdict on a password."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.source, self.gate, self.memory = Source(), Gate(), Memory()
        self.guard = LockoutGuard(self.memory, lambda: self.now)
        (upstream,) = parse_upstreams("socks5://user:pw@up")
        self.login = SocksLogin(upstream, self.source, self.guard, lambda: self.gate)
        self.sent = 0

    async def log_in(self, verdict: bytes | BaseException) -> bytes:
        async def send() -> bytes:
            self.sent += 1
            assert self.gate.entered == self.gate.left + 1, "it has entered the gate"
            if isinstance(verdict, bytes):
                return verdict
            raise verdict

        left = self.gate.left
        try:
            return await self.login.log_in(send)
        finally:
            assert self.gate.left == left + 1


async def test_an_accepted_password_is_verified() -> None:
    bench = Bench()
    assert await bench.log_in(b"request") == b"request"
    assert bench.guard.is_accepted_lately(bench.source)
    assert bench.guard.acceptances == 1


async def test_two_refusals_and_no_more_passwords() -> None:
    bench = Bench()
    for _ in range(2):
        with pytest.raises(SocksLoginError, match="refused"):
            await bench.log_in(REFUSED)
    with pytest.raises(SocksLoginError, match=r"The upstream socks5://up:1080 refused .* 2 times") as caught:
        await bench.log_in(b"request")
    assert (bench.sent, bench.guard.refusals) == (2, 2)
    assert caught.value.retry_after
    assert caught.value.status == 502


async def test_a_password_that_was_refused_while_it_waited_is_not_sent() -> None:
    bench = Bench()

    def refuse_others() -> None:
        for _ in range(2):
            bench.guard.receive_refusal(bench.source, "The upstream http://up:8080", "NTLM")

    bench.gate.meanwhile = refuse_others
    with pytest.raises(SocksLoginError, match="The upstream http://up:8080 refused"):
        await bench.log_in(b"request")
    assert bench.sent == 0


async def test_two_drops_make_a_block() -> None:
    bench = Bench()
    for _ in range(2):
        with pytest.raises(UnreachableError, match="closed"):
            await bench.log_in(UnreachableError("closed"))
        assert bench.guard.budget_used(bench.source) > 0
    assert "neither accepted nor refused 2 logins" in bench.guard.describe_block(bench.source)
    bench.guard.allow_retry()
    assert await bench.log_in(b"request") == b"request"
    assert bench.guard.budget_used(bench.source) == 0


@pytest.mark.parametrize("end", [UpstreamSilentError("silent"), asyncio.CancelledError()])
async def test_a_missing_verdict_leaves_the_login_uncertain(end: BaseException) -> None:
    bench = Bench()
    with pytest.raises(type(end)):
        await bench.log_in(end)
    assert bench.guard.budget_used(bench.source) > 0
    assert bench.guard.refusals == 0
    assert bench.gate.left == 1
