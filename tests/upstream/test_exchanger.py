"""Verdicts on tokens: Px counts each one, even if the request with the token ends early."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from px.system.state.file_lock import FileLock
from px.system.state.lockout_file import LOCKOUT_NAME, LockoutFile
from tests.proxy.running_px import RunningPx, as_user, get, running_px
from tests.scripted_upstream import ScriptedUpstream, Wire, answer, answer_negotiate, login_required, until

URL = b"http://origin.test/"
_PARTIAL = get(URL, b"Content-Length: 100", method=b"POST") + b"0123456789"


class Refusing:
    """An upstream that refuses every NTLM login, or leaves the verdict to `judge`."""

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
    """Wait until Px serves no client and waits for no verdict."""
    await until(lambda: not px.px._listener._sessions)
    exchanger = px.px._listener._service.forwarder._exchanger
    await until(lambda: not exchanger.settling)


async def test_px_counts_the_refusal_of_an_upload_aborted_after_the_token() -> None:
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


async def test_px_counts_the_refusal_of_an_upload_with_a_malformed_body() -> None:
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
async def test_broken_verdicts_count_as_verdicts(said: bytes) -> None:
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


async def test_aborted_uploads_do_not_block_a_right_password() -> None:
    """Each leaves the secret uncertain for a moment; a verification settles that."""

    async def play(wire: Wire) -> None:
        with contextlib.suppress(AssertionError, OSError):
            while True:
                head = await wire.read_head()
                if b"Proxy-Authorization" in head:
                    await answer_negotiate(wire, head)
                    head = await wire.read_head()
                    if head.startswith(b"POST"):  # the upstream waits for the body
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


async def test_px_counts_the_login_of_a_client_that_leaves_a_kept_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("px.downstream.session.HANG_UP_SECONDS", 0.0)
    got_token, release = asyncio.Event(), asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.read_head()
        await wire.send(answer())  # this site needs no login
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


async def test_a_refusal_reaches_its_client_while_another_process_locks_the_lockout_file(
    tmp_path: Path,
) -> None:
    """Px serves all other clients meanwhile: the event loop does not wait for the lock."""
    refusing = Refusing()
    holder = FileLock((tmp_path / LOCKOUT_NAME).with_suffix(".lock"))
    async with ScriptedUpstream(*[refusing.play] * 4) as upstream:
        async with running_px(upstream, state=tmp_path, **as_user("wrong")) as px:
            assert holder.try_acquire()
            assert b" 502 " in (await px.get(URL))[0]
            memory = px.px._hops.guard._store
            assert isinstance(memory, LockoutFile)
            assert memory.writing is not None  # the refusal is not in the file yet
            holder.release()
            await memory.writing
            assert LockoutFile(tmp_path / LOCKOUT_NAME).list_keys()
        upstream._scripts[upstream.connections :] = []
