"""Logins, replays and failures between Px and its upstreams, as wire transcripts."""

from __future__ import annotations

import asyncio
import contextlib
import errno

import pytest

from px.downstream import session
from px.upstream import answer_timeout
from px.upstream.connections import dial
from tests.proxy.running_px import as_user, connect, get, post, running_px
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


async def test_a_known_upstream_gets_the_first_token_without_a_407() -> None:
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


async def test_two_concurrent_requests_never_share_a_logged_in_connection() -> None:
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


async def test_px_answers_a_407_with_close_on_a_fresh_connection() -> None:
    async def first(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(login_required(b"NTLM", connection=b"close"))

    async def second(wire: Wire) -> None:
        await expect_ntlm(wire)
        await wire.send(answer())

    async with ScriptedUpstream(first, second) as upstream, running_px(upstream, **as_user()) as px:
        assert (await px.get(URL))[1] == b"ok"


async def test_px_skips_the_chunked_page_of_a_407() -> None:
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


async def test_px_repeats_a_handshake_in_which_the_upstream_closes_once() -> None:
    async def first(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(login_required(b"NTLM"))
        assert without_login(await wire.read_head()) == GET

    async def second(wire: Wire) -> None:
        await expect_ntlm(wire)
        await wire.send(answer())

    async with ScriptedUpstream(first, second) as upstream, running_px(upstream, **as_user()) as px:
        assert (await px.get(URL))[1] == b"ok"


async def test_px_uses_the_next_method_if_the_upstream_always_closes_in_the_handshake() -> None:
    offers = (b"NTLM", digest_challenge("abc"), b'Basic realm="x"')

    async def cold(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(login_required(*offers))
        credentials_of(await wire.read_head(), b"NTLM")

    async def again(wire: Wire) -> None:
        credentials_of(await wire.read_head(), b"NTLM")

    async def last(wire: Wire) -> None:
        verify_digest(
            await wire.read_head(), nonce="abc", nonce_count=2, username=USERNAME, password=PASSWORD
        )
        await wire.send(answer())

    async with ScriptedUpstream(cold, again, last) as upstream, running_px(upstream, **as_user()) as px:
        assert (await px.get(URL))[1] == b"ok"


async def test_px_sends_no_password_in_clear_if_the_upstream_always_closes_in_the_handshake() -> None:
    async def cold(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(login_required(b"NTLM", b'Basic realm="x"'))
        credentials_of(await wire.read_head(), b"NTLM")

    async def again(wire: Wire) -> None:
        credentials_of(await wire.read_head(), b"NTLM")

    async def nothing(wire: Wire) -> None:
        await wire.expect_end()

    scripts = (cold, again, nothing, again, again, nothing)
    async with ScriptedUpstream(*scripts) as upstream, running_px(upstream, **as_user()) as px:
        for _ in range(2):
            head, body = await px.get(URL)
            assert b" 502 " in head
            assert b"in the middle of the handshake" in body
            assert b"--auth=BASIC" in body


async def test_px_uses_the_next_upstream_after_socktimeout_without_an_answer_to_type_1() -> None:
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


async def test_px_answers_504_if_its_only_upstream_does_not_answer_type_1() -> None:
    async def silent(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(login_required(b"NTLM"))
        await wire.read_head()
        await wire.expect_cut()

    async with ScriptedUpstream(silent) as bad, running_px(bad, **as_user(), socktimeout=0.1) as px:
        head, body = await px.get(URL)
        assert b" 504 " in head
        assert b"did not go on with the login" in body


async def test_an_answer_slower_than_socktimeout_still_arrives() -> None:
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
        head = await wire.read_head()
        assert head == get(target) or head.startswith(b"TRACE ")
        await wire.send(login_required(b"NTLM"))
    head = await wire.read_head()
    await answer_negotiate(wire, head)
    credentials_of(await wire.read_head(), b"NTLM")
    await wire.send(login_required(b"NTLM"))


async def test_two_refusals_block_the_identity_for_all_later_requests() -> None:
    async def first(wire: Wire) -> None:
        await refuse_ntlm(wire, is_cold=True)

    async def second(wire: Wire) -> None:
        await refuse_ntlm(wire, is_cold=True)  # the verification

    async with (
        ScriptedUpstream(first, second) as upstream,
        running_px(upstream, **as_user("wrong")) as px,
    ):
        for _ in range(2):
            head, body = await px.get(URL)
            assert b" 502 " in head
            assert USERNAME.encode() in body
        for _ in range(3):  # Px does not even connect
            head, body = await px.get(URL)
            assert int(field_of(head, b"retry-after") or 0) > 0
            assert upstream.authority.encode() in body


async def test_many_concurrent_requests_try_a_wrong_password_twice_at_most() -> None:
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


async def test_px_sends_two_tokens_at_most_while_a_verdict_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
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
                await asyncio.sleep(1.0)  # longer than a login waits at the login gate
                await wire.send(login_required(b"NTLM"))

    async with (
        ScriptedUpstream(*[script] * 60) as upstream,
        running_px(upstream, **as_user("wrong"), socktimeout=0.3) as px,
    ):
        answers = await asyncio.gather(*(px.get(URL + b"%d" % n) for n in range(15)))
        assert {head.split(b" ")[1] for head, _ in answers} == {b"502"}
        assert tried == 2
        upstream._scripts[upstream.connections :] = []


async def test_px_counts_the_verdict_of_a_client_that_leaves_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("px.downstream.session.HANG_UP_SECONDS", 0.0)
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
        await until(lambda: px.px._hops.guard.budget_used(source) > 0)


async def test_px_tells_a_rule_from_a_wrong_password_even_at_the_first_request() -> None:
    """The first target is denied by a 407, at an upstream that offers two methods with one password."""
    offers = (b"Negotiate", b"NTLM")

    async def denied(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(login_required(*offers))
        await expect_ntlm(wire, scheme=b"Negotiate")
        await wire.send(login_required(*offers))

    async def proof(wire: Wire) -> None:
        bare = await wire.read_head()
        assert bare.startswith(b"TRACE http://%b/ HTTP/1.1\r\n" % upstream.authority.encode())
        assert field_of(bare, b"max-forwards") == b"0"
        await wire.send(login_required(*offers))
        first, second = await expect_ntlm(wire)
        assert without_login(first) == without_login(second) == bare
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


async def test_px_never_sends_a_password_by_basic_that_ntlm_has_refused() -> None:
    async def first(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(login_required(b"NTLM", b'Basic realm="x"'))
        await answer_negotiate(wire, await wire.read_head())
        credentials_of(await wire.read_head(), b"NTLM")
        await wire.send(login_required(b"NTLM", b'Basic realm="x"'))

    async def second(wire: Wire) -> None:
        await wire.read_head()
        await wire.send(login_required(b"NTLM", b'Basic realm="x"'))
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


async def test_px_answers_403_for_a_rule_that_denies_a_logged_in_user_by_407() -> None:
    denied = b"http://denied.test/"

    async def warm(wire: Wire) -> None:
        await log_in(wire)
        await wire.expect(get(denied))
        await wire.send(login_required(b"NTLM"))
        await wire.expect_end()  # Squid accepts no second login on one connection

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


async def test_px_waits_for_no_verdict_after_a_broken_answer() -> None:
    """The upstream keeps the connection of the broken answer open; the next login must not wait for it."""

    async def broken(wire: Wire) -> None:
        await log_in(wire, said=b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n")
        await wire.expect_cut()

    async def verifies(wire: Wire) -> None:
        await wire.read_head()
        await wire.send(login_required(b"NTLM"))
        await expect_ntlm(wire)
        await wire.send(answer())
        await wire.expect(GET)
        await wire.send(answer())

    async with (
        ScriptedUpstream(broken, verifies) as upstream,
        running_px(upstream, **as_user(), socktimeout=30.0) as px,
    ):
        assert b" 502 " in (await px.get(URL))[0]
        assert (await px.get(URL))[1] == b"ok"


async def test_the_502_names_offered_schemes_that_px_cannot_use() -> None:
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
async def test_digest_costs_one_407_for_each_nonce_and_increments_the_count(algorithm: str) -> None:
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


async def test_a_stale_nonce_does_not_count_as_a_refusal() -> None:
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


async def test_px_sends_basic_without_a_407_after_the_first_time() -> None:
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


async def test_px_repeats_a_small_body_that_a_407_interrupts_after_a_get() -> None:
    request = post(URL, b"a small body")

    async def first(wire: Wire) -> None:
        await wire.expect(request)
        await wire.send(login_required(b"NTLM"))
        # The connection may be about to close, so Px sends no unrepeatable request over it.
        await wire.expect_end()

    async def second(wire: Wire) -> None:
        head = await wire.read_head()
        assert without_login(head) == GET
        challenge = await answer_negotiate(wire, head)
        final = await wire.read_head()
        verify_ntlm(head, challenge, final, scheme=b"NTLM")
        assert without_login(final) + await wire.read_exactly(12) == request
        await wire.send(answer())

    async with ScriptedUpstream(first, second) as upstream, running_px(upstream, **as_user()) as px:
        client = await px.connect()
        await client.send(request)
        assert (await client.read_answer())[1] == b"ok"


async def test_a_post_without_its_body_begins_a_login_that_a_get_does_not_need() -> None:
    """A rule of the upstream requires a login only for POST, so after one 407 another is certain."""
    request = post(URL, b"a small body")
    empty = get(URL, b"Content-Length: 0", method=b"POST")

    async def offers(wire: Wire) -> None:
        await wire.expect(request)
        await wire.send(login_required(b"NTLM", connection=b"close"))

    async def wants_it_for_post(wire: Wire) -> None:
        assert without_login(await wire.read_head()) == GET
        await wire.send(answer())
        head = await wire.read_head()
        assert without_login(head) + await wire.read_exactly(12) == request
        await answer_negotiate(wire, head, closes=True)

    async def goes_on(wire: Wire) -> None:
        head = await wire.read_head()
        assert without_login(head) == empty
        challenge = await answer_negotiate(wire, head)
        final = await wire.read_head()
        verify_ntlm(head, challenge, final, scheme=b"NTLM")
        assert without_login(final) + await wire.read_exactly(12) == request
        await wire.send(answer())

    async with (
        ScriptedUpstream(offers, wants_it_for_post, goes_on) as upstream,
        running_px(upstream, **as_user()) as px,
    ):
        client = await px.connect()
        await client.send(request)
        assert (await client.read_answer())[1] == b"ok"


async def test_px_replays_a_body_from_the_buffer_that_was_incomplete_at_the_407() -> None:
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
async def test_a_large_body_for_an_unknown_upstream_waits_behind_a_get(framing: str) -> None:
    if framing == "length":
        request = post(URL, BIG)
    else:
        request = get(URL, b"Transfer-Encoding: chunked", method=b"POST")
        request += b"%x\r\n%b\r\n0\r\n\r\n" % (len(BIG), BIG)

    async def script(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(login_required(b"NTLM"))
        head = await wire.read_head()
        assert without_login(head) == GET
        challenge = await answer_negotiate(wire, head)
        final = await wire.read_head()
        verify_ntlm(head, challenge, final, scheme=b"NTLM")
        assert field_of(final, b"expect") == b"100-continue"
        await wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await wire.expect(request.partition(b"\r\n\r\n")[2])
        await wire.send(answer())
        await wire.expect(GET)
        await wire.send(answer())
        await wire.expect(request)  # that GET has shown that the login lasts, so Px sends the body at once
        await wire.send(answer())

    async with ScriptedUpstream(script) as upstream, running_px(upstream, **as_user()) as px:
        for sent in (request, GET, request):
            client = await px.connect()
            await client.send(sent)
            head, body = await client.read_answer()
            assert (head[:13], body) == (b"HTTP/1.1 200 ", b"ok")


async def test_a_407_during_a_long_upload_is_an_error_and_px_does_not_repeat_the_body() -> None:
    sent = 600_000

    async def script(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(answer())  # the upstream seems to require no login
        await wire.read_head()
        await wire.read_exactly(sent)
        await wire.send(login_required(b"NTLM"))
        await wire.expect_cut()

    async with ScriptedUpstream(script) as upstream, running_px(upstream, **as_user()) as px:
        client = await px.connect()
        await client.send(GET)
        await client.read_answer()
        await client.send(get(URL, b"Content-Length: 1000000", method=b"POST") + b"a" * sent)
        head, body = await client.read_answer()
        assert b" 502 " in head
        assert b"in the middle of a long upload" in body


# connections that die


async def test_px_does_not_use_a_kept_connection_that_has_broken() -> None:
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


async def test_px_drops_a_kept_connection_with_unexpected_bytes() -> None:
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


async def test_px_repeats_a_get_if_a_used_connection_closes_without_an_answer() -> None:
    async def second(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(answer(200, b"again"))

    async with ScriptedUpstream(used_then_closed, second) as upstream, running_px(upstream) as px:
        await px.get(URL)
        assert (await px.get(URL))[1] == b"again"


async def test_px_does_not_repeat_a_get_if_a_fresh_connection_closes_without_an_answer() -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(GET)

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        head, _ = await px.get(URL)
        assert b" 502 " in head


async def test_an_incomplete_head_becomes_a_502() -> None:
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
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
    ],
)
async def test_a_broken_answer_becomes_a_502(said: bytes) -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(said)
        await wire.expect_cut()

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        head, _ = await px.get(URL)
        assert head.startswith(b"HTTP/1.1 502 ")
        assert b"http_protocol_error" in (field_of(head, b"proxy-status") or b"")


# clients that end early


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


async def test_a_half_closed_client_gets_its_answer() -> None:
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


async def test_px_skips_an_unreachable_upstream_and_stays_with_the_next_one() -> None:
    async def script(wire: Wire) -> None:
        for _ in range(2):
            await wire.expect(GET)
            await wire.send(answer())

    async with ScriptedUpstream(script) as upstream, running_px("127.0.0.1:1", upstream) as px:
        for _ in range(2):
            assert (await px.get(URL))[1] == b"ok"


async def test_a_lack_of_descriptors_causes_a_503_and_is_not_held_against_the_upstream(
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


async def test_px_answers_502_if_no_upstream_can_be_reached() -> None:
    async with running_px("127.0.0.1:1", "127.0.0.1:2") as px:
        head, body = await px.get(URL)
        assert b" 502 " in head
        assert b"nothing listens there" in body
        assert b"--proxy" in body


# logins of clients


async def test_px_does_not_forward_a_clients_login_at_a_proxy() -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(get(URL, b"Authorization: Basic eA=="))
        await wire.send(answer(200, b"ok", b"Proxy-Authenticate: Basic", b"Proxy-Authentication-Info: x"))

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        head, _ = await px.get(URL, b"Proxy-Authorization: Basic c2VjcmV0", b"Authorization: Basic eA==")
        assert b"Proxy-Auth" not in head


async def test_with_auth_none_the_client_logs_in_on_a_connection_bound_to_it() -> None:
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
        other_client = await px.connect()
        await other_client.send(GET)
        await other_client.expect(asked)
        client.close()


ASKS = answer(401, b"who?", b"WWW-Authenticate: NTLM", b"WWW-Authenticate: Negotiate")


async def test_a_ntlm_challenge_of_an_origin_binds_the_connection_to_the_client() -> None:
    token = get(URL, b"Authorization: NTLM abc")

    async def first(wire: Wire) -> None:
        for request, said in ((GET, ASKS), (token, ASKS), (token, answer()), (GET, answer())):
            await wire.expect(request)
            await wire.send(said)
        await wire.expect_end()

    async def other(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(answer(200, b"other client"))
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
        assert (await px.get(URL))[1] == b"other client"
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


async def test_a_request_with_a_login_for_its_origin_binds_the_connection() -> None:
    token = get(URL, b"Authorization: Negotiate abc")

    async def first(wire: Wire) -> None:
        await wire.expect(token)
        await wire.send(answer())
        await wire.expect(GET)
        await wire.send(answer(200, b"as me"))
        await wire.expect_end()

    async def other(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(answer(200, b"other client"))
        await wire.expect_cut()

    async with ScriptedUpstream(first, other) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(token)
        await client.expect(answer())
        assert (await px.get(URL))[1] == b"other client"
        await client.send(GET)
        await client.expect(answer(200, b"as me"))
        client.close()
        px.px._pool.clear()


async def test_a_failing_bound_connection_ends_the_clients_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(answer_timeout, "ANSWER_SECONDS", 0.1)

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


async def test_a_bound_client_stays_bound_after_a_new_login_of_px() -> None:
    """The upstream ends the login of the bound connection; Px binds the next connection to the client."""

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
