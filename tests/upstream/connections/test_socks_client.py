"""SOCKS upstreams that follow a script, to show behaviour that no real upstream shows on demand."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from pathlib import Path
from typing import cast

import pytest

from px.core.http.request_head import parse_request
from px.core.rules.route import parse_upstreams
from px.upstream.connections import socks_client
from px.upstream.forwarder import _origin_hop
from px.upstream.message import Request
from px.upstream.request_body import RequestBody
from tests.proxy.running_px import RunningPx, connect, get, running_px
from tests.scripted_upstream import Script, ScriptedUpstream, Wire, answer

NAME = b"\3\x0borigin.test"
ASK_80 = b"\5\1\0" + NAME + b"\0\x50"
GRANTED = b"\5\0\0\1\0\0\0\0\0\0"
#: A request for which the SOCKS upstream grants a connection.
GET = b"GET /x HTTP/1.1\r\nHost: origin.test\r\n\r\n"
URL = b"http://origin.test/x"


async def grant(wire: Wire, ask: bytes = ASK_80) -> None:
    """Grant a connection."""
    await wire.expect(b"\5\1\0")
    await wire.send(b"\5\0")
    await wire.expect(ask)
    await wire.send(GRANTED)


async def serve_gets(wire: Wire, count: int = 1) -> None:
    """Grant the connection, then answer a number of GETs as the origin."""
    await grant(wire)
    for _ in range(count):
        await wire.expect(GET)
        await wire.send(answer(200, b"hi"))
    await wire.expect_end()


def socks5(upstream: ScriptedUpstream, userinfo: str = "") -> str:
    """Return the upstream as the user writes it for --proxy."""
    return f"socks5://{userinfo}{upstream.authority}"


async def test_px_sends_a_get_in_origin_form_and_keeps_the_connection_for_the_origin() -> None:
    async with (
        ScriptedUpstream(partial(serve_gets, count=2)) as upstream,
        running_px(socks5(upstream)) as px,
    ):
        for _ in range(2):
            assert (await px.get(URL))[1] == b"hi"


async def test_px_opens_another_connection_for_another_origin() -> None:
    async def serve_other(wire: Wire) -> None:
        await grant(wire, b"\5\1\0\3\x0aother.test\0\x50")
        await wire.expect(b"GET / HTTP/1.1\r\nHost: other.test\r\n\r\n")
        await wire.send(answer())

    async with ScriptedUpstream(serve_gets, serve_other) as upstream, running_px(socks5(upstream)) as px:
        assert (await px.get(URL))[1] == b"hi"
        assert (await px.get(b"http://other.test/"))[1] == b"ok"


def test_a_connection_of_one_user_is_not_used_for_another() -> None:
    head = parse_request(GET.replace(b"/x", URL))
    request = Request(head, cast("RequestBody", None), None)
    upstreams = parse_upstreams("socks5://alice:a@h,socks5://bob:a@h,socks5://h,socks4://h,socks5://i")
    hops = [_origin_hop(request, upstream) for upstream in (*upstreams, None)]
    assert len({hop.key for hop in hops}) == len(hops)


async def test_px_does_not_send_the_login_of_the_settings_to_a_socks_upstream() -> None:
    async def refuse(wire: Wire) -> None:
        await wire.expect(b"\5\1\0")
        await wire.send(b"\5\xff")

    async with (
        ScriptedUpstream(refuse) as upstream,
        running_px(socks5(upstream), username="CORP\\alice", auth="ANY") as px,
    ):
        head, body = await px.get(URL)
        assert head.startswith(b"HTTP/1.1 502 ")
        assert b"wants a login" in body
        assert b"USER:PASSWORD@127.0.0.1" in body


async def test_a_wrong_password_is_sent_twice_at_most(tmp_path: Path) -> None:
    passwords = 0

    async def refuse(wire: Wire) -> None:
        nonlocal passwords
        await wire.expect(b"\5\2\0\2")
        await wire.send(b"\5\2")
        if login := await asyncio.get_running_loop().sock_recv(wire.sock, 100):
            assert login == b"\1\5alice\5wrong"
            passwords += 1
            await wire.send(b"\1\1")
            await wire.expect_end()

    async with ScriptedUpstream(*[refuse] * 7) as upstream:
        for _ in range(2):  # the second Px does not know the refusals of the first one
            async with running_px(socks5(upstream, "alice:wrong@"), state=tmp_path) as px:
                answers = await asyncio.gather(*(px.get(URL) for _ in range(3)))
                assert {head.split(b" ")[1] for head, _ in answers} == {b"502"}
        async with running_px(socks5(upstream, "alice:wrong@"), state=tmp_path) as px:
            head, body = await px.get(URL)
            assert b"\r\nRetry-After: " in head
            assert b"refused alice 2 times in a row" in body
        assert passwords == 2


@pytest.mark.parametrize("piece", [1, 3])
async def test_px_reads_a_reply_in_pieces_that_the_origins_bytes_follow(piece: int) -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(b"\5\1\0")
        await send_pieces(wire, b"\5\0", piece)
        await wire.expect(b"\5\1\0\3\x0borigin.test\x00\x19")
        await send_pieces(wire, b"\5\0\0\3\4host\0\1" + b"220 hello", piece)
        await wire.expect(b"EHLO")
        await wire.send(b"250 ok")
        wire.half_close()
        await wire.expect_end()

    async with ScriptedUpstream(script) as upstream, running_px(socks5(upstream)) as px:
        client = await px.connect()
        await client.send(connect(b"origin.test:25"))
        assert (await client.read_head()).startswith(b"HTTP/1.1 200 ")
        await client.expect(b"220 hello")
        await client.send(b"EHLO")
        await client.expect(b"250 ok")
        client.half_close()
        await client.expect_end()


async def send_pieces(wire: Wire, data: bytes, size: int) -> None:
    """Send the pieces so that Px reads each one separately."""
    for at in range(0, len(data), size):
        await wire.send(data[at : at + size])
        await asyncio.sleep(0.005)


async def test_the_clients_early_bytes_follow_the_handshake() -> None:
    async def script(wire: Wire) -> None:
        await wire.expect(b"\4\1\x01\xbb\0\0\0\1\0origin.test\0")
        await wire.send(b"\0\x5a\0\0\0\0\0\0")
        await wire.expect(b"early")
        await wire.send(b"late")

    async with (
        ScriptedUpstream(script) as upstream,
        running_px(f"socks4://{upstream.authority}") as px,
    ):
        client = await px.connect()
        await client.send(connect(b"origin.test:443") + b"early")
        assert (await client.read_head()).startswith(b"HTTP/1.1 200 ")
        await client.expect(b"late")


async def close_at_once(wire: Wire) -> None:
    await wire.expect(b"\5\1\0")


async def reset_before_the_reply(wire: Wire) -> None:
    await wire.expect(b"\5\1\0")
    await wire.send(b"\5\0")
    await wire.expect(ASK_80)
    wire.reset()


async def speak_http(wire: Wire) -> None:
    await wire.expect(b"\5\1\0")
    await wire.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await wire.expect_cut()


async def fail_generally(wire: Wire) -> None:
    await wire.expect(b"\5\1\0")
    await wire.send(b"\5\0")
    await wire.expect(ASK_80)
    await wire.send(b"\5\1\0\1\0\0\0\0\0\0")
    await wire.expect_end()


async def be_mute(wire: Wire) -> None:
    await wire.expect(b"\5\1\0")
    await wire.expect_end()


@pytest.mark.parametrize(
    ("script", "status", "says"),
    [
        (close_at_once, 502, b"closed the connection before its method"),
        (reset_before_the_reply, 502, b"closed the connection before its reply"),
        (speak_http, 502, b"does not speak SOCKS5"),
        (fail_generally, 502, b"a general failure"),
        (be_mute, 504, b"was silent for 0.3 s"),
    ],
)
async def test_an_upstream_that_fails_is_skipped(script: Script, status: int, says: bytes) -> None:
    async with (
        ScriptedUpstream(script) as bad,
        ScriptedUpstream(serve_gets) as good,
        running_px(socks5(bad), socks5(good), socktimeout=0.3) as px,
    ):
        assert (await px.get(URL))[1] == b"hi"
        assert states(px) == ["down", "in use"]
    async with ScriptedUpstream(script) as bad, running_px(socks5(bad), socktimeout=0.3) as px:
        head, body = await px.get(URL)
        assert head.startswith(b"HTTP/1.1 %d " % status)
        assert says in body
        assert bad.authority.encode() in body


def states(px: RunningPx) -> list[object]:
    """Return the state of each upstream in Px's view."""
    upstreams = px.px.report()["upstreams"]
    assert isinstance(upstreams, list)
    return [each["state"] for each in upstreams]


