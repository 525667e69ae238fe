"""Clients that must log in at Px, as wire transcripts: the answers that they get; no login goes upstream."""

from __future__ import annotations

import asyncio
import gc
import re
import sys
from base64 import b64encode
from typing import Any

import pytest

from px.core.auth.challenge import parse_challenges
from px.core.auth.digest import answer_digest, choose_digest
from px.core.auth.ntlm.md4 import nt_hash
from px.core.client_login import digest_verifier
from px.core.secret import Secret
from px.downstream import authenticator
from px.system.client_login import logins
from tests.core.client_login.clients import ntlm_client
from tests.proxy.running_px import RunningPx, connect, get, post, running_px
from tests.scripted_upstream import ScriptedUpstream, Wire, answer, field_of, until

URL = b"http://origin.test/"
USER, PASSWORD = "alice", "clear-Pässword"
BASIC = b"Proxy-Authorization: Basic " + b64encode(f"{USER}:{PASSWORD}".encode())
WRONG = b"Proxy-Authorization: Basic " + b64encode(b"alice:wrong")
CLIENT: dict[str, Any] = {
    "client_auth": "ANY",
    "client_username": USER,
    "client_password": Secret(PASSWORD),
    "client_nosspi": True,
}


@pytest.fixture
def no_delay(monkeypatch):
    monkeypatch.setattr(authenticator, "WRONG_LOGIN_SECONDS", 0)


def plays(*exchanges: tuple[bytes, bytes]):
    """Return a script that expects each request, sends each answer, then expects the end."""

    async def script(wire: Wire) -> None:
        for request, said in exchanges:
            await wire.expect(request)
            await wire.send(said)
        await wire.expect_cut()

    return script


async def send_token(client: Wire, token: bytes | None, request: bytes = get(URL)) -> bytes:
    """Send a request with an NTLM token; return the answer's head."""
    assert token is not None
    line = b"Proxy-Authorization: NTLM " + b64encode(token) + b"\r\n\r\n"
    head, separator, body = request.partition(b"\r\n\r\n")
    assert separator
    await client.send(head + b"\r\n" + line + body)
    head, _ = await client.read_answer()
    return head


def token_of(head: bytes) -> bytes:
    (challenge,) = parse_challenges([field_of(head, b"proxy-authenticate") or b""])
    assert challenge.token is not None
    return challenge.token


async def test_an_unauthenticated_client_gets_a_407_of_px_and_nothing_goes_upstream() -> None:
    async with ScriptedUpstream() as upstream, running_px(upstream, **CLIENT) as px:
        head, body = await px.get(URL)
        assert head.startswith(b"HTTP/1.1 407 Px: log in at this Px\r\n")
        offers = [line for line in head.split(b"\r\n") if line.startswith(b"Proxy-Authenticate: ")]
        assert [offer.split()[1] for offer in offers] == [b"NTLM", b"Digest", b"Digest", b"Basic"]
        assert field_of(head, b"connection") == b"keep-alive"
        assert b"It is not the company's proxy that asks." in body
        assert b"http://USER:PASSWORD@HOST:PORT" in body
        assert b"--client_username" in body
        assert upstream.connections == 0


@pytest.mark.parametrize("method", [b"CONNECT", b"GET", b"HEAD", b"TRACE", b"OPTIONS"])
async def test_requests_of_every_method_need_a_login(method: bytes) -> None:
    target = b"origin.test:443" if method == b"CONNECT" else URL
    async with ScriptedUpstream() as upstream, running_px(upstream, **CLIENT) as px:
        client = await px.connect()
        await client.send(get(target, b"Max-Forwards: 0", method=method))
        head = await client.read_head()
        assert b" 407 " in head
        assert upstream.connections == 0


async def test_px_does_not_forward_a_login_at_px() -> None:
    script = plays((get(URL), answer()))
    async with ScriptedUpstream(script) as upstream, running_px(upstream, **CLIENT) as px:
        client = await px.connect()
        await client.send(get(URL, BASIC))
        await client.expect(answer())
        px.px._pool.clear()


