"""Doubts about a secret: in one Px, and in several that share a state directory as processes of a user do."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest

from px.core.lockout import LockoutGuard
from px.net import login_turn
from px.system.lockout_file import LockoutFile
from tests.net.running_px import RunningPx, as_user, get, running_px
from tests.scripted_upstream import (
    ScriptedUpstream,
    Wire,
    answer,
    answer_negotiate,
    credentials_of,
    field_of,
    login_required,
    until,
)

URL = b"http://origin.test/"
#: Where a test waits for it to pass; else one that a busy machine does not exceed.
SOCKTIMEOUT, LONG_SOCKTIMEOUT = 0.3, 4.0


class Directory:
    """Knows one account and counts refused passwords; its proxy is played by `play`.

    Attributes:
        is_right: Whether it takes the password.
        verdict_seconds: How long each verdict takes.
        tokens: Final tokens so far.
        refused: Those with a bad password.
        traces: Verifications that it has answered.
        answers_trace: Whether its proxy asks for a login when it gets a TRACE.
        slow_sites_asked: Requests to a site that does not answer.
    """

    def __init__(self, *, is_right: bool = False) -> None:
        self.is_right = is_right
        self.verdict_seconds = 0.0
        self.tokens = self.refused = self.traces = 0
        self.answers_trace = True
        self.slow_sites_asked = 0
        self.slow_site_answers = asyncio.Event()

    async def play(self, wire: Wire) -> None:
        """Serve one connection, until its other end closes."""
        with contextlib.suppress(AssertionError, OSError):  # that is how it ends
            is_in = False
            while True:
                head = await wire.read_head()
                if head.startswith(b"TRACE ") and not self.answers_trace:
                    await wire.send(answer(405))
                    continue
                if b"//free.test/" in head:
                    await wire.send(answer())
                    continue
                if b"Proxy-Authorization" in head:
                    is_in = await self._judge(wire, head)
                if not is_in or b"denied.test/" in head:
                    is_in = False
                    await wire.send(login_required(b"NTLM"))
                    continue
                self.traces += head.startswith(b"TRACE ")
                if b"//slow.test/" in head:
                    self.slow_sites_asked += 1
                    await self.slow_site_answers.wait()
                await wire.send(answer())

    async def _judge(self, wire: Wire, head: bytes) -> bool:
        await answer_negotiate(wire, head)
        credentials_of(await wire.read_head(), b"NTLM")
        self.tokens += 1
        is_right = self.is_right
        await asyncio.sleep(self.verdict_seconds)
        self.refused += not is_right
        return is_right


class Network:
    """Several Px before one upstream."""

    def __init__(self, directory: Directory, upstream: ScriptedUpstream, several: list[RunningPx]) -> None:
        self.directory = directory
        self.upstream = upstream
        self.several = several

    async def ask(self, count: int) -> list[tuple[bytes, bytes]]:
        """Send so many requests at once, to each Px in turn."""
        asks = [self.several[n % len(self.several)].get(URL + b"%d" % n) for n in range(count)]
        return await asyncio.gather(*asks)

    def let_time_pass(self) -> None:
        """No login proves a secret for long, and no connection is kept for ever."""
        for px in self.several:
            guard = px.px._hops.guard
            guard._accepted = dict.fromkeys(guard._accepted, 0.0)
            px.px._pool.clear()

    def is_any_in_flight(self) -> bool:
        """Whether the verdict on a login is waited for."""
        return any(
            f"in flight {count} " in repr(px.px._hops.turns) for count in (1, 2) for px in self.several
        )

    async def statuses(self, count: int) -> set[bytes]:
        """Send so many requests at once; return the statuses that came."""
        return {head.split(b" ")[1] for head, _ in await self.ask(count)}


@contextlib.asynccontextmanager
async def several_px(count: int, state: Path, directory: Directory, socktimeout: float = LONG_SOCKTIMEOUT):
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(ScriptedUpstream(*[directory.play] * 200))
        several = [
            await stack.enter_async_context(
                running_px(upstream, state=state, **as_user(), socktimeout=socktimeout)
            )
            for _ in range(count)
        ]
        yield Network(directory, upstream, several)
        upstream._scripts[upstream.connections :] = []
        directory.slow_site_answers.set()


@pytest.mark.parametrize("verdict_seconds", [0.0, 0.1, 3 * SOCKTIMEOUT])
async def test_a_wrong_password_is_tried_twice_at_most_over_all_px(
    tmp_path: Path, verdict_seconds: float
) -> None:
    """Even if each verdict takes longer than anybody waits."""
    async with several_px(3, tmp_path, Directory(), SOCKTIMEOUT) as network:
        network.directory.verdict_seconds = verdict_seconds
        started = time.monotonic()
        assert await network.statuses(24) <= {b"502", b"504"}  # 504: this machine is slower than SOCKTIMEOUT
        assert time.monotonic() - started < 10 * SOCKTIMEOUT
        await until(lambda: network.directory.refused == 2)
        for px in network.several:
            head, body = await px.get(URL)
            assert b" 502 " in head
            assert b"no more logins" in body
        assert network.directory.refused == 2


async def test_a_right_password_serves_everybody_at_once(tmp_path: Path) -> None:
    async with several_px(4, tmp_path, Directory(is_right=True)) as network:
        started = time.monotonic()
        assert await network.statuses(40) == {b"200"}
        assert time.monotonic() - started < 3
        assert network.directory.traces == 0


@pytest.mark.parametrize("is_known_good", [True, False])
async def test_a_first_site_that_does_not_answer_holds_nobody_up_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_known_good: bool
) -> None:
    """The second login is for no site: its verdict speaks for all who wait."""
    monkeypatch.setattr(login_turn, "KNOWN_SECONDS", SOCKTIMEOUT / 3)
    directory = Directory(is_right=True)
    async with several_px(2, tmp_path, directory, SOCKTIMEOUT) as network:
        if is_known_good:
            assert await network.statuses(2) == {b"200"}
            network.let_time_pass()
        slow = await network.several[0].connect()
        await slow.send(get(b"http://slow.test/"))
        await until(lambda: directory.slow_sites_asked)
        assert await network.statuses(20) == {b"200"}
        assert 1 <= directory.traces <= 2
        directory.slow_site_answers.set()
        assert (await slow.read_answer())[1] == b"ok"


async def test_where_no_proof_can_be_had_two_slow_sites_hold_the_others_up_and_they_are_told(
    tmp_path: Path,
) -> None:
    directory = Directory(is_right=True)
    directory.answers_trace = False
    async with several_px(2, tmp_path, directory, SOCKTIMEOUT) as network:
        slow = [await px.connect() for px in network.several]
        for each in slow:
            asked = directory.slow_sites_asked
            await each.send(get(b"http://slow.test/"))
            await until(partial(lambda asked: directory.slow_sites_asked > asked, asked))
        started = time.monotonic()
        for head, body in await network.ask(6):
            assert b" 502 " in head
            assert field_of(head, b"retry-after") == b"1"
            assert b"waits for the upstream's verdict" in body
        assert time.monotonic() - started < 12 * SOCKTIMEOUT
        directory.slow_site_answers.set()
        for each in slow:
            assert (await each.read_answer())[1] == b"ok"
        assert await network.statuses(6) == {b"200"}


async def test_a_proof_whose_verdict_does_not_come_is_not_waited_for_for_ever_and_not_given_up(
    tmp_path: Path,
) -> None:
    directory = Directory()
    async with several_px(1, tmp_path, directory, SOCKTIMEOUT) as network:
        assert await network.statuses(1) == {b"502"}
        directory.verdict_seconds = 5 * SOCKTIMEOUT
        started = time.monotonic()
        head, body = (await network.ask(1))[0]
        assert b" 502 " in head
        assert b"waits for the upstream's verdict" in body
        assert time.monotonic() - started < 4 * SOCKTIMEOUT
        assert await network.statuses(1) == {b"502"}
        await until(lambda: not network.is_any_in_flight())
        assert b"no more logins" in (await network.ask(1))[0][1]
        assert directory.refused == 2


async def test_a_password_that_was_good_in_all_px_is_tried_three_times_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was changed meanwhile. One refusal is held against the site; then two count. No verdict is quick."""
    monkeypatch.setattr(login_turn, "KNOWN_SECONDS", SOCKTIMEOUT / 3)
    directory = Directory(is_right=True)
    async with several_px(3, tmp_path, directory, SOCKTIMEOUT) as network:
        assert await network.statuses(3) == {b"200"}
        network.let_time_pass()
        directory.is_right, directory.verdict_seconds = False, 2 * SOCKTIMEOUT
        assert await network.statuses(24) <= {b"403", b"502"}
        await until(lambda: not network.is_any_in_flight())
        for _ in range(2):
            await network.ask(6)
        await until(lambda: not network.is_any_in_flight())
        assert 2 <= directory.refused <= 3


