"""Logins, replays and failures between Px and its upstreams, as wire transcripts."""

from __future__ import annotations

import asyncio
import contextlib
import errno

import pytest

from px.net import dial, exchange, session
from tests.net.running_px import as_user, connect, get, post, running_px
from tests.scripted_upstream import (
    PASSWORD,
    USERNAME,
    ScriptedUpstream,
    Wire,
    answer,
    answer_negotiate,
    credentials_of,
    digest_challenge,
    expect_ntlm,
    field_of,
    login_required,
    until,
    verify_basic,
    verify_digest,
    verify_ntlm,
    without_login,
)

URL = b"http://origin.test/"
GET = get(URL)
CONNECT = connect(b"origin.test:443")
OPEN = b"HTTP/1.1 200 Connection established\r\n\r\n"


async def log_in(
    wire: Wire, request: bytes = GET, said: bytes | None = None, scheme: bytes = b"NTLM"
) -> None:
    """Ask a cold client for an NTLM login, verify it, and answer the request."""
    await wire.expect(request)
    await wire.send(login_required(scheme))
    first, second = await expect_ntlm(wire, scheme=scheme)
    assert (first, second) == (request, request)
    await wire.send(said or answer())


# NTLM: one connection, one login


@pytest.mark.parametrize("scheme", [b"NTLM", b"Negotiate"])
async def test_a_cold_login_stays_on_one_connection(scheme: bytes) -> None:
    async def script(wire: Wire) -> None:
        await log_in(wire, scheme=scheme)

    async with ScriptedUpstream(script) as upstream, running_px(upstream, **as_user()) as px:
        head, body = await px.get(URL)
        assert (head[:13], body) == (b"HTTP/1.1 200 ", b"ok")
        assert b"Proxy-Auth" not in head


async def test_a_logged_in_connection_serves_a_get_and_then_a_connect_without_a_token() -> None:
    async def script(wire: Wire) -> None:
        await log_in(wire)
        await wire.expect(get(URL + b"2"))
        await wire.send(answer(200, b"second"))
        await wire.expect(CONNECT)
        await wire.send(OPEN)
        await wire.expect(b"through")

    async with ScriptedUpstream(script) as upstream, running_px(upstream, **as_user()) as px:
        await px.get(URL)
        assert (await px.get(URL + b"2"))[1] == b"second"
        client = await px.connect()
        await client.send(CONNECT)
        await client.expect(OPEN)
        await client.send(b"through")
        await client.expect_cut()


async def test_a_known_upstream_gets_the_first_token_unasked() -> None:
    async def first(wire: Wire) -> None:
        await log_in(wire, CONNECT, OPEN)

    async def second(wire: Wire) -> None:
        assert await expect_ntlm(wire) == (CONNECT, CONNECT)
        await wire.send(OPEN)

    async with ScriptedUpstream(first, second) as upstream, running_px(upstream, **as_user()) as px:
        for _ in range(2):
            client = await px.connect()
            await client.send(CONNECT)
            await client.expect(OPEN)
            await client.expect_cut()


async def test_two_requests_at_once_never_share_a_logged_in_connection() -> None:
    both = asyncio.Barrier(2)

    async def first(wire: Wire) -> None:
        await log_in(wire)
        await wire.expect(GET)
        await both.wait()
        await wire.send(answer(200, b"warm"))
        await wire.expect_cut()

    async def second(wire: Wire) -> None:
        await expect_ntlm(wire)
        await both.wait()
        await wire.send(answer(200, b"cold"))
        await wire.expect_cut()

    async with ScriptedUpstream(first, second) as upstream, running_px(upstream, **as_user()) as px:
        await px.get(URL)
        answers = await asyncio.gather(px.get(URL), px.get(URL))
        assert {body for _, body in answers} == {b"warm", b"cold"}
        px.px._pool.clear()


async def test_negotiate_comes_before_ntlm_and_both_before_basic() -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(login_required(b'Basic realm="x"', b"NTLM", b"Negotiate"))
        await expect_ntlm(wire, scheme=b"Negotiate")
        await wire.send(answer())

    async with ScriptedUpstream(script) as upstream, running_px(upstream, **as_user()) as px:
        assert (await px.get(URL))[1] == b"ok"


