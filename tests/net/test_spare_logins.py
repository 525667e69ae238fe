"""Connections logged in ahead: when there are some, and when there are none."""

from __future__ import annotations

import asyncio

import pytest

from px.net import spare_logins
from tests.net.running_px import RunningPx, as_user, connect, running_px
from tests.scripted_upstream import ScriptedUpstream, Wire, expect_ntlm, until

OPENED = b"HTTP/1.1 200 Connection established\r\n\r\n"
TRACED = b"HTTP/1.1 200 OK\r\nContent-Type: message/http\r\nContent-Length: 6\r\n\r\nTRACE "
OFFER = b"HTTP/1.1 407 Who are you\r\nProxy-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n"
SITE = b"origin.test:443"
_TO_MAKE_ONE = 5


async def first_tunnel(wire: Wire) -> None:
    """That of a Px which does not know yet what the upstream wants."""
    await wire.expect(connect(SITE))
    await wire.send(OFFER)
    await tunnel(wire)


async def tunnel(wire: Wire) -> None:
    _, final = await expect_ntlm(wire)
    assert final == connect(SITE)
    await wire.send(OPENED)
    await wire.expect_cut()


async def spare(wire: Wire) -> None:
    """A connection that is logged in for a TRACE, and used by a tunnel at once."""
    first, final = await expect_ntlm(wire)
    assert first == final
    assert final.startswith(b"TRACE http://127.0.0.1:")
    assert b"\r\nMax-Forwards: 0\r\n" in final
    await wire.send(TRACED)
    await wire.expect(connect(SITE))
    await wire.send(OPENED)
    await wire.expect_cut()


_SOME_MORE = [tunnel] * (_TO_MAKE_ONE - 1)


async def open_tunnel(px: RunningPx) -> Wire:
    client = await px.connect()
    await client.send(connect(SITE))
    await client.expect(OPENED)
    return client


async def open_some(px: RunningPx, count: int = _TO_MAKE_ONE) -> None:
    for _ in range(count):
        await open_tunnel(px)


async def test_a_tunnel_takes_one_exchange_over_a_connection_logged_in_ahead() -> None:
    async with (
        ScriptedUpstream(first_tunnel, *_SOME_MORE, spare, idle_spare, idle_spare) as upstream,
        running_px(upstream, **as_user()) as px,
    ):
        await open_some(px)
        await until(lambda: "NTLM" in px.kept)
        await open_tunnel(px)
        await until(lambda: ": 2}" in px.kept)  # and the next ones are there, for tunnels come faster


async def idle_spare(wire: Wire) -> None:
    await expect_ntlm(wire)
    await wire.send(TRACED)
    await wire.expect_cut()


async def test_few_tunnels_make_none() -> None:
    async with (
        ScriptedUpstream(first_tunnel, *_SOME_MORE[1:]) as upstream,
        running_px(upstream, **as_user()) as px,
    ):
        await open_some(px, _TO_MAKE_ONE - 1)
        await asyncio.sleep(0.05)
        assert px.kept == "<Pool {}>"


async def test_none_is_made_while_the_secret_is_unproven(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("px.core.lockout.PROOF_SECONDS", -1.0)
    async with (
        ScriptedUpstream(first_tunnel, *_SOME_MORE) as upstream,
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


async def one_that_closes_after(wire: Wire) -> None:
    await expect_ntlm(wire)
    await wire.send(TRACED.replace(b"Content-Type", b"Connection: close\r\nContent-Type"))
    await wire.expect_cut()


async def unwanted(wire: Wire) -> None:
    """Closes what nobody uses at once."""
    await expect_ntlm(wire)
    await wire.send(TRACED)


@pytest.mark.parametrize("script", [refusing, closing, one_that_closes_after, unwanted])
async def test_an_upstream_that_does_not_play_on_is_left_alone(script: object) -> None:
    """And its refusal counts against nobody: the tunnels after it log in as ever."""
    later = [tunnel] * 4
    async with (
        ScriptedUpstream(first_tunnel, *_SOME_MORE, script, *later) as upstream,  # type: ignore[arg-type]
        running_px(upstream, **as_user()) as px,
    ):
        await open_some(px)
        await until(lambda: upstream.connections == _TO_MAKE_ONE + 1)
        await until(lambda: px.kept == "<Pool {}>" and not px.px._outbound._spares._making)
        await open_some(px, len(later))


async def test_there_are_no_more_than_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spare_logins, "FREE_TUNNELS", -9)
    most = 4  # of each of the two workers that there are unless somebody says otherwise
    async with (
        ScriptedUpstream(first_tunnel, *[idle_spare] * most) as upstream,
        running_px(upstream, **as_user()) as px,
    ):
        await open_some(px, 1)
        await until(lambda: f"NTLM/{as_user()['username']}" in px.kept or f": {most}}}" in px.kept)
        await until(lambda: f": {most}}}" in px.kept)
        await asyncio.sleep(0.05)
