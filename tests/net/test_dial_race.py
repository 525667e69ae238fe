"""Several upstreams of which some are slow or dead: who is connected to, and when."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace
from typing import cast

import pytest

from px.core.route import Direct, Route, Via, parse_upstreams
from px.net import dial_race, outbound, session
from px.net.connection import Connection, Hop
from px.net.hop_dialer import HopDialer
from px.net.stream import Stream
from tests.net.running_px import RunningPx, as_user, connect, get, post, running_px
from tests.net.silent import Silent
from tests.scripted_upstream import (
    ScriptedUpstream,
    Wire,
    answer,
    expect_ntlm,
    login_required,
    until,
    verify_basic,
)

URL = b"http://origin.test/"
GET = get(URL)
DELAY_SECONDS = 0.2
#: Of the clock of Windows: a timer may be that much early.
TICK_SECONDS = 0.02
#: The socktimeout of `running_px`, much longer, so that one cannot be taken for the other.
TIMEOUT_SECONDS = 2.0


@pytest.fixture(autouse=True)
def short_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the next upstream wait less."""
    monkeypatch.setattr(outbound, "START_DELAY_SECONDS", DELAY_SECONDS)


async def serve(wire: Wire, count: int = 1, expected: bytes = GET) -> None:
    """Answer so many requests, each of them this one."""
    for _ in range(count):
        await wire.expect(expected)
        await wire.send(answer(200, b"hi"))
    await wire.expect_end()


@contextmanager
def lasting(at_least: float, less_than: float) -> Iterator[None]:
    """Measure how long the block takes."""
    begun = time.monotonic()
    yield
    seconds = time.monotonic() - begun
    assert at_least - TICK_SECONDS <= seconds < less_than, seconds


def states(px: RunningPx) -> list[object]:
    """How Px sees its upstreams."""
    upstreams = px.px.report()["upstreams"]
    assert isinstance(upstreams, list)
    return [each["state"] for each in upstreams]


def send_by(px: RunningPx, *routes: Route) -> None:
    """Have all requests take these routes, as a PAC script may say."""

    class Fixed:
        network = 0

        async def routes_for(self, head: object) -> list[Route]:
            return list(routes)

        def report(self, route: Route, *, is_reachable: bool) -> None:
            """Nobody asks."""

    px.px._listener._service.outbound._router = Fixed()


def upstream_route(upstream: Silent | ScriptedUpstream) -> Route:
    return Via(*parse_upstreams(upstream.authority))


async def test_a_black_hole_costs_the_first_request_a_delay_and_the_next_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Silent() as hole:
        async with (
            ScriptedUpstream(serve, serve) as good,
            running_px(hole.authority, good) as px,
        ):
            with lasting(DELAY_SECONDS, TIMEOUT_SECONDS):
                assert (await px.get(URL))[1] == b"hi"
            assert states(px) == ["down", "in use"]
            px.px._pool.clear()
            monkeypatch.setattr(px.px._listener._service.outbound, "_start_delay_seconds", TIMEOUT_SECONDS)
            with lasting(0, TIMEOUT_SECONDS):
                assert (await px.get(URL))[1] == b"hi"


async def test_a_tunnel_and_its_login_go_through_the_one_that_stands() -> None:
    async def let_in(wire: Wire) -> None:
        await wire.read_head()
        await wire.send(login_required(b"NTLM"))
        await expect_ntlm(wire)
        await wire.send(b"HTTP/1.1 200 OK\r\n\r\n")
        await wire.expect(b"hello")
        await wire.send(b"bye")

    with Silent() as hole:
        async with (
            ScriptedUpstream(let_in) as good,
            running_px(hole.authority, good, **as_user()) as px,
        ):
            client = await px.connect()
            with lasting(DELAY_SECONDS, TIMEOUT_SECONDS):
                await client.send(connect(b"origin.test:443"))
                assert (await client.read_head()).startswith(b"HTTP/1.1 200 ")
            await client.send(b"hello")
            await client.expect(b"bye")


