"""The pages of 407s: long, slow, endless or without a length; and announced closes that do not happen."""

from __future__ import annotations

import asyncio
import os
import time
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from px.core.auth.ntlm.messages import format_challenge, parse_negotiate
from px.upstream.login_page import MAX_PAGE_BYTES
from tests.proxy.running_px import as_user, connect, get, running_px
from tests.scripted_upstream import (
    Script,
    ScriptedUpstream,
    Wire,
    answer,
    credentials_of,
    field_of,
    verify_basic,
    verify_ntlm,
    without_login,
)

URL = b"http://origin.test/"
GET = get(URL)
CONNECT = connect(b"origin.test:443")
OPEN = b"HTTP/1.1 200 Connection established\r\n\r\n"
OFFERS = (b"NTLM", b'Basic realm="x"')

SendPage = Callable[[Wire, bytes], Awaitable[None]]


def challenge_for(first: bytes) -> tuple[bytes, bytes]:
    """Return an NTLM challenge for a type 1 message: raw, and as the value of Proxy-Authenticate."""
    flags = parse_negotiate(b64decode(credentials_of(first, b"NTLM"))).flags
    now = int((time.time() + 11644473600) * 10_000_000)
    raw = format_challenge(os.urandom(8), "UPSTREAM", now, negotiate_flags=flags, dns_name="upstream.test")
    return raw, b"NTLM " + b64encode(raw)


def head_407(*challenges: bytes) -> bytes:
    """Return the beginning of a 407; the test adds its framing and its page."""
    lines = b"".join(b"Proxy-Authenticate: %b\r\n" % each for each in challenges)
    return b"HTTP/1.1 407 Proxy Authentication Required\r\n" + lines


async def log_in(wire: Wire, request: bytes, send_page: SendPage, said: bytes) -> None:
    """Ask a cold client for NTLM, each 407 with a page, verify the login and answer."""
    await wire.expect(request)
    await send_page(wire, head_407(*OFFERS))
    await finish(wire, request, send_page, said)


async def finish(wire: Wire, request: bytes, send_page: SendPage, said: bytes) -> None:
    first = await wire.read_head()
    raw, challenge = challenge_for(first)
    await send_page(wire, head_407(challenge))
    second = await wire.read_head()
    verify_ntlm(first, raw, second, scheme=b"NTLM")
    assert (without_login(first), without_login(second)) == (request, request)
    await wire.send(said)


async def send_with_length(wire: Wire, head: bytes, *, page: bytes, seconds: float = 0.0) -> None:
    await wire.send(head + b"Content-Length: %d\r\n\r\n" % len(page))
    pieces = 1 if not seconds else 8
    size = len(page) // pieces + 1
    for at in range(0, len(page), size):
        await asyncio.sleep(seconds)
        await wire.send(page[at : at + size])


async def send_chunked(wire: Wire, head: bytes, *, page: bytes, size: int) -> None:
    pieces = [page[at : at + size] for at in range(0, len(page), size)]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    await wire.send(head + b"Transfer-Encoding: chunked\r\n\r\n")
    await wire.send(chunks + b"0\r\n\r\n")


async def send_without_length(wire: Wire, head: bytes) -> None:
    await wire.send(head + b"\r\n")


async def send_closing(wire: Wire, head: bytes, *, field: bytes) -> None:
    await wire.send(head + b"%b: close\r\nContent-Length: 5\r\n\r\nlogin" % field)


_PAGES = {
    "80 KB": partial(send_with_length, page=b"x" * 80_000),
    "1 MiB": partial(send_with_length, page=b"x" * MAX_PAGE_BYTES),
    "chunked": partial(send_chunked, page=b"x" * 300_000, size=9999),
    "tiny chunks": partial(send_chunked, page=b"x" * 20_000, size=1),
    "slower than socktimeout, but steady": partial(send_with_length, page=b"x" * 100_000, seconds=0.25),
}


@pytest.mark.parametrize("send_page", [pytest.param(page, id=name) for name, page in _PAGES.items()])
@pytest.mark.parametrize(("request_", "said"), [(GET, answer()), (CONNECT, OPEN)], ids=["GET", "CONNECT"])
async def test_px_reads_the_page_to_its_end_and_continues_the_login(
    send_page: SendPage, request_: bytes, said: bytes
) -> None:
    script = partial(log_in, request=request_, send_page=send_page, said=said)
    async with ScriptedUpstream(script) as upstream, running_px(upstream, **as_user(), socktimeout=1.5) as px:
        client = await px.connect()
        await client.send(request_)
        await client.expect(said)


async def answer_first(wire: Wire) -> None:
    await wire.expect(GET)
    await wire.send(head_407(*OFFERS) + b"Content-Length: 0\r\n\r\n")


async def _send_without_end(wire: Wire, head: bytes) -> None:
    await send_with_length(wire, head, page=b"x" * (MAX_PAGE_BYTES + 500_000))


async def _send_silent(wire: Wire, head: bytes) -> None:
    await wire.send(head + b"Content-Length: 1000\r\n\r\nbeginning")