async def test_sites_that_a_rule_denies_block_nobody_though_several_px_ask_for_several_at_once(
    tmp_path: Path,
) -> None:
    async with several_px(3, tmp_path, Directory(is_right=True)) as network:
        assert await network.statuses(3) == {b"200"}
        for _ in range(2):
            asks = [
                px.get(b"http://%d.denied.test/" % number) for number in range(4) for px in network.several
            ]
            answers = await asyncio.gather(*asks)
            assert {head.split(b" ")[1] for head, _ in answers} == {b"403"}
        assert await network.statuses(6) == {b"200"}


async def test_a_probe_that_another_process_allows_goes_at_once(tmp_path: Path) -> None:
    directory = Directory()
    async with several_px(2, tmp_path, directory) as network:
        await network.ask(4)
        assert directory.refused == 2
        other = LockoutGuard(LockoutFile(tmp_path / "lockout.json"), time.time)
        other.allow_probe()
        await network.ask(4)
        assert directory.refused == 3
        other.allow_probe()
        directory.is_right = True
        assert await network.statuses(8) == {b"200"}


async def test_a_login_that_was_good_a_moment_ago_opens_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with several_px(1, tmp_path, Directory(is_right=True)) as network:
        assert await network.statuses(1) == {b"200"}
        (px,) = network.several
        with monkeypatch.context() as patch:
            opened: list[object] = []
            patch.setattr(os, "open", partial(_open_and_note, os.open, opened))
            for _ in range(3):
                px.px._pool.clear()
                assert await network.statuses(5) == {b"200"}
            assert opened == []
            network.let_time_pass()
            await network.statuses(1)
            assert opened  # else this test would see nothing


def _keeps_one(px: RunningPx) -> bool:
    return px.kept.endswith(": 1}>")


def _open_and_note(really: Callable[..., int], opened: list[object], *given: object) -> int:
    opened.append(given)
    return really(*given)


@pytest.mark.parametrize("is_kept", [True, False])
async def test_clients_that_hang_up_before_the_verdict_do_not_make_it_uncounted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_kept: bool
) -> None:
    """On a new connection or on one that an earlier request left, which needed no login."""
    monkeypatch.setattr("px.net.session.HANG_UP_SECONDS", 0.0)
    directory = Directory()
    directory.verdict_seconds = 0.1
    async with several_px(2, tmp_path, directory) as network:
        if is_kept:
            for px in network.several:
                assert b" 200 " in (await px.get(b"http://free.test/"))[0]
                await until(partial(_keeps_one, px))
        for px in network.several:
            tokens = directory.tokens
            client = await px.connect()
            await client.send(get(URL))
            await until(partial(lambda tokens: directory.tokens > tokens, tokens))
            client.reset()
            await until(lambda: not network.is_any_in_flight())
        for px in network.several:
            assert b"no more logins" in (await px.get(URL))[1]
        assert directory.tokens == directory.refused == 2
