"""Several upstreams, some slow or dead: which one Px uses, and after what time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace
from typing import cast

import pytest

from px.core.rules.route import Direct, Route, Via, parse_upstreams
from px.downstream import session
from px.io.stream import Stream
from px.upstream import forwarder as forwarder_module
from px.upstream.connections import dial_race
from px.upstream.connections.connection import Connection, Hop
from px.upstream.connections.hop_dialer import HopDialer
from tests.io.silent import Silent
from tests.proxy.running_px import RunningPx, as_user, connect, get, post, running_px
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
#: The resolution of Windows' clock: a timer may fire this much early.
TICK_SECONDS = 0.02
#: The socktimeout of `running_px`, so much longer than the delay that a test cannot confuse the two.
TIMEOUT_SECONDS = 2.0


@pytest.fixture(autouse=True)
def short_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the delay before the next upstream is tried."""
    monkeypatch.setattr(forwarder_module, "START_DELAY_SECONDS", DELAY_SECONDS)


async def serve(wire: Wire, count: int = 1, expected: bytes = GET) -> None:
    """Answer a number of requests, each of them the same."""
    for _ in range(count):
        await wire.expect(expected)
        await wire.send(answer(200, b"hi"))
    await wire.expect_end()


@contextmanager
def lasting(at_least: float, less_than: float) -> Iterator[None]:
    """Check the duration of the block."""
    begun = time.monotonic()
    yield
    seconds = time.monotonic() - begun
    assert at_least - TICK_SECONDS <= seconds < less_than, seconds


def states(px: RunningPx) -> list[object]:
    """Return the state of each upstream in Px's view."""
    upstreams = px.px.report()["upstreams"]
    assert isinstance(upstreams, list)
    return [each["state"] for each in upstreams]


def send_by(px: RunningPx, *routes: Route) -> None:
    """Make all requests take these routes, as a PAC script may."""

    class Fixed:
        network = 0

        async def routes_for(self, head: object, *, is_from_here: bool) -> list[Route]:
            return list(routes)

        def report(self, route: Route, *, is_reachable: bool) -> None:
            """Do nothing: no caller needs it."""

    px.px._listener._service.forwarder._router = Fixed()


def upstream_route(upstream: Silent | ScriptedUpstream) -> Route:
    return Via(*parse_upstreams(upstream.authority))