async def test_a_body_is_sent_once_and_whole() -> None:
    body = bytes(range(256)) * 40
    request = post(URL, body)
    with Silent() as hole:
        async with (
            ScriptedUpstream(partial(serve, expected=request)) as good,
            running_px(hole.authority, good, auth="NONE") as px,
        ):
            client = await px.connect()
            await client.send(request)
            assert (await client.read_answer())[1] == b"hi"


async def test_an_upstream_that_answers_in_time_has_no_rival() -> None:
    async with (
        ScriptedUpstream(partial(serve, count=2), serve) as first,
        ScriptedUpstream() as never,
        running_px(first, never) as px,
    ):
        for _ in range(2):
            assert (await px.get(URL))[1] == b"hi"
        px.px._pool.clear()
        assert (await px.get(URL))[1] == b"hi"
        assert states(px) == ["in use", "ready"]


async def test_the_connect_that_is_given_up_is_closed() -> None:
    async def shake_no_hands(wire: Wire) -> None:
        await wire.expect(b"\x16\x03")  # a ClientHello
        await wire.expect_cut()

    async with (
        ScriptedUpstream(shake_no_hands) as mute,
        ScriptedUpstream(serve) as good,
        running_px(f"https://{mute.authority}", good) as px,
    ):
        with lasting(DELAY_SECONDS, TIMEOUT_SECONDS):
            assert (await px.get(URL))[1] == b"hi"
        await mute.finish()


async def test_a_rival_that_fails_lets_the_slow_one_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async def look_up(host: str) -> Sequence[str]:
        await asyncio.sleep(0.6 if host == "slow.test" else 0)
        return ["127.0.0.1"]

    async with (
        ScriptedUpstream(serve) as slow,
        running_px(f"slow.test:{slow.port}", "127.0.0.1:1") as px,
    ):
        monkeypatch.setattr(px.px._resolver, "resolve", look_up)
        with lasting(0.6, TIMEOUT_SECONDS):
            assert (await px.get(URL))[1] == b"hi"
        assert states(px) == ["in use", "ready"]


async def test_the_third_is_tried_at_once_when_the_second_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "START_DELAY_SECONDS", 1.0)
    with Silent() as hole:
        async with (
            ScriptedUpstream(serve) as good,
            running_px(hole.authority, "127.0.0.1:1", good) as px,
        ):
            with lasting(1.0, 2.0):
                assert (await px.get(URL))[1] == b"hi"
            assert states(px) == ["down", "ready", "in use"]


async def test_all_dead_is_a_502_within_two_timeouts() -> None:
    with Silent() as first, Silent() as second:
        async with running_px(first.authority, second.authority, socktimeout=0.6) as px:
            for target in (GET, connect(b"origin.test:443")):
                client = await px.connect()
                with lasting(0.6, 1.2):
                    await client.send(target)
                    head, body = await client.read_answer()
                assert head.startswith(b"HTTP/1.1 502 ")
                assert b"cannot be reached" in body


async def test_a_failure_that_came_early_is_told_in_its_turn() -> None:
    with Silent() as hole:
        async with running_px(hole.authority, "127.0.0.1:1", socktimeout=0.6) as px:
            with lasting(0.6, 5):
                head, body = await px.get(URL)
        assert head.startswith(b"HTTP/1.1 502 ")
        assert b"127.0.0.1:1 cannot be reached: the connection was refused" in body


async def test_another_connection_to_the_winner_is_no_race() -> None:
    async def want_login(wire: Wire) -> None:
        await wire.read_head()
        await wire.send(login_required(b'Basic realm="x"', connection=b"close"))

    async def let_in(wire: Wire) -> None:
        verify_basic(await wire.read_head())
        await wire.send(answer(200, b"hi"))

    with Silent() as hole:
        async with (
            ScriptedUpstream(want_login, let_in) as good,
            running_px(hole.authority, good, **as_user()) as px,
        ):
            with lasting(DELAY_SECONDS, TIMEOUT_SECONDS):
                assert (await px.get(URL))[1] == b"hi"


class Connects:
    """Connects that stand when the test says so."""

    def __init__(self) -> None:
        self.standing = {name: asyncio.Event() for name in "ab"}
        self.closed: list[str] = []

    async def connect(self, hop: Hop) -> Connection:
        await self.standing[hop.name].wait()
        stream = SimpleNamespace(close=partial(self.closed.append, hop.name))
        return Connection(cast("Stream", stream), hop)

    async def reach(self, connection: Connection) -> Connection:
        return connection


