"""Uploads through proxies that require a login: each arrives exactly once with each kind of proxy."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial

import pytest

from px.upstream import message_sender
from px.upstream.request_body import REPLAY_BYTES
from tests.proxy.running_px import RunningPx, as_user, get, running_px
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
    login_required,
    verify_digest,
    verify_ntlm,
    without_login,
)
from tests.upload_proxy import UploadProxy

URL = b"http://origin.test/up"

HEAD_405 = b"HTTP/1.1 405 Not Allowed\r\nContent-Length: 0\r\n\r\n"
HEAD_501 = b"HTTP/1.1 501 Not Implemented\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
HEAD_302 = b"HTTP/1.1 302 Found\r\nLocation: http://portal.test/\r\nContent-Length: 0\r\n\r\n"
HEAD_403 = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\n"
HEAD_200 = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"

PROXIES: dict[str, Callable[[], UploadProxy]] = {
    "reads the body first": UploadProxy,
    "answers at the head": lambda: UploadProxy(heeds_expect=True),
    "logs in each request": lambda: UploadProxy(holds="request"),
    "logs in each request, answers at the head": lambda: UploadProxy(holds="request", heeds_expect=True),
    "keeps the login after HEAD only": lambda: UploadProxy(holds="HEAD"),
    "closes after each first 407": lambda: UploadProxy(closes="each 407"),
    "closes after each answer": lambda: UploadProxy(closes="each answer"),
    "closes after each answer, answers at the head": lambda: UploadProxy(
        closes="each answer", heeds_expect=True
    ),
    "a page with the 407 to HEAD": lambda: UploadProxy(sends_page_to_head=True),
    "405 to HEAD": lambda: UploadProxy(to_head=HEAD_405),
    "501 to HEAD": lambda: UploadProxy(to_head=HEAD_501),
    "302 to HEAD": lambda: UploadProxy(to_head=HEAD_302),
    "403 to HEAD": lambda: UploadProxy(to_head=HEAD_403),
    "200 to HEAD": lambda: UploadProxy(to_head=HEAD_200),
}
#: To a request without a body these look like an upstream without a login, unless they honour Expect.
FREE: dict[str, Callable[[], UploadProxy]] = {
    "GET is free, answers at the head": lambda: UploadProxy(free_methods=(b"GET",), heeds_expect=True),
    "no login wanted": lambda: UploadProxy(is_open=True),
    "no login wanted, answers at the head": lambda: UploadProxy(is_open=True, heeds_expect=True),
    "the first token will do": lambda: UploadProxy(takes_first_token=True),
    "the first token will do, answers at the head": lambda: UploadProxy(
        takes_first_token=True, heeds_expect=True
    ),
}

SIZES = [0, 1, REPLAY_BYTES - 1, REPLAY_BYTES, REPLAY_BYTES + 1, 1_000_000]


def as_params(proxies: dict[str, Callable[[], UploadProxy]]) -> list[object]:
    return [pytest.param(make, id=name) for name, make in proxies.items()]


@pytest.fixture(autouse=True)
def short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_sender, "CONTINUE_SECONDS", 0.05)


async def upload(
    px: RunningPx, body: bytes, *fields: bytes, method: bytes = b"POST", is_chunked: bool = False
) -> None:
    """Send a body over a new connection; the proxy answers with the number of bytes that arrived."""
    client = await px.connect()
    if is_chunked:
        head = get(URL, *fields, b"Transfer-Encoding: chunked", method=method)
        pieces = [body[at : at + 70_000] for at in range(0, len(body), 70_000)]
        await client.send(head + b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in pieces))
        await client.send(b"0\r\n\r\n")
    else:
        await client.send(get(URL, *fields, b"Content-Length: %d" % len(body), method=method) + body)
    head, said = await read_final(client)
    assert (head[:13], said) == (b"HTTP/1.1 200 ", b"%d" % len(body)), (head, said)


async def read_final(client: Wire) -> tuple[bytes, bytes]:
    """Skip the 100 for a client that sent Expect, and return the final answer."""
    head, body = await client.read_answer()
    while head.startswith(b"HTTP/1.1 100 "):
        head, body = await client.read_answer()
    return head, body


def content(size: int) -> bytes:
    return (b"0123456789abcdef" * (size // 16 + 1))[:size]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("make_proxy", as_params(PROXIES | FREE))
async def test_a_body_of_any_size_arrives_exactly_once(
    make_proxy: Callable[[], UploadProxy], size: int
) -> None:
    proxy, body = make_proxy(), content(size)
    async with proxy.upstream() as upstream, running_px(upstream, **as_user(), socktimeout=1.0) as px:
        for _ in range(3):  # first at an unknown upstream, then at a known one
            await upload(px, body)
        upstream._scripts[upstream.connections :] = []
    assert proxy.uploads == [(b"POST", body)] * 3


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize("fields", [(), (b"Expect: 100-continue",)], ids=["", "expect"])
@pytest.mark.parametrize("method", [b"PUT", b"PATCH", b"PROPFIND"])
@pytest.mark.parametrize("heeds_expect", [False, True])
async def test_a_body_of_any_kind_arrives_exactly_once(
    method: bytes, fields: tuple[bytes, ...], *, is_chunked: bool, heeds_expect: bool
) -> None:
    proxy = UploadProxy(heeds_expect=heeds_expect, holds="request")
    bodies = [content(1000), content(600_000)]
    async with proxy.upstream() as upstream, running_px(upstream, **as_user()) as px:
        for body in bodies:
            await upload(px, body, *fields, method=method, is_chunked=is_chunked)
        upstream._scripts[upstream.connections :] = []
    assert proxy.uploads == [(method, body) for body in bodies]


@pytest.mark.parametrize("size", [1000, 600_000])
@pytest.mark.parametrize("make_proxy", as_params(PROXIES))
async def test_an_upload_takes_at_most_one_message_more_than_a_get(
    make_proxy: Callable[[], UploadProxy], size: int
) -> None:
    gets, uploads = make_proxy(), make_proxy()
    for proxy, request in ((gets, None), (uploads, content(size))):
        async with proxy.upstream() as upstream, running_px(upstream, **as_user()) as px:
            if request is None:
                await px.get(URL)
            else:
                await upload(px, request)
            upstream._scripts[upstream.connections :] = []
    assert len(uploads.heads) <= len(gets.heads) + 1


async def test_px_learns_that_a_login_lasts_for_one_request_and_avoids_further_407s() -> None:
    proxy = UploadProxy(holds="request")
    async with proxy.upstream() as upstream, running_px(upstream, **as_user()) as px:
        counts = []
        for _ in range(4):
            before = len(proxy.heads)
            assert b" 200 " in (await px.get(URL))[0]
            counts.append(len(proxy.heads) - before)
        upstream._scripts[upstream.connections :] = []
    assert counts == [3, 3, 2, 2]


async def test_px_repeats_an_upload_without_its_own_expect_after_a_417() -> None:
    body = content(600_000)
    request = get(URL, b"Content-Length: %d" % len(body), method=b"PUT")

    async def refuses(wire: Wire) -> None:
        await wire.expect(get(URL))
        await wire.send(answer())
        head = await wire.read_head()
        assert head == request.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
        await wire.send(answer(417))
        await wire.expect_end()

    async def takes(wire: Wire) -> None:
        await wire.expect(request + body)
        await wire.send(answer(200, b"%d" % len(body)))

    async with ScriptedUpstream(refuses, takes, takes) as upstream, running_px(upstream, **as_user()) as px:
        for _ in range(2):
            await upload(px, body, method=b"PUT")


async def test_a_client_that_sent_expect_gets_the_417() -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(get(URL))
        await wire.send(answer())
        await wire.read_head()
        await wire.send(answer(417))
        await wire.expect_cut()

    async with ScriptedUpstream(script) as upstream, running_px(upstream, **as_user()) as px:
        client = await px.connect()
        await client.send(get(URL, b"Content-Length: 600000", b"Expect: 100-continue", method=b"PUT"))
        assert b" 417 " in (await client.read_answer())[0]


async def test_a_417_does_not_show_that_a_kept_login_lasts() -> None:
    proxy, short, long = UploadProxy(holds="request", fails_expect=True), content(5), content(600_000)
    async with proxy.upstream() as upstream, running_px(upstream, **as_user()) as px:
        await upload(px, short)
        client = await px.connect()
        await client.send(get(URL, b"Content-Length: 5", b"Expect: 100-continue", method=b"PUT"))
        assert b" 417 " in (await client.read_answer())[0]
        for body in (short, long):
            await upload(px, body)
        upstream._scripts[upstream.connections :] = []
    assert [body for _, body in proxy.uploads] == [short, short, long]


async def test_px_gives_up_a_login_that_the_upstream_denies_without_a_body() -> None:
    """It challenges a token if the message announces the body; otherwise it answers 403 and stays open."""

    async def denies(wire: Wire) -> None:
        with contextlib.suppress(AssertionError, OSError):  # Px closes the connection when it gives up
            while True:
                head = await wire.read_head()
                if b"\r\nProxy-Authorization: " not in head:
                    await wire.send(login_required(b"NTLM"))
                elif b"\r\nExpect: " in head:
                    await answer_negotiate(wire, head)
                else:
                    await wire.send(answer(403))

    async with ScriptedUpstream(*[denies] * 30) as upstream, running_px(upstream, **as_user()) as px:
        client = await px.connect()
        await client.send(get(URL, b"Content-Length: 600000", method=b"POST") + content(600_000))
        head, _ = await client.read_answer()
        assert head.split()[1] in (b"403", b"502")
        assert upstream.connections <= 10
        upstream._scripts[upstream.connections :] = []


async def test_the_client_sees_nothing_of_a_get_that_px_sends_before_an_upload() -> None:
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"
    body = content(600_000)

    async def script(wire: Wire) -> None:
        await wire.expect(get(URL))
        await wire.send(hint + answer(404, b"not here"))
        await wire.read_head()
        await wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await wire.expect(body)
        await wire.send(answer(200, b"%d" % len(body)))

    async with ScriptedUpstream(script) as upstream, running_px(upstream, **as_user()) as px:
        await upload(px, body)


async def test_digest_uses_a_new_nonce_for_each_long_body_without_a_100() -> None:
    body = content(600_000)

    async def script(wire: Wire, count: int) -> None:
        await wire.expect(get(URL))
        await wire.send(login_required(digest_challenge(f"n{count}")))
        head = await wire.read_head()
        assert (b"Expect" in head) == (count == 0)
        verify_digest(head, nonce=f"n{count}", nonce_count=1, username=USERNAME, password=PASSWORD)
        await wire.expect(body)
        await wire.send(answer(200, b"%d" % len(body)))

    scripts = [partial(script, count=count) for count in range(3)]
    async with ScriptedUpstream(*scripts) as upstream, running_px(upstream, **as_user(), auth="DIGEST") as px:
        for _ in range(3):
            await upload(px, body, method=b"PUT")


# Px never repeats a request that may have arrived


@pytest.mark.parametrize("is_silent", [False, True], ids=["closes", "silent"])
async def test_px_does_not_repeat_a_body_sent_with_the_first_token_if_no_answer_comes(
    *, is_silent: bool
) -> None:
    async def offers(wire: Wire) -> None:
        await wire.expect(get(URL))
        await wire.send(login_required(b"NTLM"))
        await expect_ntlm(wire)
        await wire.send(answer(200, b"ok", b"Connection: close"))

    async def fails(wire: Wire) -> None:
        assert without_login(await wire.read_head()) == get(URL)
        await wire.send(answer())  # the upstream seems to accept the first token
        head = await wire.read_head()
        assert head.startswith(b"POST ")
        credentials_of(head, b"NTLM")
        await wire.expect(b"body")
        if is_silent:
            await wire.expect_cut()

    async with (
        ScriptedUpstream(offers, fails) as upstream,
        running_px(upstream, **as_user(), socktimeout=0.3) as px,
    ):
        await px.get(URL)
        client = await px.connect()
        await client.send(get(URL, b"Content-Length: 4", method=b"POST") + b"body")
        assert b" 50" in (await client.read_answer())[0]


@pytest.mark.parametrize("is_silent", [False, True], ids=["closes", "silent"])
async def test_px_tries_a_login_again_after_no_answer_to_the_first_token_of_an_upload(
    *, is_silent: bool
) -> None:
    request = get(URL, b"Content-Length: 4", method=b"POST") + b"body"

    async def offers(wire: Wire) -> None:
        await wire.expect(get(URL))
        await wire.send(login_required(b"NTLM"))
        await expect_ntlm(wire)
        await wire.send(answer(200, b"ok", b"Connection: close"))

    async def fails(wire: Wire) -> None:
        assert without_login(await wire.read_head()) == get(URL)
        if is_silent:
            await wire.expect_cut()

    async def takes(wire: Wire) -> None:
        if is_silent:  # a site for which the upstream requires no login
            await wire.expect(request)
        else:
            first = await wire.read_head()
            challenge = await answer_negotiate(wire, first)
            final = await wire.read_head()
            verify_ntlm(first, challenge, final, scheme=b"NTLM")
            assert without_login(final) + await wire.read_exactly(4) == request
        await wire.send(answer(200, b"4"))

    async with (
        ScriptedUpstream(offers, fails, takes) as upstream,
        running_px(upstream, **as_user(), socktimeout=0.3) as px,
    ):
        await px.get(URL)
        await upload(px, b"body")


async def test_px_repeats_a_request_without_a_body_if_the_upstream_closes_in_the_handshake() -> None:
    """The request has no body, and the upstream has asked for a login."""
    posts = get(URL, b"Content-Length: 0", method=b"POST")

    async def offers(wire: Wire) -> None:
        await wire.expect(posts)
        await wire.send(login_required(b"NTLM", connection=b"close"))

    async def fails(wire: Wire) -> None:
        credentials_of(await wire.read_head(), b"NTLM")

    async def goes_on(wire: Wire) -> None:
        assert await expect_ntlm(wire) == (posts, posts)
        await wire.send(answer(200, b"0"))

    async with (
        ScriptedUpstream(offers, fails, goes_on) as upstream,
        running_px(upstream, **as_user()) as px,
    ):
        await upload(px, b"")