async def test_a_silent_upstream_delays_only_the_first_request(
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
            monkeypatch.setattr(px.px._listener._service.forwarder, "_start_delay_seconds", TIMEOUT_SECONDS)
            with lasting(0, TIMEOUT_SECONDS):
                assert (await px.get(URL))[1] == b"hi"


async def test_a_tunnel_and_its_login_use_the_first_upstream_that_is_connected() -> None:
    async def accept_login(wire: Wire) -> None:
        await wire.read_head()
        await wire.send(login_required(b"NTLM"))
        await expect_ntlm(wire)
        await wire.send(b"HTTP/1.1 200 OK\r\n\r\n")
        await wire.expect(b"hello")
        await wire.send(b"bye")

    with Silent() as hole:
        async with (
            ScriptedUpstream(accept_login) as good,
            running_px(hole.authority, good, **as_user()) as px,
        ):
            client = await px.connect()
            with lasting(DELAY_SECONDS, TIMEOUT_SECONDS):
                await client.send(connect(b"origin.test:443"))
                assert (await client.read_head()).startswith(b"HTTP/1.1 200 ")
            await client.send(b"hello")
            await client.expect(b"bye")


async def test_a_body_is_sent_once_and_completely() -> None:
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


async def test_px_connects_to_no_other_upstream_if_the_first_answers_in_time() -> None:
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


async def test_a_cancelled_connect_is_closed() -> None:
    async def ignore_client_hello(wire: Wire) -> None:
        await wire.expect(b"\x16\x03")  # the ClientHello
        await wire.expect_cut()

    async with (
        ScriptedUpstream(ignore_client_hello) as mute,
        ScriptedUpstream(serve) as good,
        running_px(f"https://{mute.authority}", good) as px,
    ):
        with lasting(DELAY_SECONDS, TIMEOUT_SECONDS):
            assert (await px.get(URL))[1] == b"hi"
        await mute.finish()


async def test_a_slow_connect_continues_when_the_next_upstream_fails(monkeypatch: pytest.MonkeyPatch) -> None:
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


async def test_px_tries_the_third_upstream_at_once_when_the_second_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(forwarder_module, "START_DELAY_SECONDS", 1.0)
    with Silent() as hole:
        async with (
            ScriptedUpstream(serve) as good,
            running_px(hole.authority, "127.0.0.1:1", good) as px,
        ):
            with lasting(1.0, 2.0):
                assert (await px.get(URL))[1] == b"hi"
            assert states(px) == ["down", "ready", "in use"]


async def test_if_all_upstreams_are_dead_a_502_comes_within_two_timeouts() -> None:
    with Silent() as first, Silent() as second:
        async with running_px(first.authority, second.authority, socktimeout=0.6) as px:
            for target in (GET, connect(b"origin.test:443")):
                client = await px.connect()
                with lasting(0.6, 1.2):
                    await client.send(target)
                    head, body = await client.read_answer()
                assert head.startswith(b"HTTP/1.1 502 ")
                assert b"cannot be reached" in body


async def test_an_early_failure_is_reported_when_its_route_is_tried() -> None:
    with Silent() as hole:
        async with running_px(hole.authority, "127.0.0.1:1", socktimeout=0.6) as px:
            with lasting(0.6, 5):
                head, body = await px.get(URL)
        assert head.startswith(b"HTTP/1.1 502 ")
        assert b"127.0.0.1:1 cannot be reached: the connection was refused" in body


async def test_a_second_connection_to_the_chosen_upstream_starts_no_race() -> None:
    async def want_login(wire: Wire) -> None:
        await wire.read_head()
        await wire.send(login_required(b'Basic realm="x"', connection=b"close"))

    async def accept_login(wire: Wire) -> None:
        verify_basic(await wire.read_head())
        await wire.send(answer(200, b"hi"))

    with Silent() as hole:
        async with (
            ScriptedUpstream(want_login, accept_login) as good,
            running_px(hole.authority, good, **as_user()) as px,
        ):
            with lasting(DELAY_SECONDS, TIMEOUT_SECONDS):
                assert (await px.get(URL))[1] == b"hi"


class Connects:
    """Connects that succeed when the test wants it."""

    def __init__(self) -> None:
        self.standing = {name: asyncio.Event() for name in "ab"}
        self.closed: list[str] = []

    async def connect(self, hop: Hop) -> Connection:
        await self.standing[hop.name].wait()
        stream = SimpleNamespace(close=partial(self.closed.append, hop.name))
        return Connection(cast("Stream", stream), hop)

    async def reach(self, connection: Connection) -> Connection:
        return connection


async def test_of_two_simultaneous_connections_the_first_is_taken_and_the_other_closed() -> None:
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


async def test_a_direct_route_waits_until_the_upstreams_have_failed() -> None:
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


async def test_the_overtaken_upstream_comes_next_when_the_winner_is_silent() -> None:
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
    """Return the number of pending connects of races."""
    running = (task.get_coro() for task in asyncio.all_tasks())
    return sum("DialRace._connect_by" in repr(each) for each in running)


@pytest.mark.parametrize("twice", [False, True], ids=["refused", "refused twice"])
async def test_px_tries_the_next_upstream_at_once_after_a_refusal(
    twice: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forwarder_module, "START_DELAY_SECONDS", 1.0)
    async with ScriptedUpstream(serve) as good:
        dead = ["127.0.0.1:1", "127.0.0.1:2"] if twice else ["127.0.0.1:1"]
        async with running_px(*dead, good) as px:
            with lasting(0, 1.0):
                assert (await px.get(URL))[1] == b"hi"
            assert states(px) == ["down"] * len(dead) + ["in use"]