async def test_of_two_that_stand_at_once_the_first_is_taken_and_the_other_closed() -> None:
    first, second = map(Via, parse_upstreams("a,b"))
    hops: dict[Route, Hop] = {first: Hop("a", "a", "a", 80), second: Hop("b", "b", "b", 80)}
    connects = Connects()
    race = dial_race.DialRace(cast("HopDialer", connects), hops.__getitem__, [first, second], 0.01)
    assert race.take_route() == first
    dialling = asyncio.create_task(race.dial(hops[first]))
    await until(lambda: len(race._running) == 2)
    for event in connects.standing.values():
        event.set()
    connection = await asyncio.wait_for(dialling, 5)
    assert connection.hop.name == "a"
    await until(lambda: connects.closed == ["b"])


async def test_direct_waits_until_the_upstreams_have_failed() -> None:
    with Silent() as hole:
        async with (
            ScriptedUpstream(serve) as good,
            ScriptedUpstream(serve_origin) as origin,
            running_px(noproxy="*") as px,
        ):
            url = f"http://{origin.authority}/".encode()
            send_by(px, upstream_route(hole), Direct())
            with lasting(TIMEOUT_SECONDS, 2 * TIMEOUT_SECONDS):
                assert (await px.get(url))[1] == b"straight"
            send_by(px, upstream_route(hole), upstream_route(good), Direct())
            with lasting(DELAY_SECONDS, TIMEOUT_SECONDS):
                assert (await px.get(URL))[1] == b"hi"


async def serve_origin(wire: Wire) -> None:
    assert (await wire.read_head()).startswith(b"GET / HTTP/1.1\r\n")
    await wire.send(answer(200, b"straight"))


async def test_upstreams_behind_a_direct_route_wait_for_it() -> None:
    with Silent() as hole:
        async with (
            ScriptedUpstream(serve_origin) as origin,
            ScriptedUpstream() as never,
            running_px(noproxy="*", socktimeout=0.6) as px,
        ):
            send_by(px, upstream_route(hole), Direct(), upstream_route(never))
            assert (await px.get(f"http://{origin.authority}/".encode()))[1] == b"straight"


async def test_the_overtaken_one_comes_next_when_the_winner_is_silent() -> None:
    async def be_mute(wire: Wire) -> None:
        await wire.read_head()
        await wire.expect_cut()

    async def close(wire: Wire) -> None:
        await wire.expect_cut()

    with Silent() as hole:
        async with (
            ScriptedUpstream(be_mute, close) as mute,
            running_px(hole.authority, mute, socktimeout=0.6, **as_user()) as px,
        ):
            with lasting(0.6, 5):
                head, body = await px.get(URL)
            assert int(head.split()[1]) in (502, 504)
            assert f"127.0.0.2:{hole.port} cannot be reached".encode() in body


async def test_a_client_that_leaves_ends_all_connects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "HANG_UP_SECONDS", 0.1)
    with Silent() as first, Silent() as second:
        async with running_px(first.authority, second.authority, socktimeout=30.0) as px:
            client = await px.connect()
            await client.send(GET)
            await until(lambda: connects() == 2)
            client.reset()
            await until(lambda: connects() == 0)


def connects() -> int:
    """How many connects of races are under way."""
    running = (task.get_coro() for task in asyncio.all_tasks())
    return sum("DialRace._connect_by" in repr(each) for each in running)


@pytest.mark.parametrize("twice", [False, True], ids=["refused", "refused twice"])
async def test_a_refusal_goes_on_at_once(twice: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "START_DELAY_SECONDS", 1.0)
    async with ScriptedUpstream(serve) as good:
        dead = ["127.0.0.1:1", "127.0.0.1:2"] if twice else ["127.0.0.1:1"]
        async with running_px(*dead, good) as px:
            with lasting(0, 1.0):
                assert (await px.get(URL))[1] == b"hi"
            assert states(px) == ["down"] * len(dead) + ["in use"]