@pytest.mark.parametrize(("code", "status"), [(2, 403), (3, 502), (4, 502), (5, 502), (6, 504), (8, 502)])
async def test_a_refusal_of_the_target_becomes_the_clients_answer(code: int, status: int) -> None:
    async def deny(wire: Wire) -> None:
        await wire.expect(b"\5\1\0")
        await wire.send(b"\5\0")
        await wire.expect(ASK_80)
        await wire.send(bytes((5, code, 0, 1)) + bytes(6))
        await wire.expect_end()

    async with (
        ScriptedUpstream(deny) as upstream,
        ScriptedUpstream() as never,
        running_px(socks5(upstream), socks5(never)) as px,
    ):
        client = await px.connect()
        await client.send(get(URL))
        head, body = await client.read_answer()
        assert head.startswith(b"HTTP/1.1 %d " % status)
        assert b"does not connect to origin.test:80" in body
        assert b"(SOCKS5 reply %d)" % code in body
        assert states(px) == ["in use", "ready"]


async def test_a_slow_origin_is_not_blamed_on_the_upstream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socks_client, "REPLY_SECONDS", 0.5)

    async def be_slow(wire: Wire) -> None:
        await wire.expect(b"\5\1\0")
        await wire.send(b"\5\0")
        await wire.expect(ASK_80)
        await wire.expect_end()

    async with (
        ScriptedUpstream(be_slow) as slow,
        ScriptedUpstream() as never,
        running_px(socks5(slow), socks5(never), socktimeout=0.2) as px,
    ):
        begun = time.monotonic()
        head, body = await px.get(URL)
        assert 0.4 < time.monotonic() - begun < 3
        assert head.startswith(b"HTTP/1.1 504 ")
        assert b"did not say within 0.5 s whether it reaches origin.test:80" in body
        assert states(px) == ["in use", "ready"]


async def test_a_client_that_leaves_ends_the_handshake() -> None:
    asked = asyncio.Event()

    async def wait(wire: Wire) -> None:
        await wire.expect(b"\5\1\0")
        await wire.send(b"\5\0")
        await wire.expect(ASK_80)
        asked.set()
        await wire.expect_end()

    async with ScriptedUpstream(wait) as upstream, running_px(socks5(upstream)) as px:
        client = await px.connect()
        await client.send(get(URL))
        await asyncio.wait_for(asked.wait(), 5)
        client.reset()


async def test_px_sends_only_http_and_tunnels_through_socks() -> None:
    async with ScriptedUpstream() as upstream, running_px(socks5(upstream)) as px:
        head, body = await px.get(b"ftp://origin.test/x")
        assert head.startswith(b"HTTP/1.1 501 ")
        assert b"does not speak ftp" in body