async def test_px_opens_a_tunnel_only_for_a_client_that_logs_in() -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(connect(b"origin.test:443"))
        await wire.send(b"HTTP/1.1 200 OK\r\n\r\n")
        await wire.expect(b"hello")
        await wire.send(b"world")

    async with ScriptedUpstream(script) as upstream, running_px(upstream, **CLIENT) as px:
        client = await px.connect()
        await client.send(connect(b"origin.test:443"))
        head, _ = await client.read_answer()
        assert b" 407 " in head
        await client.send(connect(b"origin.test:443", BASIC))
        await client.expect(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await client.send(b"hello")
        await client.expect(b"world")


async def test_bytes_behind_a_refused_connect_are_not_read_as_a_request() -> None:
    async with ScriptedUpstream() as upstream, running_px(upstream, **CLIENT) as px:
        client = await px.connect()
        await client.send(connect(b"origin.test:443") + get(URL, BASIC))
        head, _ = await client.read_answer()
        assert b" 407 " in head
        assert field_of(head, b"connection") == b"close"
        await client.expect_end()
        assert upstream.connections == 0


@pytest.mark.usefixtures("no_delay")
async def test_a_407_that_refuses_counts_as_an_error_and_a_407_within_a_login_does_not() -> None:
    script = plays((get(URL), answer()))
    async with ScriptedUpstream(script) as upstream, running_px(upstream, **CLIENT) as px:
        counters = px.px._listener._counters
        client, ntlm = await px.connect(), ntlm_client()
        await client.send(get(URL))
        await client.read_answer()
        await send_token(client, ntlm.step(token_of(await send_token(client, ntlm.step()))))
        assert (counters.requests, counters.errors) == (3, 0)
        await px.get(URL, WRONG)
        assert (counters.requests, counters.errors) == (4, 1)
        px.px._pool.clear()


async def test_ntlm_logs_in_one_connection_and_no_other() -> None:
    script = plays((get(URL), answer()), (get(URL), answer(200, b"again")))
    async with ScriptedUpstream(script) as upstream, running_px(upstream, **CLIENT) as px:
        client, ntlm = await px.connect(), ntlm_client()
        head = await send_token(client, ntlm.step())
        assert b" 407 " in head
        assert b" 200 " in await send_token(client, ntlm.step(token_of(head)))
        await client.send(get(URL))
        await client.expect(answer(200, b"again"))
        head, _ = await px.get(URL)
        assert b" 407 " in head
        px.px._pool.clear()


def answer_digest_of(head: bytes, password: str = PASSWORD) -> bytes:
    """Return the field with the answer to a 407's Digest challenge."""
    offers = re.findall(rb"Proxy-Authenticate: (Digest [^\r]*)", head)
    challenge = choose_digest(parse_challenges(offers))
    assert challenge is not None
    return b"Proxy-Authorization: " + answer_digest(
        challenge, method=b"GET", uri=URL, username=USER, password=password, nonce_count=1, cnonce="c"
    )


async def test_px_accepts_a_digest_answer_once_and_calls_a_replay_stale() -> None:
    async with (
        ScriptedUpstream(plays((get(URL), answer()))) as upstream,
        running_px(upstream, **CLIENT) as px,
    ):
        field = answer_digest_of((await px.get(URL))[0])
        assert b" 200 " in (await px.get(URL, field))[0]
        for _ in range(2):
            head, _ = await px.get(URL, field)
            assert b" 407 " in head
            assert b"stale=true" in head
        px.px._pool.clear()


async def test_px_replaces_a_stale_nonce_and_admits_the_client(monkeypatch) -> None:
    monkeypatch.setattr(digest_verifier, "NONCE_SECONDS", 0)
    async with (
        ScriptedUpstream(plays((get(URL), answer()))) as upstream,
        running_px(upstream, **CLIENT) as px,
    ):
        first, _ = await px.get(URL)
        await asyncio.sleep(0.002)  # a nonce contains the time in milliseconds
        stale, _ = await px.get(URL, answer_digest_of(first))
        assert b"stale=true" in stale
        monkeypatch.setattr(digest_verifier, "NONCE_SECONDS", 300)
        assert b" 200 " in (await px.get(URL, answer_digest_of(stale)))[0]
        px.px._pool.clear()


async def test_a_final_token_taken_from_another_connection_is_refused(no_delay) -> None:
    async with (
        ScriptedUpstream(plays((get(URL), answer()))) as upstream,
        running_px(upstream, **CLIENT) as px,
    ):
        victim, thief, ntlm = await px.connect(), await px.connect(), ntlm_client()
        first = ntlm.step()
        proof = ntlm.step(token_of(await send_token(victim, first)))
        await send_token(thief, first)
        assert b" 407 " in await send_token(thief, proof)
        assert b" 200 " in await send_token(victim, proof)
        px.px._pool.clear()


@pytest.mark.parametrize("size", [1, 1000, authenticator.MAX_DISCARDED_BYTES])
@pytest.mark.parametrize("coding", ["length", "chunked", "expected"])
async def test_px_skips_a_small_body_and_keeps_the_connection(coding: str, size: int) -> None:
    body = b"x" * size
    request = post(URL, body)
    if coding == "chunked":
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (size, body)
        request = get(URL, b"Transfer-Encoding: chunked", method=b"POST") + body
    async with (
        ScriptedUpstream(plays((get(URL), answer()))) as upstream,
        running_px(upstream, **CLIENT) as px,
    ):
        client = await px.connect()
        if coding == "expected":
            head = post(URL, body, b"Expect: 100-continue").removesuffix(body)
            await client.send(head)
            await client.expect(b"HTTP/1.1 100 Continue\r\n\r\n")
            await client.send(body)
        else:
            await client.send(request)
        head, _ = await client.read_answer()
        assert b" 407 " in head
        assert field_of(head, b"connection") == b"keep-alive"
        await client.send(get(URL, BASIC))
        await client.expect(answer())
        px.px._pool.clear()


@pytest.mark.parametrize(
    "fields", [(b"Content-Length: 10000000",), (b"Content-Length: 10000000", b"Expect: 100-continue")]
)
async def test_px_closes_the_connection_instead_of_reading_a_large_body(fields: tuple[bytes, ...]) -> None:
    async with ScriptedUpstream() as upstream, running_px(upstream, **CLIENT) as px:
        client = await px.connect()
        await client.send(get(URL, *fields, method=b"POST"))
        head, _ = await client.read_answer()
        assert b" 407 " in head
        assert field_of(head, b"connection") == b"close"
        await client.expect_end()
        assert upstream.connections == 0


async def test_px_gives_up_an_endless_chunked_body() -> None:
    async with ScriptedUpstream() as upstream, running_px(upstream, **CLIENT) as px:
        client = await px.connect()
        await client.send(get(URL, b"Transfer-Encoding: chunked", method=b"POST"))
        piece = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        for _ in range(5):
            await client.send(piece)
        head, _ = await client.read_answer()
        assert b" 407 " in head
        assert field_of(head, b"connection") == b"close"
        assert upstream.connections == 0


async def test_px_waits_a_limited_time_for_a_missing_body(monkeypatch) -> None:
    monkeypatch.setattr(authenticator, "DISCARD_SECONDS", 0.05)
    async with ScriptedUpstream() as upstream, running_px(upstream, **CLIENT) as px:
        client = await px.connect()
        await client.send(get(URL, b"Content-Length: 10", method=b"POST") + b"12345")
        head, _ = await client.read_answer()
        assert b" 407 " in head
        assert field_of(head, b"connection") == b"close"
        assert upstream.connections == 0


async def test_ntlm_with_a_body_in_each_step_forwards_the_last_body() -> None:
    request = post(URL, b"body" * 1000)
    async with ScriptedUpstream(plays((request, answer()))) as upstream, running_px(upstream, **CLIENT) as px:
        client, ntlm = await px.connect(), ntlm_client()
        head = await send_token(client, ntlm.step(), request)
        assert b" 200 " in await send_token(client, ntlm.step(token_of(head)), request)
        px.px._pool.clear()


async def test_px_answers_each_of_several_pipelined_requests() -> None:
    script = plays((get(URL + b"2"), answer(200, b"two")))
    async with ScriptedUpstream(script) as upstream, running_px(upstream, **CLIENT) as px:
        client = await px.connect()
        await client.send(post(URL + b"1", b"abc") + get(URL + b"2", BASIC) + get(URL + b"3"))
        assert b" 407 " in (await client.read_answer())[0]
        await client.expect(answer(200, b"two"))
        assert b" 407 " in (await client.read_answer())[0]
        px.px._pool.clear()


async def test_an_http_1_0_client_gets_a_407_and_its_connection_closes() -> None:
    async with ScriptedUpstream() as upstream, running_px(upstream, **CLIENT) as px:
        client = await px.connect()
        await client.send(b"GET http://origin.test/ HTTP/1.0\r\n\r\n")
        head, _ = await client.read_answer()
        assert b" 407 " in head
        await client.expect_end()
        assert upstream.connections == 0


@pytest.mark.parametrize("wrong", [WRONG, b"Proxy-Authorization: Basic " + b64encode(b"nobody:x")])
async def test_px_delays_the_answer_to_every_kind_of_wrong_login(wrong: bytes, monkeypatch) -> None:
    monkeypatch.setattr(authenticator, "WRONG_LOGIN_SECONDS", 0.2)
    async with ScriptedUpstream() as upstream, running_px(upstream, **CLIENT) as px:
        loop = asyncio.get_running_loop()
        began = loop.time()
        head, body = await px.get(URL, wrong)
        assert loop.time() - began >= 0.19
        assert b" 407 " in head
        assert b"wrong user name or password" in body
        assert b"not the company's proxy that refused it" in body
        assert upstream.connections == 0


async def test_px_serves_others_while_it_delays_the_answer_to_a_wrong_login(monkeypatch) -> None:
    monkeypatch.setattr(authenticator, "WRONG_LOGIN_SECONDS", 60)
    script = plays((get(URL), answer()))
    async with ScriptedUpstream(script) as upstream, running_px(upstream, **CLIENT) as px:
        for _ in range(20):
            await (await px.connect()).send(get(URL, WRONG))
        head, _ = await px.get(URL, BASIC)
        assert b" 200 " in head
        px.px._pool.clear()


async def test_requests_for_px_itself_do_not_go_upstream() -> None:
    async with ScriptedUpstream() as upstream, running_px(upstream, **CLIENT) as px:
        client = await px.connect()
        for login, status in ((b"", 401), (BASIC, 401), (BASIC.removeprefix(b"Proxy-"), 404)):
            fields = b"Host: localhost:%d\r\n%b" % (px.port, login and login + b"\r\n")
            await client.send(b"GET / HTTP/1.1\r\n%b\r\n" % fields)
            head, _ = await client.read_answer()
            assert head.startswith(b"HTTP/1.1 %d " % status)
            assert (b"\nWWW-Authenticate: " in head) == (status == 401)
            assert b"Proxy-Authenticate" not in head
        assert upstream.connections == 0


async def test_px_does_not_ask_a_client_to_log_in_that_may_not_use_px() -> None:
    async with running_px(noproxy="*", allow="192.0.2.1", **CLIENT) as px:
        head, _ = await px.get(URL, BASIC)
        assert head.startswith(b"HTTP/1.1 403 ")


async def test_px_answers_503_if_the_verification_of_a_login_does_not_answer(monkeypatch) -> None:
    class Silent:
        async def step(self, token: bytes):
            raise TimeoutError

    monkeypatch.setattr(logins, "NtlmAcceptor", lambda *_: Silent())
    async with ScriptedUpstream() as upstream, running_px(upstream, **CLIENT) as px:
        head = await send_token(await px.connect(), ntlm_client().step())
        assert head.startswith(b"HTTP/1.1 503 ")
        assert field_of(head, b"retry-after") == b"5"
        assert upstream.connections == 0


async def test_the_session_shows_the_user_of_its_request() -> None:
    seen: list[str] = []

    async def script(wire: Wire) -> None:
        for _ in range(2):
            await wire.expect(get(URL))
            (session,) = running.px._listener._sessions
            assert session.client.authenticator is not None
            seen.append(session.client.authenticator.user)
            await wire.send(answer())

    async with ScriptedUpstream(script) as upstream, running_px(upstream, **CLIENT) as running:
        client = await running.connect()
        await client.send(get(URL, BASIC))
        await client.expect(answer())
        assert b" 407 " in await send_again(client)
        await client.send(get(URL, BASIC))
        await client.expect(answer())
    assert seen == [USER, USER]


async def send_again(client: Wire) -> bytes:
    await client.send(get(URL))
    return (await client.read_answer())[0]


async def test_the_log_has_no_secrets_and_no_logins(caplog, no_delay) -> None:
    with caplog.at_level("DEBUG", "px"):
        async with (
            ScriptedUpstream(plays((get(URL), answer()))) as upstream,
            running_px(upstream, **CLIENT) as px,
        ):
            client, ntlm = await px.connect(), ntlm_client()
            proof = ntlm.step(token_of(await send_token(client, ntlm.step())))
            await send_token(client, proof)
            await px.get(URL, WRONG)
            await px.get(URL, BASIC.replace(b"Basic ", b"Basic x"))
            px.px._pool.clear()
    assert "refused the login of the client at 127.0.0.1" in caplog.text
    hidden = (PASSWORD, nt_hash(PASSWORD).hex(), b64encode(proof).decode(), BASIC.split()[-1].decode())
    assert not any(secret in caplog.text for secret in hidden)


async def test_ten_thousand_bad_logins_leave_no_objects_in_memory(no_delay, caplog) -> None:
    caplog.set_level("CRITICAL", "px")  # pytest keeps the lines of the log in memory
    async with ScriptedUpstream() as upstream, running_px(upstream, **CLIENT) as px:
        await attack(px, 500)  # the first attack creates all objects that Px creates only once
        before = sys.getallocatedblocks()
        await attack(px, 10_000)
        assert sys.getallocatedblocks() - before < 2_000
        assert upstream.connections == 0


async def attack(px: RunningPx, logins: int) -> None:
    """Send wrong logins of many kinds over 50 concurrent connections."""

    async def over_one_connection(client: Wire) -> None:
        for number in range(logins // 50):
            if number % 2:
                await client.send(get(URL, WRONG))
            else:
                await client.send(
                    get(URL, b"Proxy-Authorization: NTLM TlRMTVNTUAABAAAAB4IIAAAAAAAAAAAAAAAAAAAAAAA=")
                )
            assert b" 407 " in (await client.read_answer())[0]

    clients = [await px.connect() for _ in range(50)]
    await asyncio.gather(*(over_one_connection(client) for client in clients))
    px.close_clients()
    await until(lambda: not px.px._listener._sessions)
    gc.collect()
