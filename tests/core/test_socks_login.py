"""Passwords of SOCKS upstreams: what the lock-out memory is told, and when none is sent."""

from __future__ import annotations

import asyncio

import pytest

from px.core.errors import UnreachableError, UpstreamSilentError
from px.core.lockout import LockoutGuard
from px.core.route import parse_upstreams
from px.core.socks import SocksLoginError
from px.core.socks_login import SocksLogin
from tests.core.test_upstream_auth import Memory, Source, Turn

REFUSED = SocksLoginError("refused")


class Bench:
    """One SOCKS upstream, and what it says to a password."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.source, self.turn, self.memory = Source(), Turn(), Memory()
        self.guard = LockoutGuard(self.memory, lambda: self.now)
        (upstream,) = parse_upstreams("socks5://user:pw@up")
        self.login = SocksLogin(upstream, self.source, self.guard, lambda: self.turn)
        self.sent = 0

    async def log_in(self, verdict: bytes | BaseException) -> bytes:
        async def send() -> bytes:
            self.sent += 1
            assert self.turn.taken == self.turn.given + 1, "it has its turn"
            if isinstance(verdict, bytes):
                return verdict
            raise verdict

        given = self.turn.given
        try:
            return await self.login.log_in(send)
        finally:
            assert self.turn.given == given + 1


async def test_a_good_password_is_proven() -> None:
    bench = Bench()
    assert await bench.log_in(b"request") == b"request"
    assert bench.guard.is_proven(bench.source)
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

    bench.turn.meanwhile = refuse_others
    with pytest.raises(SocksLoginError, match="The upstream http://up:8080 refused"):
        await bench.log_in(b"request")
    assert bench.sent == 0


async def test_two_drops_count_as_one_refusal() -> None:
    bench = Bench()
    for _ in range(2):
        assert bench.guard.is_clear(bench.source)
        with pytest.raises(UnreachableError, match="closed"):
            await bench.log_in(UnreachableError("closed"))
    assert not bench.guard.is_clear(bench.source)
    assert await bench.log_in(b"request") == b"request"
    assert bench.guard.is_clear(bench.source)


@pytest.mark.parametrize("end", [UpstreamSilentError("silent"), asyncio.CancelledError()])
async def test_a_verdict_that_was_not_seen_leaves_a_doubt(end: BaseException) -> None:
    bench = Bench()
    with pytest.raises(type(end)):
        await bench.log_in(end)
    assert not bench.guard.is_clear(bench.source)
    assert bench.guard.refusals == 0
    assert bench.turn.given == 1
