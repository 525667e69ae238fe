"""The time at which a body follows its head, the interim answers that Px forwards, and the time limits."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from px.upstream import answer_timeout, message_sender
from tests.proxy.running_px import as_user, get, post, running_px
from tests.scripted_upstream import (
    PASSWORD,
    USERNAME,
    ScriptedUpstream,
    Wire,
    answer,
    digest_challenge,
    field_of,
    login_required,
    verify_digest,
)

URL = b"http://origin.test/"
GET = get(URL)
BIG = bytes(range(256)) * 2000


async def log_in_by_digest(wire: Wire) -> None:
    await wire.expect(GET)
    await wire.send(login_required(digest_challenge("abc")))
    await wire.read_head()
    await wire.send(answer())


async def test_a_final_answer_instead_of_the_100_that_px_asked_for_ends_the_connection() -> None:
    async def first(wire: Wire) -> None:
        await log_in_by_digest(wire)
        head = await wire.read_head()
        verify_digest(head, nonce="abc", nonce_count=2, username=USERNAME, password=PASSWORD)
        assert field_of(head, b"expect") == b"100-continue"
        await wire.send(answer(413, b"too much"))
        # The upstream may still wait for that body, so this connection must not carry the next request.
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
        client = await px.connect()
        await client.send(GET)
        await client.read_answer()
        await client.send(get(URL, b"Content-Length: 1000000", method=b"POST"))
        head, body = await client.read_answer()
        assert (head[:13], body) == (b"HTTP/1.1 413 ", b"too much")
        assert field_of(head, b"connection") == b"close"
        assert (await px.get(URL))[1] == b"ok"


async def test_px_sends_a_body_even_if_no_100_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_sender, "CONTINUE_SECONDS", 0.05)

    async def script(wire: Wire) -> None:
        await log_in_by_digest(wire)
        await wire.read_head()
        await wire.expect(BIG)
        await wire.send(b"HTTP/1.1 100 Continue\r\n\r\n" + answer())

    async with ScriptedUpstream(script) as upstream, running_px(upstream, **as_user(), auth="DIGEST") as px:
        client = await px.connect()
        await client.send(GET)
        await client.read_answer()
        await client.send(post(URL, BIG))
        await client.expect(answer())


async def test_px_forwards_a_100_that_the_client_asked_for() -> None:
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


async def test_px_answers_504_if_no_answer_comes_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_timeout, "ANSWER_SECONDS", 0.1)

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


async def test_px_uses_the_next_upstream_if_one_accepts_but_does_not_answer() -> None:
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


async def test_px_waits_for_a_slow_origin_behind_a_new_upstream() -> None:
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
async def test_px_answers_504_if_no_answer_to_an_upload_comes_in_time(
    monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(answer_timeout, "ANSWER_SECONDS", 0.2)

    async def script(wire: Wire) -> None:
        await wire.read_head()
        await wire.read_exactly(size)
        await wire.expect_cut()

    async with ScriptedUpstream(script) as upstream, running_px(upstream, auth="NONE") as px:
        client = await px.connect()
        await client.send(post(URL, b"a" * (size - 1))[:-1].replace(b": %d" % (size - 1), b": %d" % size))
        await asyncio.sleep(0.02)  # so that the body does not arrive in one piece
        await client.send(b"aa")
        head, _ = await client.read_answer()
        assert b" 504 " in head


async def test_the_early_answer_is_not_delayed_by_a_client_that_ends_in_its_upload() -> None:
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
