"""Upstreams that accept few verifications: a right password works, a wrong one costs two logins."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

import pytest

from px.core.login.token_budget import LOST_BLOCK_SECONDS
from tests.proxy.running_px import RunningPx, as_user, connect, get, post, running_px
from tests.scripted_upstream import (
    PASSWORD,
    ScriptedUpstream,
    Wire,
    answer,
    answer_negotiate,
    field_of,
    login_required,
    verify_ntlm,
)

DENIED, GOOD, OTHER = b"http://denied.test/", b"http://good.test/", b"http://other.test/"
SOCKTIMEOUT = 0.8

#: The answer to a request of a verification; b"" drops the connection, None is silence.
ANSWERS: dict[str, bytes | None] = {
    "405": answer(405),
    "403 and closes": answer(403, b"no", b"Connection: close"),
    "400 of HTTP/1.0": b"HTTP/1.0 400 Bad Request\r\n\r\nbad",
    "200": answer(200),
    "302": answer(302, b"", b"Location: http://portal.test/"),
    "500": answer(500),
    "dropped": b"",
    "silence": None,
    "407 without a challenge": login_required(),
    "407 for Basic": login_required(b'Basic realm="x"'),
    "407 for what nobody knows": login_required(b"Bearer"),
    "407 that closes": login_required(b"NTLM", connection=b"close"),
    "no HTTP": b"\x15\x03\x01\x00\x02\x02\x28",
}
#: Beginnings of answers, after which the upstream sends nothing more.
BEGINNINGS = {
    "only a 100": b"HTTP/1.1 100 Continue\r\n\r\n",
    "only a 102": b"HTTP/1.1 102 Processing\r\n\r\n",
    "half a status line": b"HTTP/1.1 40",
    "half a head": b"HTTP/1.1 407 Login\r\nProxy-Authenticate: NTLM\r\n",
    "half a page": b"HTTP/1.1 407 Login\r\nProxy-Authenticate: NTLM\r\nContent-Length: 99\r\n\r\nx",
    "half a page in chunks": b"HTTP/1.1 407 Login\r\nProxy-Authenticate: NTLM\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n4\r\nx",
}
OWN = (b"TRACE ", b"OPTIONS ", b"HEAD ")


class Picky:
    """An upstream for NTLM and one account, which answers some requests of a verification in its own way.

    Attributes:
        odd: The beginnings of these requests.
        said: Its answer to these requests.
        at_token: Whether it asks for a login first and gives this answer to the final token.
        tokens: The number of final tokens so far.
    """

    def __init__(self, said: bytes | None, odd: tuple[bytes, ...] = OWN, *, at_token: bool = False) -> None:
        self.said = said
        self.odd = odd
        self.at_token = at_token
        self.tokens = 0
        self.basic = 0

    async def play(self, wire: Wire) -> None:
        with contextlib.suppress(OSError, AssertionError, TimeoutError):  # Px has closed the connection
            is_in = False
            while True:
                head = await wire.read_head()
                await wire.read_exactly(int(field_of(head, b"content-length") or 0))
                self.basic += b"authorization: Basic" in head
                is_odd = head.startswith(self.odd)
                if is_odd and not self.at_token and not await self._say(wire):
                    return
                if is_odd and not self.at_token:
                    continue
                if not is_in and b"Proxy-Authorization: NTLM" in head:
                    is_in, head = await self._log_in(wire, head)
                    if is_odd and not await self._say(wire):
                        return
                is_in = is_in and b"denied.test" not in head
                await wire.send(answer() if is_in else login_required(b"NTLM"))

    async def _say(self, wire: Wire) -> bool:
        """Send the answer; return whether the connection stays open."""
        if self.said is None:
            await wire.expect_cut()
        elif self.said:
            await wire.send(self.said)
        said = self.said or b""
        if said in BEGINNINGS.values():
            await wire.expect_cut()
        return b"HTTP/1.1" in said and b"close" not in said

    async def _log_in(self, wire: Wire, first: bytes) -> tuple[bool, bytes]:
        challenge = await answer_negotiate(wire, first)
        second = await wire.read_head()
        await wire.read_exactly(int(field_of(second, b"content-length") or 0))
        self.tokens += 1
        try:
            verify_ntlm(first, challenge, second, scheme=b"NTLM")
        except Exception:  # noqa: BLE001 - a wrong password
            return False, second
        return True, second


async def _status(px: RunningPx, url: bytes) -> int:
    head, _ = await px.get(url)
    return int(head.split(b" ")[1])


@contextlib.asynccontextmanager
async def _px_before(picky: Picky, password: str = PASSWORD) -> AsyncIterator[RunningPx]:
    async with ScriptedUpstream(*[picky.play] * 60) as upstream:
        async with running_px(upstream, socktimeout=SOCKTIMEOUT, **as_user(password)) as px:
            yield px
        upstream._scripts[upstream.connections :] = []


@pytest.mark.parametrize("odd", [OWN[:1], OWN[:2], OWN], ids=["TRACE", "and OPTIONS", "and HEAD"])
@pytest.mark.parametrize("said", ANSWERS)
async def test_a_right_password_works_although_the_first_site_is_denied(
    said: str, odd: tuple[bytes, ...]
) -> None:
    picky = Picky(ANSWERS[said], odd)
    async with _px_before(picky) as px:
        assert await _status(px, DENIED) == 502
        assert await _status(px, DENIED) in (403, 502)
        assert await _status(px, GOOD) == 200
        assert await _status(px, OTHER) == 200
        head, _ = await px.get(DENIED)
        assert b" 403 " in head
        assert picky.tokens <= 5
        assert picky.basic == 0


@pytest.mark.parametrize("said", BEGINNINGS)
async def test_a_right_password_works_despite_verifications_with_incomplete_answers(
    said: str,
) -> None:
    picky = Picky(BEGINNINGS[said])
    async with _px_before(picky) as px:
        for _ in range(8):  # each request waits for the verdict for some time, so that a hang fails here
            if await _status(px, GOOD if picky.tokens else DENIED) == 200:
                break
        assert await _status(px, GOOD) == 200
        assert picky.tokens <= 5


@pytest.mark.parametrize("said", ANSWERS)
async def test_a_wrong_password_costs_two_logins_and_is_never_sent_in_clear(said: str) -> None:
    picky = Picky(ANSWERS[said])
    async with _px_before(picky, "wrong") as px:
        for _ in range(3):
            for url in (DENIED, GOOD, OTHER):
                assert await _status(px, url) == 502
        assert b"no more logins" in (await px.get(GOOD))[1]
        assert picky.tokens == 2
        assert picky.basic == 0


@pytest.mark.parametrize("said", ["dropped", "silence", "500", "407 without a challenge"])
async def test_a_right_password_works_at_once_even_if_no_verification_is_possible(said: str) -> None:
    picky = Picky(ANSWERS[said])
    async with _px_before(picky) as px:
        statuses = await asyncio.gather(*(_status(px, GOOD + b"%d" % n) for n in range(12)))
        assert set(statuses) == {200}


@pytest.mark.parametrize("said", ["dropped", "407 without a challenge", "407 for Basic"])
async def test_a_lost_verdict_of_a_verification_does_not_block_the_account_for_long(said: str) -> None:
    """The refusal before and the lost verdict are two tokens: one more goes out after a minute."""
    picky = Picky(ANSWERS[said], at_token=True)
    async with _px_before(picky) as px:
        assert await _status(px, DENIED) == 502
        for _ in range(3):
            assert await _status(px, GOOD) in (200, 502)
        assert picky.tokens <= 3
        assert picky.basic == 0
        guard = px.px._hops.guard
        guard.now = lambda: time.time() + LOST_BLOCK_SECONDS[0] + 1
        assert await _status(px, GOOD) == 200


async def test_px_remembers_which_kind_of_verification_works() -> None:
    picky = Picky(None, OWN[:1])
    async with _px_before(picky) as px:
        for _ in range(3):
            guard = px.px._hops.guard
            (hop,) = px.px._hops.known.values()
            assert hop.login is not None
            guard.receive_refusal(hop.login.source, "The upstream", "NTLM")
            guard._accepted.clear()
            px.px._pool.clear()
            assert await _status(px, GOOD) == 200
            assert (hop.login.verification_index, hop.login.is_verification_known) == (1, True)


# sites that need no login


@pytest.mark.parametrize(
    "request_of",
    [get, lambda url: connect(url.split(b"/")[2] + b":80"), lambda url: post(url, b"body")],
    ids=["GET", "CONNECT", "POST"],
)
async def test_px_sends_no_login_for_a_site_if_the_upstream_answers_no_login_there(
    request_of: Callable[[bytes], bytes],
) -> None:
    logins = 0

    async def play(wire: Wire) -> None:
        nonlocal logins
        with contextlib.suppress(OSError, AssertionError, TimeoutError):
            while True:
                head = await wire.read_head()
                await wire.read_exactly(int(field_of(head, b"content-length") or 0))
                if b"free.test" not in head and b"Proxy-Authorization" not in head:
                    await wire.send(login_required(b"NTLM"))
                    continue
                if b"Proxy-Authorization" in head and b"free.test" in head:
                    logins += 1
                    await wire.expect_cut()
                    return
                if b"Proxy-Authorization" in head:
                    challenge = await answer_negotiate(wire, head)
                    verify_ntlm(head, challenge, await wire.read_head(), scheme=b"NTLM")
                await wire.send(answer(200, b"") if head.startswith(b"HEAD") else answer())

    async with ScriptedUpstream(*[play] * 20) as upstream:
        async with running_px(upstream, socktimeout=4.0, **as_user()) as px:
            assert await _status(px, GOOD) == 200
            px.px._pool.clear()
            for _ in range(3):
                client = await px.connect()
                await client.send(request_of(b"http://free.test/"))
                assert b" 200 " in await client.read_head()
                px.px._pool.clear()
            assert logins == 1
        upstream._scripts[upstream.connections :] = []