async def _send_and_close(wire: Wire, head: bytes) -> None:
    await wire.send(head + b"\r\na page that ends with the connection")
    wire.half_close()


async def _send_broken(wire: Wire, head: bytes) -> None:
    await wire.send(head + b"Transfer-Encoding: chunked\r\n\r\nno chunk\r\n")


_BROKEN = {
    "too long": (_send_without_end, b"does not end"),
    "silent": (_send_silent, b"stops in the middle of the page"),
    "closes": (_send_and_close, b"in the middle of the handshake"),
    "broken chunk": (_send_broken, b"in the middle of the handshake"),
    "close is said": (partial(send_closing, field=b"Connection"), b"in the middle of the handshake"),
}


@pytest.mark.parametrize(
    ("send_page", "reason"), [pytest.param(*each, id=name) for name, each in _BROKEN.items()]
)
async def test_an_unreadable_page_ends_the_login_without_a_password_in_clear(
    send_page: SendPage, reason: bytes
) -> None:
    async def script(wire: Wire) -> None:
        await answer_first(wire)
        _, challenge = challenge_for(await wire.read_head())
        try:
            await send_page(wire, head_407(challenge, b'Basic realm="x"'))
        except OSError:
            return
        if reason == b"in the middle of the handshake":
            wire.half_close()
        await wire.expect_cut()
        assert wire._received == b""

    async def nothing(wire: Wire) -> None:
        await wire.expect_end()

    async with (
        ScriptedUpstream(script, nothing) as upstream,
        running_px(upstream, **as_user(), socktimeout=0.3) as px,
    ):
        head, body = await px.get(URL)
        assert b" 502 " in head
        assert reason in body
        assert b"--auth=BASIC" in body
        (hop,) = px.px._hops.known.values()
        assert hop.login is not None
        assert px.px._hops.guard.budget_used(hop.login.source) == 0


@pytest.mark.parametrize(
    "send_page",
    [
        pytest.param(send_without_length, id="no length"),
        pytest.param(partial(send_closing, field=b"Proxy-Connection"), id="Proxy-Connection: close"),
        pytest.param(partial(send_closing, field=b"Connection"), id="Connection: close"),
    ],
)
@pytest.mark.parametrize(("request_", "said"), [(GET, answer()), (CONNECT, OPEN)], ids=["GET", "CONNECT"])
async def test_px_answers_a_challenge_if_the_connection_stays_open(
    send_page: SendPage, request_: bytes, said: bytes
) -> None:
    async def first(wire: Wire) -> None:
        await wire.expect(request_)
        await send_page(wire, head_407(*OFFERS))
        await wire.expect_cut()

    second = partial(finish, request=request_, send_page=send_page, said=said)
    async with ScriptedUpstream(first, second) as upstream, running_px(upstream, **as_user()) as px:
        client = await px.connect()
        await client.send(request_)
        await client.expect(said)


async def test_px_sends_no_token_over_a_connection_that_ends_unannounced_with_a_407() -> None:
    """A token without a verdict would count as possibly wrong."""

    async def closing(wire: Wire) -> None:
        await wire.expect(CONNECT)
        wire.sock.send(head_407(b'Basic realm="x"') + b"Content-Length: 0\r\n\r\n")
        wire.half_close()
        await wire.expect_end()

    async def takes(wire: Wire) -> None:
        verify_basic(await wire.read_head())
        await wire.send(OPEN)

    async with ScriptedUpstream(closing, takes) as upstream, running_px(upstream, **as_user()) as px:
        client = await px.connect()
        await client.send(CONNECT)
        await client.expect(OPEN)


# pages that come with a 407 to HEAD, which RFC 9110 9.3.2 forbids


@pytest.mark.parametrize("is_late", [False, True])
async def test_px_does_not_take_a_page_after_a_407_to_head_for_the_next_answer(*, is_late: bool) -> None:
    request = get(URL, method=b"HEAD")

    async def send_page(wire: Wire, head: bytes) -> None:
        await wire.send(head + b"Content-Length: 9\r\n\r\n" + (b"" if is_late else b"login, do"))
        if is_late:
            await asyncio.sleep(0.05)
            await wire.send(b"login, do")

    async def script(wire: Wire) -> None:
        await log_in(wire, request, send_page, b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n")

    await check_head(script)


async def test_a_login_by_head_works_without_pages() -> None:
    request = get(URL, method=b"HEAD")

    async def send_page(wire: Wire, head: bytes) -> None:
        await wire.send(head + b"Content-Length: 9\r\n\r\n")

    async def script(wire: Wire) -> None:
        await log_in(wire, request, send_page, b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n")

    await check_head(script)


async def check_head(script: Script) -> None:
    async with ScriptedUpstream(script) as upstream, running_px(upstream, **as_user()) as px:
        client = await px.connect()
        await client.send(get(URL, method=b"HEAD"))
        head = await client.read_head()
        assert b" 200 " in head
        assert field_of(head, b"content-length") == b"7"
