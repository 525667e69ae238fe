"""Answers that violate RFC 9112: the bytes that the client gets, and whether Px keeps the connection."""

from __future__ import annotations

import logging
from base64 import b64encode

import pytest

from tests.odd_answers import BODY, CHUNKED, CODING, LENGTH, REFUSED, REPAIRED, UNTOUCHED
from tests.proxy.running_px import as_user, connect, get, post, running_px
from tests.scripted_upstream import (
    ScriptedUpstream,
    Wire,
    answer,
    expect_ntlm,
    login_required,
    make_challenge,
    verify_ntlm,
    without_login,
)

URL = b"http://origin.test/"
GET = get(URL)
CONNECT = connect(b"origin.test:443")
OPEN = b"HTTP/1.1 200 Connection established\r\n\r\n"


@pytest.mark.parametrize("kind", REPAIRED)
async def test_a_repaired_answer_is_strict_and_ends_the_connection_to_the_hop(kind: str) -> None:
    said, expected = REPAIRED[kind]

    async def first(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(said)  # the connection stays open, but Px does not wait for more
        await wire.expect_end()

    async def second(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(answer())

    async with ScriptedUpstream(first, second) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(GET)
        await client.expect(expected)
        await client.send(GET)
        await client.expect(answer())


async def test_the_debug_log_reports_a_repair(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "px.request")

    async def script(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(REPAIRED["a space in a name"][0])
        await wire.expect_end()

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        await px.get(URL)
    assert "repaired" in caplog.text


@pytest.mark.parametrize("kind", UNTOUCHED)
async def test_px_keeps_the_connection_after_an_answer_with_clear_framing(kind: str) -> None:
    said, expected = UNTOUCHED[kind]

    async def script(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(said)
        await wire.expect(GET)
        await wire.send(answer())

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(GET)
        await client.expect(expected)
        await client.send(GET)
        await client.expect(answer())


@pytest.mark.parametrize("kind", REFUSED)
async def test_an_ambiguous_answer_becomes_a_502_at_once(kind: str) -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(REFUSED[kind])
        await wire.expect_cut()

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        head, body = await px.get(URL)
        assert head.startswith(b"HTTP/1.1 502 ")
        assert BODY not in body
        assert b"The answer came through the upstream http://127.0.0.1:" in body


async def test_an_answer_that_ends_with_the_connection_is_repaired_too() -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(b"HTTP/1.0 200 OK\nTransfer-Encoding: identity\n\n")
        await wire.send(BODY)

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(GET)
        await client.expect(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + BODY)
        await client.expect_end()


@pytest.mark.parametrize("said", [CHUNKED.replace(b"\r", b""), b"HTTP/1.0" + CHUNKED[8:]])
async def test_a_client_of_http_1_0_gets_the_payload(said: bytes) -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(said)
        await wire.expect_end()

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(GET.replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert (await client.read_to_end()).endswith(b"\r\n\r\n" + BODY)


@pytest.mark.parametrize("method", [b"HEAD", b"GET"])
async def test_a_repaired_answer_without_a_body_is_complete_at_once(method: bytes) -> None:
    status = b"200 OK" if method == b"HEAD" else b"304 Not Modified"

    async def script(wire: Wire) -> None:
        await wire.expect(get(URL, method=method))
        await wire.send(b"HTTP/1.1 " + status + b"\nA: b\nContent-Length: 6\nTransfer-Encoding: chunked\n\n")
        await wire.expect_end()

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(get(URL, method=method))
        await client.expect(b"HTTP/1.1 " + status + b"\r\nA: b\r\n" + CODING + b"\r\n")


# Answers by the upstream itself


def repaired_407s(challenge: bytes) -> dict[str, bytes]:
    """A 407 in several spellings, each with a page of five bytes."""
    strict = login_required(challenge)
    head, _, page = strict.partition(b"\r\n\r\n")
    return {
        "LF": strict.replace(b"\r", b""),
        "mixed line ends": strict.replace(b"\r\nContent", b"\nContent"),
        "a space in a name": head + b"\r\nX-Foo Bar: 1\r\n\r\n" + page,
        "a name of UTF-8": head + b"\r\nX-\xc3\xa4: 1\r\n\r\n" + page,
        "a control character": head + b"\r\nX-A: a\x01\r\n\r\n" + page,
        "LF in a value": head + b"\r\nX-A: 1\nX-B: 2\r\n\r\n" + page,
        "length and chunked": head + b"\r\n" + CODING + b"\r\n5 \r\nlogin\n0\n\n",
        "250 fields": head + b"\r\n" + b"X-A: 1\r\n" * 250 + b"\r\n" + page,
    }


@pytest.mark.parametrize("kind", repaired_407s(b"NTLM"))
@pytest.mark.parametrize("request_line", [GET, CONNECT])
async def test_a_login_continues_after_a_repaired_407(kind: str, request_line: bytes) -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(request_line)
        await wire.send(repaired_407s(b"NTLM")[kind])
        first = await wire.read_head()
        challenge = make_challenge(first)
        await wire.send(repaired_407s(b"NTLM " + b64encode(challenge))[kind])
        second = await wire.read_head()
        verify_ntlm(first, challenge, second, scheme=b"NTLM")
        assert without_login(second) == request_line
        await wire.send(answer() if request_line is GET else OPEN)
        if request_line is GET:  # this answer needed no repair, so Px keeps the connection
            await wire.expect(GET)
            await wire.send(answer(200, b"again"))

    async with ScriptedUpstream(script) as upstream, running_px(upstream, **as_user()) as px:
        client = await px.connect()
        await client.send(request_line)
        await client.expect(answer() if request_line is GET else OPEN)
        if request_line is GET:
            assert (await px.get(URL))[1] == b"again"


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.0 200 Connection established\n\n",
        b"HTTP/1.1 200\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nProxy-Agent: a\n\n",
        b"HTTP/1.1 200 OK\r\nX-Foo Bar: 1\r\n\r\n",
        b"http/1.1 200 OK\r\nX-\xc3\xa4: 1\r\nContent-Length: 3\r\nTransfer-Encoding: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-A: a\x01\r\n\r\n",
    ],
)
async def test_a_tunnel_opens_however_its_answer_is_spelled(said: bytes) -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(CONNECT)
        await wire.send(said + b"\n\nfirst\r\n\r\n")
        await wire.expect(b"through")

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(CONNECT)
        await client.expect(OPEN + b"\n\nfirst\r\n\r\n")
        await client.send(b"through")
        await client.expect_end()


async def test_px_closes_a_logged_in_connection_after_a_repaired_answer() -> None:
    async def first(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(login_required(b"NTLM"))
        await expect_ntlm(wire)
        await wire.send(REPAIRED["length and chunked"][0])
        await wire.expect_end()

    async def second(wire: Wire) -> None:
        await expect_ntlm(wire)
        await wire.send(answer())

    async with ScriptedUpstream(first, second) as upstream, running_px(upstream, **as_user()) as px:
        client = await px.connect()
        await client.send(GET)
        await client.expect(CHUNKED)
        assert (await px.get(URL))[1] == b"ok"


async def test_a_connection_on_which_a_client_has_logged_in_stays_bound_after_a_repair() -> None:
    said = b"HTTP/1.1 401 Who\r\nWWW-Authenticate: NTLM\r\nX-Foo Bar: 1\r\n" + LENGTH + b"\r\n" + BODY

    async def script(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(said)
        await wire.expect(get(URL, b"Authorization: NTLM abcd"))
        await wire.send(said)
        await wire.expect(GET)
        await wire.send(answer())

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        client = await px.connect()
        for request in (GET, get(URL, b"Authorization: NTLM abcd")):
            await client.send(request)
            assert (await client.read_answer())[1] == BODY
        await client.send(GET)
        await client.expect(answer())


# Interim answers


@pytest.mark.parametrize("request_", [GET, post(URL, b"abc")])
@pytest.mark.parametrize("interim", [b"100 Continue", b"102 Processing", b"103 Early Hints"])
async def test_px_forwards_an_unrequested_interim_answer(request_: bytes, interim: bytes) -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(request_)
        await wire.send(b"HTTP/1.1 " + interim + b"\nA: b\n\n" + answer())

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(request_)
        await client.expect(b"HTTP/1.1 " + interim + b"\r\nA: b\r\n\r\n" + answer())


async def test_a_client_of_http_1_0_gets_no_interim_answer() -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(GET)
        await wire.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\n\r\n" + answer())

    async with ScriptedUpstream(script) as upstream, running_px(upstream) as px:
        client = await px.connect()
        await client.send(GET.replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert (await client.read_to_end()).startswith(b"HTTP/1.1 200 ")
