"""Verdicts on tokens: none goes uncounted, whatever becomes of the request that carried the token."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import pytest

from tests.net.running_px import RunningPx, as_user, get, running_px
from tests.scripted_upstream import ScriptedUpstream, Wire, answer, answer_negotiate, login_required, until

URL = b"http://origin.test/"
_PARTIAL = get(URL, b"Content-Length: 100", method=b"POST") + b"0123456789"


class Refusing:
    """An upstream that refuses every NTLM login, or lets the verdict be made by `judge`."""

    def __init__(self, judge: Callable[[Wire], object] | None = None) -> None:
        self.tokens = 0
        self._judge = judge

    async def play(self, wire: Wire) -> None:
        with contextlib.suppress(AssertionError, OSError):
            while True:
                head = await wire.read_head()
                if b"Proxy-Authorization" not in head:
                    await wire.send(login_required(b"NTLM"))
                    continue
                await answer_negotiate(wire, head)
                await wire.read_head()
                self.tokens += 1
                if self._judge is not None:
                    self._judge(wire)
                    return
                await wire.send(login_required(b"NTLM"))


async def _settled(px: RunningPx) -> None:
    """Wait until no client is served and no verdict outstanding."""
    await until(lambda: not px.px._listener._sessions)
    exchanger = px.px._listener._service.outbound._exchanger
    await until(lambda: not exchanger.settling)


async def test_an_upload_given_up_after_the_token_does_not_make_its_refusal_uncounted() -> None:
    refusing = Refusing()
    async with ScriptedUpstream(*[refusing.play] * 40) as upstream:
        async with running_px(upstream, **as_user("wrong")) as px:
            for _ in range(10):
                client = await px.connect()
                await client.send(_PARTIAL)
                client.half_close()
                await client.read_to_end()
                client.close()
                await _settled(px)
            assert refusing.tokens == 2
            head, body = await px.get(URL)
            assert b" 502 " in head
            assert b"no more logins" in body
        upstream._scripts[upstream.connections :] = []


async def test_a_malformed_body_after_the_token_does_not_make_its_refusal_uncounted() -> None:
    refusing = Refusing()
    bad = get(URL, b"Transfer-Encoding: chunked", method=b"POST") + b"5\r\nhello\r\nnonsense\r\n"
    async with ScriptedUpstream(*[refusing.play] * 40) as upstream:
        async with running_px(upstream, **as_user("wrong")) as px:
            for _ in range(6):
                client = await px.connect()
                await client.send(bad[:-12])
                await asyncio.sleep(0)
                await client.send(bad[-12:])
                await client.read_to_end()
                client.close()
                await _settled(px)
            assert refusing.tokens <= 2
        upstream._scripts[upstream.connections :] = []


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 4"], ids=["nothing", "half a status line"])
async def test_a_verdict_that_is_broken_off_again_and_again_is_one(said: bytes) -> None:
    def break_off(wire: Wire) -> None:
        wire.sock.send(said)

    refusing = Refusing(break_off)
    async with ScriptedUpstream(*[refusing.play] * 60) as upstream:
        async with running_px(upstream, **as_user("wrong")) as px:
            for _ in range(12):
                client = await px.connect()
                await client.send(get(URL, b"Content-Length: 4", method=b"POST") + b"body")
                assert b" 502 " in (await client.read_answer())[0]
                client.close()
                await _settled(px)
            assert refusing.tokens <= 5
            assert b"no more logins" in (await px.get(URL))[1]
        upstream._scripts[upstream.connections :] = []


async def test_a_right_password_is_not_blocked_by_uploads_given_up() -> None:
    """Each leaves the secret in doubt for a moment; a login for no site settles that."""

    async def play(wire: Wire) -> None:
        with contextlib.suppress(AssertionError, OSError):
            while True:
                head = await wire.read_head()
                if b"Proxy-Authorization" in head:
                    await answer_negotiate(wire, head)
                    head = await wire.read_head()
                    if head.startswith(b"POST"):  # it waits for the body
                        await wire.expect_cut()
                        return
                    await wire.send(answer())
                    return
                await wire.send(login_required(b"NTLM"))

    async with ScriptedUpstream(*[play] * 60) as upstream:
        async with running_px(upstream, **as_user(), socktimeout=0.3) as px:
            for _ in range(6):
                client = await px.connect()
                await client.send(_PARTIAL)
                client.half_close()
                await client.read_to_end()
                client.close()
                await _settled(px)
            assert b" 200 " in (await px.get(URL))[0]
        upstream._scripts[upstream.connections :] = []


async def test_a_client_that_leaves_a_kept_connection_in_the_middle_of_a_login_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("px.net.session.HANG_UP_SECONDS", 0.0)
    got_token, release = asyncio.Event(), asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.read_head()
        await wire.send(answer())  # this site is open to all
        await wire.read_head()
        await wire.send(login_required(b"NTLM"))
        await answer_negotiate(wire, await wire.read_head())
        await wire.read_head()
        got_token.set()
        await release.wait()
        await wire.send(login_required(b"NTLM"))

    async with ScriptedUpstream(script) as upstream, running_px(upstream, **as_user("wrong")) as px:
        assert b" 200 " in (await px.get(URL))[0]
        px.close_clients()
        client = await px.connect()
        await client.send(get(b"http://closed.test/"))
        await got_token.wait()
        client.reset()
        await until(lambda: not px.px._listener._sessions)
        release.set()
        (hop,) = px.px._hops.known.values()
        assert hop.login is not None
        source = hop.login.source
        await until(lambda: px.px._hops.guard.refused_method(source))
