"""An uncertain secret in one Px, and in several Px of one user, which share a state directory."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest

from px.core.login.lockout import LockoutGuard
from px.system.state import lockout_file
from px.system.state.lockout_file import LockoutFile
from px.upstream import login_gate as login_gate_module
from tests.proxy.running_px import RunningPx, as_user, get, running_px
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
#: The first is for tests that wait until it is over, the second must exceed each delay of a busy machine.
SOCKTIMEOUT, LONG_SOCKTIMEOUT = 1.0 if sys.platform == "win32" else 0.3, 4.0  # Wine is slow
#: How many requests are many: a charge takes 10 to 50 ms under Wine, and one has to wait for the other.
MANY = 12 if sys.platform == "win32" else 40


class Directory:
    """A directory with one account, which counts refused passwords; `play` is its proxy.

    Attributes:
        is_right: Whether it accepts the password.
        verdict_seconds: The duration of each verdict.
        tokens: The number of final tokens so far.
        refused: The number of final tokens with a wrong password.
        traces: The number of verifications that it has answered.
        verifies: Whether its proxy requires a login for the requests of a verification.
        slow_sites_asked: The number of requests to a site that does not answer.
    """

    def __init__(self, *, is_right: bool = False) -> None:
        self.is_right = is_right
        self.verdict_seconds = 0.0
        self.tokens = self.refused = self.traces = 0
        self.verifies = True
        self.slow_sites_asked = 0
        self.slow_site_answers = asyncio.Event()

    async def play(self, wire: Wire) -> None:
        """Serve one connection until Px closes it."""
        with contextlib.suppress(AssertionError, OSError):  # Px has closed the connection
            is_in = False
            while True:
                head = await wire.read_head()
                if head.startswith((b"TRACE ", b"OPTIONS ", b"HEAD ")) and not self.verifies:
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
    """Several Px with one upstream."""

    def __init__(self, directory: Directory, upstream: ScriptedUpstream, several: list[RunningPx]) -> None:
        self.directory = directory
        self.upstream = upstream
        self.several = several

    async def ask(self, count: int) -> list[tuple[bytes, bytes]]:
        """Send this many concurrent requests, spread evenly over the Px."""
        asks = [self.several[n % len(self.several)].get(URL + b"%d" % n) for n in range(count)]
        return await asyncio.gather(*asks)

    def let_time_pass(self) -> None:
        """Make each Px forget accepted secrets and kept connections, as after a long time."""
        for px in self.several:
            guard = px.px._hops.guard
            guard._accepted = dict.fromkeys(guard._accepted, 0.0)
            px.px._pool.clear()

    def is_any_in_flight(self) -> bool:
        """Return whether a Px waits for the verdict on a login."""
        return any(
            f"<{count} inside>" in repr(px.px._hops.login_gates) for count in (1, 2) for px in self.several
        )

    async def statuses(self, count: int) -> set[bytes]:
        """Send this many concurrent requests; return the statuses of the answers."""
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
    """Each verdict takes longer than any request waits."""
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


async def test_a_right_password_serves_all_concurrent_requests(tmp_path: Path) -> None:
    async with several_px(4, tmp_path, Directory(is_right=True)) as network:
        started = time.monotonic()
        assert await network.statuses(MANY) == {b"200"}
        assert time.monotonic() - started < 2 * LONG_SOCKTIMEOUT
        assert network.directory.traces <= 8  # none unless the machine is busy


@pytest.mark.parametrize("was_accepted_last", [True, False])
async def test_a_silent_first_site_delays_other_requests_only_briefly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, was_accepted_last: bool
) -> None:
    """The second login is a verification: its verdict counts for all requests that wait."""
    monkeypatch.setattr(login_gate_module, "ACCEPTED_LAST_WAIT_SECONDS", SOCKTIMEOUT / 3)
    directory = Directory(is_right=True)
    async with several_px(2, tmp_path, directory, 2 * SOCKTIMEOUT) as network:
        if was_accepted_last:
            assert await network.statuses(2) == {b"200"}
            network.let_time_pass()
        slow = await network.several[0].connect()
        await slow.send(get(b"http://slow.test/"))
        await until(lambda: directory.slow_sites_asked)
        assert await network.statuses(MANY // 2) == {b"200"}
        assert 1 <= directory.traces <= 6  # one for each Px, or a few where the machine is busy
        directory.slow_site_answers.set()
        assert (await slow.read_answer())[1] == b"ok"


@pytest.mark.parametrize("count", [1, 3])
async def test_all_requests_for_slow_sites_are_sent_though_no_site_answers(
    tmp_path: Path, count: int
) -> None:
    """No request waits for the answer to another one, and a right password is never said to be wrong."""
    directory = Directory(is_right=True)
    async with several_px(count, tmp_path, directory) as network:
        assert await network.statuses(count) == {b"200"}
        for px in network.several:
            px.px._pool.clear()
        asks = [
            asyncio.create_task(px.get(b"http://slow.test/%d" % number))
            for number in range(MANY // 3 // count)
            for px in network.several
        ]
        await until(lambda: directory.slow_sites_asked == len(asks))
        directory.slow_site_answers.set()
        assert {head.split(b" ")[1] for head, _ in await asyncio.gather(*asks)} == {b"200"}


async def test_two_slow_sites_delay_others_with_a_502_if_the_secret_cannot_be_verified(
    tmp_path: Path,
) -> None:
    directory = Directory(is_right=True)
    directory.verifies = False
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


async def test_requests_do_not_wait_for_a_slow_verification_whose_verdict_still_counts(
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


async def test_a_changed_password_that_all_px_knew_as_right_is_tried_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The password was changed, all verdicts are slow, and Px first holds the refusal against the site."""
    monkeypatch.setattr(login_gate_module, "ACCEPTED_LAST_WAIT_SECONDS", SOCKTIMEOUT / 3)
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
        assert directory.refused == 2 or (directory.refused == 1 and sys.platform == "win32")  # one was lost