async def test_a_407_with_close_is_answered_on_a_fresh_connection() -> None:
    async def first(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(login_required(b"NTLM", connection=b"close"))

    async def second(wire: Wire) -> None:
        await expect_ntlm(wire)
        await wire.send(answer())

    async with ScriptedUpstream(first, second) as upstream, running_px(upstream, **as_user()) as px:
        assert (await px.get(URL))[1] == b"ok"


async def test_a_407_with_a_chunked_page_is_read_over() -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(
            b"HTTP/1.1 407 No\r\nProxy-Authenticate: NTLM\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npage\r\n"
        )
        await wire.send(b"0\r\n\r\n")
        await expect_ntlm(wire)
        await wire.send(answer())

    async with ScriptedUpstream(script) as upstream, running_px(upstream, **as_user()) as px:
        assert (await px.get(URL))[1] == b"ok"


async def test_an_upstream_that_closes_once_in_the_handshake_gets_another_chance() -> None:
    async def first(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(login_required(b"NTLM"))
        assert without_login(await wire.read_head()) == GET

    async def second(wire: Wire) -> None:
        await expect_ntlm(wire)
        await wire.send(answer())

    async with ScriptedUpstream(first, second) as upstream, running_px(upstream, **as_user()) as px:
        assert (await px.get(URL))[1] == b"ok"


async def test_an_upstream_that_always_closes_in_the_handshake_gets_the_next_method() -> None:
    async def cold(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(login_required(b"NTLM", b'Basic realm="x"'))
        credentials_of(await wire.read_head(), b"NTLM")

    async def again(wire: Wire) -> None:
        credentials_of(await wire.read_head(), b"NTLM")

    async def last(wire: Wire) -> None:
        verify_basic(await wire.read_head(), username=USERNAME)
        await wire.send(answer())

    async with ScriptedUpstream(cold, again, last) as upstream, running_px(upstream, **as_user()) as px:
        assert (await px.get(URL))[1] == b"ok"


async def test_an_upstream_that_is_silent_after_type_1_costs_socktimeout_and_the_next_one_serves() -> None:
    async def silent(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(login_required(b"NTLM"))
        await wire.read_head()
        await wire.expect_cut()

    async def good(wire: Wire) -> None:
        await log_in(wire)

    async with (
        ScriptedUpstream(silent) as bad,
        ScriptedUpstream(good) as fine,
        running_px(bad, fine, **as_user(), socktimeout=0.1) as px,
    ):
        async with asyncio.timeout(1):
            assert (await px.get(URL))[1] == b"ok"


async def test_an_upstream_that_is_silent_after_type_1_and_is_the_only_one_is_504() -> None:
    async def silent(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(login_required(b"NTLM"))
        await wire.read_head()
        await wire.expect_cut()

    async with ScriptedUpstream(silent) as bad, running_px(bad, **as_user(), socktimeout=0.1) as px:
        head, body = await px.get(URL)
        assert b" 504 " in head
        assert b"did not go on with the login" in body


async def test_an_answer_that_is_slower_than_socktimeout_is_not_cut() -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(login_required(b"NTLM"))
        await expect_ntlm(wire)
        await asyncio.sleep(0.2)  # the fact under test
        await wire.send(answer())
        await wire.expect(GET)
        await asyncio.sleep(0.2)
        await wire.send(answer())

    async with ScriptedUpstream(script) as upstream, running_px(upstream, **as_user(), socktimeout=0.1) as px:
        assert (await px.get(URL))[1] == b"ok"
        assert (await px.get(URL))[1] == b"ok"


# refusals


async def refuse_ntlm(wire: Wire, *, is_cold: bool, target: bytes = URL) -> None:
    if is_cold:
        await wire.expect(get(target))
        await wire.send(login_required(b"NTLM"))
    head = await wire.read_head()
    await answer_negotiate(wire, head)
    credentials_of(await wire.read_head(), b"NTLM")
    await wire.send(login_required(b"NTLM"))


async def test_two_refusals_block_the_identity_for_all_who_come_after() -> None:
    async def first(wire: Wire) -> None:
        await refuse_ntlm(wire, is_cold=True)

    async def second(wire: Wire) -> None:
        await refuse_ntlm(wire, is_cold=False)

    async with (
        ScriptedUpstream(first, second) as upstream,
        running_px(upstream, **as_user("wrong")) as px,
    ):
        for _ in range(2):
            head, body = await px.get(URL)
            assert b" 502 " in head
            assert USERNAME.encode() in body
        for _ in range(3):  # and not even a connection
            head, body = await px.get(URL)
            assert int(field_of(head, b"retry-after") or 0) > 0
            assert upstream.authority.encode() in body


async def test_a_wrong_password_that_many_ask_with_at_once_is_tried_twice_at_most() -> None:
    tried = 0

    async def script(wire: Wire) -> None:
        nonlocal tried
        with contextlib.suppress(AssertionError, OSError):
            while True:
                head = await wire.read_head()
                if b"Proxy-Authorization" not in head:
                    await wire.send(login_required(b"NTLM"))
                    continue
                await answer_negotiate(wire, head)
                await wire.read_head()
                tried += 1
                await wire.send(login_required(b"NTLM"))

    async with (
        ScriptedUpstream(*[script] * 60) as upstream,
        running_px(upstream, **as_user("wrong")) as px,
    ):
        answers = await asyncio.gather(*(px.get(URL + b"%d" % n) for n in range(20)))
        assert {head.split(b" ")[1] for head, _ in answers} == {b"502"}
        assert tried == 2
        upstream._scripts[upstream.connections :] = []


async def test_a_slow_verdict_lets_no_more_than_two_tokens_out(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = 0

    async def script(wire: Wire) -> None:
        nonlocal tried
        with contextlib.suppress(AssertionError, OSError):
            while True:
                head = await wire.read_head()
                if b"Proxy-Authorization" not in head:
                    await wire.send(login_required(b"NTLM"))
                    continue
                await answer_negotiate(wire, head)
                await wire.read_head()
                tried += 1
                await asyncio.sleep(1.0)  # longer than anybody waits for a turn
                await wire.send(login_required(b"NTLM"))

    async with (
        ScriptedUpstream(*[script] * 60) as upstream,
        running_px(upstream, **as_user("wrong"), socktimeout=0.3) as px,
    ):
        answers = await asyncio.gather(*(px.get(URL + b"%d" % n) for n in range(15)))
        assert {head.split(b" ")[1] for head, _ in answers} == {b"502"}
        assert tried == 2
        upstream._scripts[upstream.connections :] = []


async def test_a_client_that_leaves_before_the_verdict_does_not_make_it_uncounted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("px.net.session.HANG_UP_SECONDS", 0.0)
    got_token, release = asyncio.Event(), asyncio.Event()

    async def first(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(login_required(b"NTLM"))
        await answer_negotiate(wire, await wire.read_head())
        credentials_of(await wire.read_head(), b"NTLM")
        got_token.set()
        await release.wait()
        await wire.send(login_required(b"NTLM"))

    async with ScriptedUpstream(first) as upstream, running_px(upstream, **as_user("wrong")) as px:
        client = await px.connect()
        await client.send(GET)
        await got_token.wait()
        client.reset()
        await until(lambda: not px.px._listener._sessions)
        release.set()
        (hop,) = px.px._hops.known.values()
        assert hop.login is not None
        source = hop.login.source
        await until(lambda: not px.px._hops.guard.is_clear(source))


async def test_a_rule_is_told_from_a_wrong_password_though_it_meets_the_first_request() -> None:
    """The first target is denied by a 407, at an upstream that offers two methods with one password."""
    offers = (b"Negotiate", b"NTLM")

    async def denied(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(login_required(*offers))
        await expect_ntlm(wire, scheme=b"Negotiate")
        await wire.send(login_required(*offers))

    async def proof(wire: Wire) -> None:
        first, second = await expect_ntlm(wire)
        assert first == second
        assert first.startswith(b"TRACE http://%b/ HTTP/1.1\r\n" % upstream.authority.encode())
        assert field_of(first, b"max-forwards") == b"0"
        await wire.send(answer(200))
        await wire.expect(GET)  # logged in
        await wire.send(login_required(*offers))

    async def still_denied(wire: Wire) -> None:
        await expect_ntlm(wire)
        await wire.send(login_required(*offers))

    async def other(wire: Wire) -> None:
        await expect_ntlm(wire)
        await wire.send(answer())

    async with (
        ScriptedUpstream(denied, proof, still_denied, other) as upstream,
        running_px(upstream, **as_user()) as px,
    ):
        head, _ = await px.get(URL)
        assert b" 502 " in head
        head, _ = await px.get(URL)
        assert b" 403 " in head
        head, body = await px.get(b"http://other.test/")
        assert (head[:13], body) == (b"HTTP/1.1 200 ", b"ok")


async def test_a_password_that_ntlm_had_refused_never_goes_out_as_basic() -> None:
    async def first(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(login_required(b"NTLM", b'Basic realm="x"'))
        await answer_negotiate(wire, await wire.read_head())
        credentials_of(await wire.read_head(), b"NTLM")
        await wire.send(login_required(b"NTLM", b'Basic realm="x"'))

    async def second(wire: Wire) -> None:
        head = await wire.read_head()
        assert b"Basic" not in head
        await answer_negotiate(wire, head)
        await wire.read_head()
        await wire.send(login_required(b"NTLM", b'Basic realm="x"'))

    async with (
        ScriptedUpstream(first, second) as upstream,
        running_px(upstream, **as_user("wrong")) as px,
    ):
        for _ in range(3):
            head, _ = await px.get(URL)
            assert b" 502 " in head


async def test_a_rule_that_answers_407_to_who_is_logged_in_is_a_403_and_remembered() -> None:
    denied = b"http://denied.test/"

    async def warm(wire: Wire) -> None:
        await log_in(wire)
        await wire.expect(get(denied))
        await wire.send(login_required(b"NTLM"))
        await wire.expect_end()  # Squid takes no second login on one connection

    async def denies(wire: Wire) -> None:
        first = await wire.read_head()
        challenge = await answer_negotiate(wire, first)
        verify_ntlm(first, challenge, await wire.read_head(), scheme=b"NTLM")
        await wire.send(login_required(b"NTLM"))
        await wire.expect_end()

    async def later(wire: Wire) -> None:
        await expect_ntlm(wire)
        await wire.send(answer())

    async with (
        ScriptedUpstream(warm, denies, later) as upstream,
        running_px(upstream, **as_user()) as px,
    ):
        await px.get(URL)
        for _ in range(3):
            head, body = await px.get(denied)
            assert b" 403 " in head
            assert b"denied.test" in body
        assert (await px.get(URL))[1] == b"ok"


async def test_offers_that_cannot_be_met_are_a_502_that_names_them() -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(login_required(b"NTLM", b"Bearer"))

    async with ScriptedUpstream(script) as upstream, running_px(upstream, **as_user(), auth="BASIC") as px:
        head, body = await px.get(URL)
        assert b" 502 " in head
        for fact in (b"NTLM", b"--auth=BASIC"):
            assert fact in body


# Digest and Basic


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256", "SHA-512-256"])
async def test_digest_costs_one_407_a_nonce_and_counts_up(algorithm: str) -> None:
    challenge = digest_challenge("abc", algorithm=algorithm)

    async def script(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(login_required(challenge))
        for count in (1, 2, 3):
            head = await wire.read_head()
            verify_digest(head, nonce="abc", nonce_count=count, username=USERNAME, password=PASSWORD)
            await wire.send(answer(200, b"ok", b'Proxy-Authentication-Info: qop="auth"'))

    async with ScriptedUpstream(script) as upstream, running_px(upstream, **as_user(), auth="DIGEST") as px:
        for _ in range(3):
            head, body = await px.get(URL)
            assert body == b"ok"
            assert b"Authentication-Info" not in head


async def test_a_stale_nonce_is_no_refusal() -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(login_required(digest_challenge("one")))
        for nonce, following in (("one", "two"), ("two", "three"), ("three", "four")):
            head = await wire.read_head()
            verify_digest(head, nonce=nonce, nonce_count=1, username=USERNAME, password=PASSWORD)
            await wire.send(answer())
            head = await wire.read_head()
            verify_digest(head, nonce=nonce, nonce_count=2, username=USERNAME, password=PASSWORD)
            await wire.send(login_required(digest_challenge(following, stale=True)))
        head = await wire.read_head()
        verify_digest(head, nonce="four", nonce_count=1, username=USERNAME, password=PASSWORD)
        await wire.send(answer())

    async with ScriptedUpstream(script) as upstream, running_px(upstream, **as_user(), auth="DIGEST") as px:
        for _ in range(4):
            assert (await px.get(URL))[1] == b"ok"


async def test_digest_covers_the_authority_of_a_connect() -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(CONNECT)
        await wire.send(login_required(digest_challenge("abc")))
        head = await wire.read_head()
        verify_digest(head, nonce="abc", nonce_count=1, username=USERNAME, password=PASSWORD)
        await wire.send(OPEN)

    async with ScriptedUpstream(script) as upstream, running_px(upstream, **as_user(), auth="DIGEST") as px:
        client = await px.connect()
        await client.send(CONNECT)
        await client.expect(OPEN)


async def test_basic_is_sent_unasked_after_the_first_time() -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(login_required(b'Basic realm="corp"'))
        for _ in range(2):
            head = await wire.read_head()
            verify_basic(head, username=USERNAME)
            assert without_login(head) == GET
            await wire.send(answer())

    async with ScriptedUpstream(script) as upstream, running_px(upstream, **as_user()) as px:
        for _ in range(2):
            assert (await px.get(URL))[1] == b"ok"


# bodies and logins


async def test_a_small_body_that_a_407_interrupts_is_sent_again_after_a_head() -> None:
    request = post(URL, b"a small body")
    probe = get(URL, method=b"HEAD")

    async def first(wire: Wire) -> None:
        await wire.expect(request)
        await wire.send(login_required(b"NTLM"))
        await wire.expect_end()  # it may be about to close: what cannot be repeated does not go over it

    async def second(wire: Wire) -> None:
        head = await wire.read_head()
        assert without_login(head) == probe
        challenge = await answer_negotiate(wire, head)
        final = await wire.read_head()
        verify_ntlm(head, challenge, final, scheme=b"NTLM")
        assert without_login(final) + await wire.read_exactly(12) == request
        await wire.send(answer())

    async with ScriptedUpstream(first, second) as upstream, running_px(upstream, **as_user()) as px:
        client = await px.connect()
        await client.send(request)
        assert (await client.read_answer())[1] == b"ok"


async def test_a_body_that_is_still_coming_when_the_407_arrives_is_replayed_from_the_buffer() -> None:
    request = post(URL, b"first half, second half")
    received = asyncio.Event()

    async def first(wire: Wire) -> None:
        await wire.expect(request[:-12])
        await wire.send(login_required(b'Basic realm="x"'))
        received.set()
        await wire.expect_cut()

    async def second(wire: Wire) -> None:
        head = await wire.read_head()
        verify_basic(head, username=USERNAME)
        assert without_login(head) + await wire.read_exactly(23) == request
        await wire.send(answer())

    async with ScriptedUpstream(first, second) as upstream, running_px(upstream, **as_user()) as px:
        client = await px.connect()
        await client.send(request[:-12])
        await received.wait()
        await client.send(request[-12:])
        assert (await client.read_answer())[1] == b"ok"


BIG = bytes(range(256)) * 2000


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_large_body_for_an_unknown_upstream_waits_behind_a_head(framing: str) -> None:
    probe = get(URL, method=b"HEAD")
    if framing == "length":
        request = post(URL, BIG)
    else:
        request = get(URL, b"Transfer-Encoding: chunked", method=b"POST")
        request += b"%x\r\n%b\r\n0\r\n\r\n" % (len(BIG), BIG)

    async def script(wire: Wire) -> None:
        await wire.expect(probe)
        await wire.send(login_required(b"NTLM", body=b""))
        head = await wire.read_head()
        assert without_login(head) == probe
        challenge = await answer_negotiate(wire, head)
        final = await wire.read_head()
        verify_ntlm(head, challenge, final, scheme=b"NTLM")
        assert field_of(final, b"expect") == b"100-continue"
        await wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await wire.expect(request.partition(b"\r\n\r\n")[2])
        await wire.send(answer())
        await wire.expect(request)  # known and logged in: at once
        await wire.send(answer())

    async with ScriptedUpstream(script) as upstream, running_px(upstream, **as_user()) as px:
        for _ in range(2):
            client = await px.connect()
            await client.send(request)
            head, body = await client.read_answer()
            assert (head[:13], body) == (b"HTTP/1.1 200 ", b"ok")


async def log_in_by_digest(wire: Wire) -> None:
    await wire.expect(GET)
    await wire.send(login_required(digest_challenge("abc")))
    await wire.read_head()
    await wire.send(answer())


async def test_a_final_answer_in_place_of_the_100_that_px_asked_for_ends_the_connection() -> None:
    async def first(wire: Wire) -> None:
        await log_in_by_digest(wire)
        head = await wire.read_head()
        verify_digest(head, nonce="abc", nonce_count=2, username=USERNAME, password=PASSWORD)
        assert field_of(head, b"expect") == b"100-continue"
        await wire.send(answer(413, b"too much"))
        # An upstream may now still wait for that body: the next request must not become part of it.
        await wire.expect_cut()
        assert wire._received == b""

    async def second(wire: Wire) -> None:
        head = await wire.read_head()
        verify_digest(head, nonce="abc", nonce_count=3, username=USERNAME, password=PASSWORD)
        await wire.send(answer())

    async with (
        ScriptedUpstream(first, second) as upstream,
        running_px(upstream, **as_user(), auth="DIGEST") as px,
    ):
        await px.get(URL)
        client = await px.connect()
        await client.send(get(URL, b"Content-Length: 1000000", method=b"POST"))
        head, body = await client.read_answer()
        assert (head[:13], body) == (b"HTTP/1.1 413 ", b"too much")
        assert field_of(head, b"connection") == b"close"
        assert (await px.get(URL))[1] == b"ok"


async def test_a_body_goes_though_the_100_never_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "CONTINUE_SECONDS", 0.05)

    async def script(wire: Wire) -> None:
        await log_in_by_digest(wire)
        await wire.read_head()
        await wire.expect(BIG)
        await wire.send(b"HTTP/1.1 100 Continue\r\n\r\n" + answer())

    async with ScriptedUpstream(script) as upstream, running_px(upstream, **as_user(), auth="DIGEST") as px:
        await px.get(URL)
        client = await px.connect()
        await client.send(post(URL, BIG))
        await client.expect(answer())


async def test_a_100_that_the_client_asked_for_is_passed_on() -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(get(URL, b"Content-Length: 3", b"Expect: 100-continue", method=b"POST"))
        await wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await wire.expect(b"abc")
        await wire.send(answer())

    async with ScriptedUpstream(script) as upstream, running_px(upstream, **as_user()) as px:
        client = await px.connect()
        await client.send(get(URL, b"Content-Length: 3", b"Expect: 100-continue", method=b"POST"))
        await client.expect(b"HTTP/1.1 100 Continue\r\n\r\n")
        await client.send(b"abc")
        await client.expect(answer())


async def test_a_407_in_the_middle_of_a_long_upload_is_an_error_and_never_a_second_sending() -> None:
    sent = 600_000

    async def script(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(answer())  # an open upstream, it seems
        await wire.read_head()
        await wire.read_exactly(sent)
        await wire.send(login_required(b"NTLM"))
        await wire.expect_cut()

    async with ScriptedUpstream(script) as upstream, running_px(upstream, **as_user()) as px:
        await px.get(URL)
        client = await px.connect()
        await client.send(get(URL, b"Content-Length: 1000000", method=b"POST") + b"a" * sent)
        head, body = await client.read_answer()
        assert b" 502 " in head
        assert b"in the middle of a long upload" in body


# connections that die


async def test_a_kept_connection_that_died_is_not_used() -> None:
    gone = asyncio.Event()

    async def first(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(answer())
        await gone.wait()

    async def second(wire: Wire) -> None:
        await wire.expect(post(URL, b"x"))
        await wire.send(answer())

    async with ScriptedUpstream(first, second) as upstream, running_px(upstream, **as_user()) as px:
        await px.get(URL)
        await until(lambda: px.kept == f"<Pool {{'http://{upstream.authority}': 1}}>")
        gone.set()
        await until(lambda: px.kept == "<Pool {}>")
        client = await px.connect()
        await client.send(post(URL, b"x"))
        assert (await client.read_answer())[1] == b"ok"


async def test_a_kept_connection_that_says_something_unasked_is_dropped() -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(answer() + b"HTTP/1.1 408 Too late\r\n\r\n")
        await wire.expect_cut()

    async with ScriptedUpstream(script) as upstream, running_px(upstream, **as_user()) as px:
        await px.get(URL)
        await upstream.finish()
        assert px.kept == "<Pool {}>"


async def used_then_closed(wire: Wire) -> None:
    await wire.expect(GET)
    await wire.send(answer())
    await wire.read_head()


async def test_a_get_is_repeated_when_a_used_connection_closes_without_a_byte() -> None:
    async def second(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(answer(200, b"again"))

    async with ScriptedUpstream(used_then_closed, second) as upstream, running_px(upstream) as px:
        await px.get(URL)
        assert (await px.get(URL))[1] == b"again"


async def test_a_post_is_not_repeated_when_a_used_connection_closes_without_a_byte() -> None:
    async with ScriptedUpstream(used_then_closed) as upstream, running_px(upstream) as px:
        await px.get(URL)
        client = await px.connect()
        await client.send(post(URL, b"x"))
        head, body = await client.read_answer()
        assert b" 502 " in head
        assert b"without an answer" in body
        assert b"connection_terminated" in (field_of(head, b"proxy-status") or b"")


async def test_a_put_with_a_body_is_not_repeated_when_a_used_connection_closes_without_a_byte() -> None:
    async with ScriptedUpstream(used_then_closed) as upstream, running_px(upstream) as px:
        await px.get(URL)
        client = await px.connect()
        await client.send(get(URL, b"Content-Length: 1", method=b"PUT") + b"x")
        assert b" 502 " in (await client.read_answer())[0]


async def test_a_get_is_not_repeated_when_a_fresh_connection_closes_without_a_byte() -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(GET)

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        head, _ = await px.get(URL)
        assert b" 502 " in head


async def test_an_upstream_that_breaks_off_in_its_head_is_502() -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-")

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        head, body = await px.get(URL)
        assert b" 502 " in head
        assert b"in the middle of its answer" in body


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
    ],
)
async def test_a_broken_answer_is_502_and_nothing_of_it_arrives(said: bytes) -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(said)
        await wire.expect_cut()

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        head, _ = await px.get(URL)
        assert head.startswith(b"HTTP/1.1 502 ")
        assert b"http_protocol_error" in (field_of(head, b"proxy-status") or b"")


# times


async def test_no_answer_in_time_is_504(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "ANSWER_SECONDS", 0.1)

    async def script(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(answer())
        await wire.expect(GET)
        await wire.expect_cut()

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        await px.get(URL)
        head, body = await px.get(URL)
        assert b" 504 " in head
        assert b"gave no answer within 0.1 s" in body


async def test_an_upstream_that_accepts_and_says_nothing_gives_way_to_the_next_one() -> None:
    async def mute(wire: Wire) -> None:
        await wire.expect_cut()

    async def good(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(answer())

    async with (
        ScriptedUpstream(mute, mute) as first,
        ScriptedUpstream(good) as second,
        running_px(f"{first.authority},{second.authority}", socktimeout=1.0) as px,
    ):
        head, _ = await px.get(URL)
        assert b" 200 " in head


async def test_a_slow_origin_behind_an_upstream_met_first_is_waited_for() -> None:
    checked = asyncio.Event()

    async def slow(wire: Wire) -> None:
        await wire.expect(GET)
        await checked.wait()
        await wire.send(answer())

    async def alive(wire: Wire) -> None:
        head = await wire.read_head()
        assert head.startswith(b"TRACE ")
        assert field_of(head, b"max-forwards") == b"0"
        await wire.send(answer())
        checked.set()

    async with ScriptedUpstream(slow, alive) as upstream, running_px(upstream, socktimeout=0.3) as px:
        head, _ = await px.get(URL)
        assert b" 200 " in head


@pytest.mark.parametrize("size", [1000, 300_000, 1_000_000])
async def test_no_answer_in_time_after_an_upload_is_504(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(exchange, "ANSWER_SECONDS", 0.2)

    async def script(wire: Wire) -> None:
        await wire.read_head()
        await wire.read_exactly(size)
        await wire.expect_cut()

    async with ScriptedUpstream(script) as upstream, running_px(upstream, auth="NONE") as px:
        client = await px.connect()
        await client.send(post(URL, b"a" * (size - 1))[:-1].replace(b": %d" % (size - 1), b": %d" % size))
        await asyncio.sleep(0.02)  # so that it is not all there at once
        await client.send(b"aa")
        head, _ = await client.read_answer()
        assert b" 504 " in head


async def test_a_client_that_hangs_up_while_px_waits_frees_the_upstream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "HANG_UP_SECONDS", 0.05)
    asked = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.expect(GET)
        asked.set()
        await wire.expect_cut()

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(GET)
        await asked.wait()
        client.close()
        await upstream.finish()


async def test_a_client_that_hangs_up_after_its_upload_frees_the_upstream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "HANG_UP_SECONDS", 0.05)
    asked = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.expect(post(URL, b"body"))
        asked.set()
        await wire.expect_cut()

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(post(URL, b"body"))
        await asked.wait()
        client.close()
        await upstream.finish()


async def test_a_client_that_only_ended_its_direction_gets_its_answer() -> None:
    ended = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.expect(GET)
        await ended.wait()
        await asyncio.sleep(0.05)
        await wire.send(answer())

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(GET)
        client.half_close()
        ended.set()
        await client.expect(answer())
        await client.expect_end()


# several upstreams


async def test_an_upstream_that_cannot_be_reached_is_passed_over_and_the_next_one_kept() -> None:
    async def script(wire: Wire) -> None:
        for _ in range(2):
            await wire.expect(GET)
            await wire.send(answer())

    async with ScriptedUpstream(script) as upstream, running_px("127.0.0.1:1", upstream) as px:
        for _ in range(2):
            assert (await px.get(URL))[1] == b"ok"


async def test_no_descriptor_left_is_a_503_and_no_fault_of_the_upstream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def no_descriptor(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    async def script(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(answer())

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        with monkeypatch.context() as patch:
            patch.setattr(dial, "_connect", no_descriptor)
            head, body = await px.get(URL)
        assert b" 503 " in head
        assert field_of(head, b"retry-after") == b"1"
        assert b"too many open files" in body
        assert not px.px._health.dead
        assert b" 200 " in (await px.get(URL))[0]


async def test_no_upstream_that_can_be_reached_is_a_502_that_says_so() -> None:
    async with running_px("127.0.0.1:1", "127.0.0.1:2") as px:
        head, body = await px.get(URL)
        assert b" 502 " in head
        assert b"nothing listens there" in body
        assert b"--proxy" in body


# whose token goes where


async def test_a_clients_own_login_to_a_proxy_goes_no_further() -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(get(URL, b"Authorization: Basic eA=="))
        await wire.send(answer(200, b"ok", b"Proxy-Authenticate: Basic", b"Proxy-Authentication-Info: x"))

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        head, _ = await px.get(URL, b"Proxy-Authorization: Basic c2VjcmV0", b"Authorization: Basic eA==")
        assert b"Proxy-Auth" not in head


async def test_with_auth_none_the_client_logs_in_end_to_end_on_a_connection_of_its_own() -> None:
    asked = login_required(b"NTLM")
    token = get(URL, b"Proxy-Authorization: NTLM abc")

    async def first(wire: Wire) -> None:
        for request, said in ((GET, asked), (token, asked), (token, answer()), (GET, answer())):
            await wire.expect(request)
            await wire.send(said)
        await wire.expect_end()

    async def other(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(asked)
        await wire.expect_cut()

    async with ScriptedUpstream(first, other) as upstream, running_px(upstream, auth="NONE") as px:
        client = await px.connect()
        for request, said in ((GET, asked), (token, asked), (token, answer()), (GET, answer())):
            await client.send(request)
            await client.expect(said)
        stranger = await px.connect()
        await stranger.send(GET)
        await stranger.expect(asked)
        client.close()


ASKS = answer(401, b"who?", b"WWW-Authenticate: NTLM", b"WWW-Authenticate: Negotiate")


async def test_an_origin_that_asks_for_ntlm_binds_the_clients_connection() -> None:
    token = get(URL, b"Authorization: NTLM abc")

    async def first(wire: Wire) -> None:
        for request, said in ((GET, ASKS), (token, ASKS), (token, answer()), (GET, answer())):
            await wire.expect(request)
            await wire.send(said)
        await wire.expect_end()

    async def other(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(answer(200, b"stranger"))
        await wire.expect_cut()

    async with ScriptedUpstream(first, other) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(GET)
        head, _ = await client.read_answer()
        assert field_of(head, b"proxy-support") == b"Session-Based-Authentication"
        assert head.count(b"WWW-Authenticate") == 2
        await client.send(token)
        await client.read_answer()
        for request in (token, GET):
            await client.send(request)
            await client.expect(answer())
        assert (await px.get(URL))[1] == b"stranger"
        client.close()
        px.px._pool.clear()


async def test_a_bound_client_is_closed_with_its_upstream_connection() -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(ASKS)

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(GET)
        await client.read_answer()
        await client.expect_end()


async def test_a_request_that_logs_in_to_its_origin_binds_beforehand() -> None:
    token = get(URL, b"Authorization: Negotiate abc")

    async def first(wire: Wire) -> None:
        await wire.expect(token)
        await wire.send(answer())
        await wire.expect(GET)
        await wire.send(answer(200, b"as me"))
        await wire.expect_end()

    async def other(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(answer(200, b"stranger"))
        await wire.expect_cut()

    async with ScriptedUpstream(first, other) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(token)
        await client.expect(answer())
        assert (await px.get(URL))[1] == b"stranger"
        await client.send(GET)
        await client.expect(answer(200, b"as me"))
        client.close()
        px.px._pool.clear()


async def test_a_bound_connection_that_fails_takes_the_client_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exchange, "ANSWER_SECONDS", 0.1)

    async def script(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(ASKS)
        await wire.expect(GET)
        await wire.expect_cut()

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(GET)
        await client.read_answer()
        await client.send(GET)
        head, _ = await client.read_answer()
        assert b" 504 " in head
        assert field_of(head, b"connection") == b"close"
        await client.expect_end()


async def test_a_bound_client_that_px_has_to_log_in_anew_stays_bound() -> None:
    """The upstream ends the login of the bound connection: the client owns the next one."""

    async def first(wire: Wire) -> None:
        await log_in(wire, GET, ASKS)
        await wire.expect(GET)
        await wire.send(login_required(b"NTLM", connection=b"close"))

    async def second(wire: Wire) -> None:
        await expect_ntlm(wire)
        await wire.send(answer(200, b"first"))
        await wire.expect(GET)
        await wire.send(answer(200, b"second"))
        await wire.expect_end()

    async with ScriptedUpstream(first, second) as upstream, running_px(upstream, **as_user()) as px:
        client = await px.connect()
        await client.send(GET)
        await client.read_answer()
        for body in (b"first", b"second"):
            await client.send(GET)
            await client.expect(answer(200, body))
            assert px.kept == "<Pool {}>"
        client.close()


async def test_the_early_answer_is_not_held_up_by_a_client_that_ends_in_its_upload() -> None:
    async def script(wire: Wire) -> None:
        await wire.read_head()
        await wire.send(b"HTTP/1.1 413 No\r\nContent-Length: 6\r\n\r\nabc")
        await wire.expect(b"part")
        await asyncio.sleep(0.05)
        with contextlib.suppress(OSError):
            await wire.send(b"def")
        await wire.expect_cut()

    async with ScriptedUpstream(script) as upstream, running_px(upstream, auth="NONE") as px:
        client = await px.connect()
        await client.send(get(URL, b"Content-Length: 100", method=b"POST"))
        head = await client.read_head()
        assert b" 413 " in head
        await client.send(b"part")
        client.half_close()
        await client.expect(b"abcdef")
        await client.expect_cut()
