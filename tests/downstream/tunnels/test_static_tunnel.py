"""Static tunnels: a connection to a port of Px is a tunnel to one target."""

from __future__ import annotations

import logging

import pytest

from px.core.http.target import Authority
from px.downstream.tunnels.static_tunnel import StaticTunnel
from tests.proxy.running_px import connect, listening, running_px
from tests.scripted_upstream import ScriptedUpstream, Wire, answer

TUNNEL = StaticTunnel(Authority("mail.test", 25))


async def test_a_static_tunnel_opens_at_once_since_the_server_may_speak_first() -> None:
    async def serve(wire: Wire) -> None:
        await wire.expect(connect(b"mail.test:25"))
        await wire.send(b"HTTP/1.1 200 OK\r\n\r\n220 mail.test\r\n")
        await wire.expect(b"QUIT\r\n")
        await wire.expect_end()

    async with (
        ScriptedUpstream(serve) as upstream,
        running_px(upstream) as http,
        listening(TUNNEL, http) as px,
    ):
        client = await px.connect()
        await client.expect(b"220 mail.test\r\n")
        await client.send(b"QUIT\r\n")
        client.half_close()
        await client.expect_end()


async def test_a_static_tunnel_that_fails_ends_without_a_byte_and_the_log_has_the_reason(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def refuse(wire: Wire) -> None:
        await wire.expect(connect(b"mail.test:25"))
        await wire.send(answer(403, b"not that port"))
        await wire.expect_cut()

    caplog.set_level(logging.DEBUG, "px.request")
    async with (
        ScriptedUpstream(refuse) as upstream,
        running_px(upstream) as http,
        listening(TUNNEL, http) as px,
    ):
        client = await px.connect()
        await client.expect_end()
    assert f"The upstream http://{upstream.authority} opens no tunnel to mail.test:25" in caplog.text
    assert "it answered 403" in caplog.text


async def test_a_client_that_may_not_use_px_gets_no_byte() -> None:
    async with running_px(allow="192.0.2.1") as http, listening(TUNNEL, http) as px:
        client = await px.connect()
        await client.expect_end()