async def test_a_burst_after_a_change_of_the_password_costs_two_refusals(
    tmp_path: Path,
) -> None:
    """The upstream accepted the secret a moment before, in each process."""
    directory = Directory(is_right=True)
    async with several_px(2, tmp_path, directory) as network:
        assert await network.statuses(8) == {b"200"}
        directory.is_right = False
        for px in network.several:
            px.px._pool.clear()
        await asyncio.sleep(
            login_gate_module.MAX_JUST_ACCEPTED_SECONDS
        )  # until then several logins may run concurrently
        assert await network.statuses(50) <= {b"403", b"502"}
        assert await network.statuses(50) <= {b"403", b"502"}
        await until(lambda: not network.is_any_in_flight())
        assert directory.refused == 2


async def test_concurrent_requests_of_several_px_for_denied_sites_do_not_block_the_account(
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


async def test_px_sends_a_retry_at_once_that_another_process_allows(tmp_path: Path) -> None:
    directory = Directory()
    async with several_px(2, tmp_path, directory) as network:
        await network.ask(4)
        assert directory.refused == 2
        other = LockoutGuard(LockoutFile(tmp_path / "lockout.json"), time.time)
        other.allow_retry()
        await network.ask(4)
        assert directory.refused == 3
        other.allow_retry()  # too soon: the last retry was a moment ago
        await network.ask(4)
        assert directory.refused == 3


async def test_a_login_shortly_after_an_accepted_one_opens_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("JUST_ACCEPTED_SECONDS", "MAX_JUST_ACCEPTED_SECONDS"):
        monkeypatch.setattr(login_gate_module, name, LONG_SOCKTIMEOUT)
    async with several_px(1, tmp_path, Directory(is_right=True)) as network:
        assert await network.statuses(1) == {b"200"}
        (px,) = network.several
        monkeypatch.setattr(lockout_file, "STAMP_SECONDS", 0.0)
        with monkeypatch.context() as patch:
            opened: list[object] = []
            patch.setattr(os, "open", partial(_open_and_note, os.open, opened))
            for _ in range(3):
                px.px._pool.clear()
                assert await network.statuses(5) == {b"200"}
            assert opened == []
            network.let_time_pass()
            await network.statuses(1)
            assert opened  # this shows that the test notices an opened file


def _keeps_one(px: RunningPx) -> bool:
    return px.kept.endswith(": 1}>")


def _open_and_note(really: Callable[..., int], opened: list[object], *given: object) -> int:
    opened.append(given)
    return really(*given)


@pytest.mark.parametrize("is_kept", [True, False])
async def test_px_counts_the_verdict_of_a_client_that_hangs_up_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_kept: bool
) -> None:
    """They do so on a new connection, or on a kept one whose earlier request needed no login."""
    monkeypatch.setattr("px.downstream.session.HANG_UP_SECONDS", 0.0)
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
