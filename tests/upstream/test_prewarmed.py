"""Prewarmed connections: when Px makes them, and when it does not."""

from __future__ import annotations

import asyncio

import pytest

from px.upstream import prewarmed as prewarmed_module
from tests.proxy.running_px import RunningPx, as_user, connect, running_px
from tests.scripted_upstream import ScriptedUpstream, Wire, expect_ntlm, until

OPENED = b"HTTP/1.1 200 Connection established\r\n\r\n"
TRACED = b"HTTP/1.1 200 OK\r\nContent-Type: message/http\r\nContent-Length: 6\r\n\r\nTRACE "
OFFER = b"HTTP/1.1 407 Who are you\r\nProxy-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n"
SITE = b"origin.test:443"
_TUNNELS_BEFORE_PREWARMING = 5


async def first_tunnel(wire: Wire) -> None:
    """Serve the first tunnel of a Px that does not know the upstream's schemes yet."""
    await wire.expect(connect(SITE))
    await wire.send(OFFER)
    await tunnel(wire)


async def tunnel(wire: Wire) -> None:
    _, final = await expect_ntlm(wire)
    assert final == connect(SITE)
    await wire.send(OPENED)
    await wire.expect_cut()


async def prewarmed(wire: Wire) -> None:
    """Serve a connection that a TRACE logs in and a tunnel uses."""
    first, final = await expect_ntlm(wire)
    assert first == final
    assert final.startswith(b"TRACE http://127.0.0.1:")
    assert b"\r\nMax-Forwards: 0\r\n" in final
    await wire.send(TRACED)
    await wire.expect(connect(SITE))
    await wire.send(OPENED)
    await wire.expect_cut()


_MORE_TUNNELS = [tunnel] * (_TUNNELS_BEFORE_PREWARMING - 1)


async def open_tunnel(px: RunningPx) -> Wire:
    client = await px.connect()
    await client.send(connect(SITE))
    await client.expect(OPENED)
    return client


async def open_some(px: RunningPx, count: int = _TUNNELS_BEFORE_PREWARMING) -> None:
    for _ in range(count):
        await open_tunnel(px)


async def test_a_tunnel_over_a_prewarmed_connection_takes_one_exchange() -> None:
    async with (
        ScriptedUpstream(first_tunnel, *_MORE_TUNNELS, prewarmed, idle_prewarmed, idle_prewarmed) as upstream,
        running_px(upstream, **as_user()) as px,
    ):
        await open_some(px)
        await until(lambda: "NTLM" in px.kept)
        await open_tunnel(px)
        await until(lambda: ": 2}" in px.kept)  # Px prewarms the next ones, since tunnels come faster now


async def idle_prewarmed(wire: Wire) -> None:
    await expect_ntlm(wire)
    await wire.send(TRACED)
    await wire.expect_cut()


async def test_px_prewarms_no_connections_for_few_tunnels() -> None:
    async with (
        ScriptedUpstream(first_tunnel, *_MORE_TUNNELS[1:]) as upstream,
        running_px(upstream, **as_user()) as px,
    ):
        await open_some(px, _TUNNELS_BEFORE_PREWARMING - 1)
        await asyncio.sleep(0.05)
        assert px.kept == "<Pool {}>"


async def test_px_prewarms_no_connections_with_an_uncertain_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("px.core.login.lockout.ACCEPTED_LATELY_SECONDS", -1.0)
    async with (
        ScriptedUpstream(first_tunnel, *_MORE_TUNNELS) as upstream,
        running_px(upstream, **as_user()) as px,
    ):
        await open_some(px)
        await asyncio.sleep(0.05)
        assert px.kept == "<Pool {}>"


async def refusing(wire: Wire) -> None:
    await expect_ntlm(wire)
    await wire.send(OFFER)
    await wire.expect_cut()


async def closing(wire: Wire) -> None:
    await expect_ntlm(wire)


async def closing_after_the_answer(wire: Wire) -> None:
    await expect_ntlm(wire)
    await wire.send(TRACED.replace(b"Content-Type", b"Connection: close\r\nContent-Type"))
    await wire.expect_cut()


async def closing_when_idle(wire: Wire) -> None:
    """Accept the login of a prewarmed connection, then close it."""
    await expect_ntlm(wire)
    await wire.send(TRACED)


@pytest.mark.parametrize("script", [refusing, closing, closing_after_the_answer, closing_when_idle])
async def test_px_prewarms_no_more_connections_after_a_failure(script: object) -> None:
    """Such a refusal does not count: the following tunnels log in as before."""
    later = [tunnel] * 4
    async with (
        ScriptedUpstream(first_tunnel, *_MORE_TUNNELS, script, *later) as upstream,  # type: ignore[arg-type]
        running_px(upstream, **as_user()) as px,
    ):
        await open_some(px)
        await until(lambda: upstream.connections == _TUNNELS_BEFORE_PREWARMING + 1)
        await until(lambda: px.kept == "<Pool {}>" and not px.px._forwarder._prewarmed._making)
        await open_some(px, len(later))


async def test_the_number_of_prewarmed_connections_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prewarmed_module, "FREE_TUNNELS", -9)
    most = 4  # the limit for each of two workers, the default number
    async with (
        ScriptedUpstream(first_tunnel, *[idle_prewarmed] * most) as upstream,
        running_px(upstream, **as_user()) as px,
    ):
        await open_some(px, 1)
        await until(lambda: f"NTLM/{as_user()['username']}" in px.kept or f": {most}}}" in px.kept)
        await until(lambda: f": {most}}}" in px.kept)
        await asyncio.sleep(0.05)
