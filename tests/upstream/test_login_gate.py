"""Logins with one account at a time; other processes share nothing but the file of the lock-out memory."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from px.core.auth.token_source import Identity, TokenSource
from px.core.errors import LoginBlockedError
from px.core.login.gate import GatedLogin, LoginGate
from px.core.login.lockout import LockoutGuard
from px.io.thread_lane import ThreadLane
from px.system.state.file_lock import FileLock
from px.system.state.lockout_file import LockoutFile
from px.upstream import login_gate as login_gate_module
from px.upstream.login_gate import LoginGates
from tests.scripted_upstream import until

SHORT = 0.05
LONG = 5.0

_TAKE_TURNS = """
import asyncio, contextlib, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[4])
from tests.upstream.test_login_gate import Process

directory, seconds, count = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
journal = os.open(directory / "journal", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

async def log_in(process):
    from px.core.errors import LoginBlockedError
    gate = process.gate()
    with contextlib.suppress(LoginBlockedError):
        await gate.enter(process.asked())
        os.write(journal, b"+")
        await asyncio.sleep(0.003)
        os.write(journal, b"-")
        gate.leave()

async def main():
    process = Process(directory, seconds)
    await asyncio.gather(*(log_in(process) for _ in range(count)))

asyncio.run(main())
"""


class Source:
    """Only what the lock-out memory asks."""

    identity = Identity("alice", "alice")
    secret_mark = "mark"
    secret_place = ""


class Process:
    """A process of a user: its login gates, and its view of the lock-out memory."""

    def __init__(self, directory: Path, seconds: float = LONG) -> None:
        self.source = cast("TokenSource", Source())
        self.file = LockoutFile(directory / "lockout.json", run_in_thread=ThreadLane("test", 2, LONG).run)
        self.guard = LockoutGuard(self.file, time.time)
        self.login_gates = LoginGates(seconds)

    def gate(self) -> LoginGate:
        return self.login_gates.for_account("alice")

    def asked(self, *, was_accepted_last: bool = False, is_verification: bool = False) -> GatedLogin:
        about = GatedLogin.for_source(self.guard, self.source, is_verification=is_verification)
        return replace(about, was_accepted_last=was_accepted_last)

    async def enter(self, **changes: bool) -> LoginGate:
        gate = self.gate()
        await gate.enter(self.asked(**changes))
        return gate

    def accept(self) -> None:
        self.guard.receive_acceptance(self.source)

    async def send(self) -> LoginGate:
        gate = await self.enter()
        gate.note_sent()
        return gate

    async def log_in(self) -> None:
        gate = await self.send()
        self.accept()
        gate.spend()
        gate.leave(is_accepted=True)


MakeProcess = Callable[..., Process]


@pytest.fixture
def make(tmp_path: Path) -> MakeProcess:
    """Give what makes one process; all have one state directory."""
    return lambda seconds=LONG: Process(tmp_path, seconds)


async def test_the_first_goes_at_once_and_hands_over_to_the_one_that_waits_longest(make: MakeProcess) -> None:
    process = make()
    first, second, third = (process.gate() for _ in range(3))
    assert await first.enter(process.asked())
    waiting = [asyncio.create_task(each.enter(process.asked())) for each in (second, third)]
    await asyncio.sleep(0)
    assert repr(process.login_gates) == "<LoginGates {'alice': <1 inside>}>"
    first.leave()
    assert await waiting[0]
    assert not waiting[1].done()
    second.leave()
    assert await waiting[1]
    third.leave()
    third.leave()
    assert repr(process.login_gates) == "<LoginGates {'alice': <0 inside>}>"
    assert process.guard.budget_used(process.source) == 0


@pytest.mark.parametrize("is_same_process", [True, False])
async def test_a_login_that_has_waited_goes_only_while_the_account_can_bear_it(
    make: MakeProcess, is_same_process: bool
) -> None:
    process = make(SHORT)
    other = process if is_same_process else make(SHORT)
    await process.enter()
    late = other.gate()
    assert not await late.enter(other.asked())
    for each in (process, other):
        with pytest.raises(LoginBlockedError) as caught:
            await each.enter()
        assert caught.value.retry_after == 1
    late.leave()
    assert not await other.gate().enter(other.asked())


async def test_a_login_enters_soon_after_one_of_another_process_has_left(make: MakeProcess) -> None:
    mine, other = make(), make()
    theirs = await other.enter()
    waiting = asyncio.create_task(mine.enter())
    await asyncio.sleep(SHORT)
    assert not waiting.done()
    theirs.leave()
    started = time.monotonic()
    await waiting
    assert time.monotonic() - started < 3 * login_gate_module.LAST_POLL_SECONDS


async def test_a_secret_that_was_accepted_a_while_ago_waits_shortly_for_a_second_and_never_sends_a_third(
    make: MakeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login_gate_module, "ACCEPTED_LAST_WAIT_SECONDS", SHORT)
    process = make()
    first = await process.enter(was_accepted_last=True)
    async with asyncio.timeout(LONG / 2):
        assert not await process.gate().enter(process.asked(was_accepted_last=True))
    waiting = asyncio.create_task(process.gate().enter(process.asked(was_accepted_last=True)))
    await asyncio.sleep(2 * SHORT)
    assert not waiting.done()
    first.leave()
    assert not await waiting


async def test_a_verification_goes_as_the_second_at_once(make: MakeProcess) -> None:
    process = make()
    await process.enter()
    async with asyncio.timeout(LONG / 2):
        await process.enter(is_verification=True)
    assert repr(process.login_gates) == "<LoginGates {'alice': <2 inside>}>"


async def test_all_who_wait_go_once_the_secret_is_accepted(make: MakeProcess) -> None:
    process = make()
    first = await process.enter()

    waiting = [asyncio.create_task(process.log_in()) for _ in range(20)]
    await asyncio.sleep(SHORT)
    assert not any(task.done() for task in waiting)
    process.accept()
    first.spend()
    first.leave(is_accepted=True)
    async with asyncio.timeout(2):
        await asyncio.gather(*waiting)


async def test_nobody_waits_for_what_may_not_be_sent(make: MakeProcess) -> None:
    process = make()
    for _ in range(2):
        process.guard.receive_refusal(process.source, "up", "NTLM")
    async with asyncio.timeout(LONG / 2):
        gate = await process.enter()
    assert gate.charge is None


async def test_a_login_that_leaves_while_waiting_delays_nobody(make: MakeProcess) -> None:
    process = make()
    first = await process.enter()
    waiting = [asyncio.create_task(process.enter()) for _ in range(2)]
    await asyncio.sleep(0)
    first.leave()
    waiting[0].cancel()
    await waiting[1]
    assert repr(process.login_gates) == "<LoginGates {'alice': <1 inside>}>"
    with pytest.raises(asyncio.CancelledError):
        await waiting[0]


async def test_a_turn_that_is_taken_again_is_given_back_first(make: MakeProcess) -> None:
    process = make()
    gate = await process.enter()
    await gate.enter(process.asked())
    assert repr(process.login_gates) == "<LoginGates {'alice': <1 inside>}>"


async def test_where_no_record_can_be_kept_one_token_is_out_and_none_goes_after_its_refusal(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_text("")
    process = Process(tmp_path / "file", SHORT)
    gate = await process.enter()
    with pytest.raises(LoginBlockedError, match="waits for the upstream's verdict"):
        await process.enter()
    gate.leave()  # it was not sent after all
    gate = await process.enter()
    assert gate.charge is not None
    process.accept()
    gate.spend()
    process.guard.check(process.source)
    process.guard.receive_refusal(process.source, "up", "NTLM")
    assert (await process.enter()).charge is None
    with pytest.raises(LoginBlockedError, match="cannot write its record"):
        process.guard.check(process.source)


async def test_a_token_is_out_for_the_others_until_its_verdict_is_in_the_file(
    tmp_path: Path, make: MakeProcess
) -> None:
    mine, other = make(), make(SHORT)
    gate = await mine.enter()
    lock = FileLock(tmp_path / "lockout.lock")
    assert lock.try_acquire()
    try:
        mine.guard.receive_refusal(mine.source, "up", "NTLM", gate.spend())
        gate.leave()
        assert mine.guard.budget_used(mine.source) > 0
        assert other.guard.charge(other.source, 1) is None
    finally:
        lock.release()
    await until(lambda: mine.file.writing is None)
    assert other.guard.budget_used(other.source) > 0
    assert other.guard.charge(other.source, 1) is not None


async def test_each_acceptance_lets_one_login_go_without_a_charge(
    make: MakeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a change of the secret costs one refusal in each process besides the two that are charged."""
    monkeypatch.setattr(login_gate_module, "ACCEPTED_LATELY_WAIT_SECONDS", LONG)
    monkeypatch.setattr(login_gate_module, "MAX_JUST_ACCEPTED_SECONDS", LONG)
    monkeypatch.setattr(login_gate_module, "JUST_ACCEPTED_SECONDS", LONG)
    process = make()
    await process.log_in()
    entering = [asyncio.create_task(process.enter()) for _ in range(10)]

    async def entered(count: int) -> LoginGate:
        """Return the login inside once that many have entered; it is the only one."""
        await until(lambda: sum(task.done() for task in entering) >= count)
        for _ in range(20):
            await asyncio.sleep(0)
        gates = [task.result() for task in entering if task.done()]
        assert len(gates) == count
        (inside,) = [gate for gate in gates if gate.is_inside]
        return inside

    for count in range(1, 6):
        gate = await entered(count)
        assert gate.charge is None
        process.accept()
        gate.leave(is_accepted=True)
    assert process.file.list_keys() == []  # the charge of the first login is refunded
    gate = await entered(6)
    process.guard.receive_refusal(process.source, "up", "NTLM")
    gate.leave()
    assert (await entered(7)).charge is not None
    for task in entering:
        task.cancel()
    await asyncio.gather(*entering, return_exceptions=True)


async def test_an_accepted_secret_that_is_refused_meanwhile_lets_nobody_more_go(make: MakeProcess) -> None:
    process = make(SHORT)
    process.accept()
    first = await process.enter()
    waiting = [asyncio.create_task(process.enter()) for _ in range(20)]
    await asyncio.sleep(0)
    process.guard.receive_refusal(process.source, "up", "NTLM")
    first.leave()
    done = await asyncio.gather(*waiting, return_exceptions=True)
    assert sum(isinstance(each, LoginBlockedError) for each in done) == 19
    assert repr(process.login_gates) == "<LoginGates {'alice': <1 inside>}>"


async def test_a_login_of_a_secret_accepted_lately_waits_shortly_and_is_charged(
    make: MakeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more go out without a verdict than the account can bear, in all processes together."""
    monkeypatch.setattr(login_gate_module, "ACCEPTED_LATELY_WAIT_SECONDS", SHORT)
    processes = [make(4 * SHORT), make(4 * SHORT)]
    for process in processes:
        process.accept()
    started = time.monotonic()
    for number in range(2):
        gate = processes[number].gate()
        is_alone = await gate.enter(processes[number].asked())
        assert is_alone is (number == 0)
        assert gate.charge is not None
    assert time.monotonic() - started < LONG
    for process in processes:
        with pytest.raises(LoginBlockedError):
            await process.enter()


async def test_a_login_that_finds_no_verdict_soon_after_an_acceptance_is_charged(
    make: MakeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slow verdicts must not let one login after another go uncharged."""
    monkeypatch.setattr(login_gate_module, "ACCEPTED_LATELY_WAIT_SECONDS", SHORT)
    monkeypatch.setattr(login_gate_module, "MAX_JUST_ACCEPTED_SECONDS", LONG)
    monkeypatch.setattr(login_gate_module, "JUST_ACCEPTED_SECONDS", LONG)
    process = make(2 * SHORT)
    process.accept()
    await process.log_in()
    out = [await process.enter() for _ in range(2)]
    assert [gate.charge is None for gate in out] == [True, False]
    assert not await process.gate().enter(process.asked())
    with pytest.raises(LoginBlockedError):
        await process.enter()


async def test_an_acceptance_settles_the_logins_whose_tokens_were_sent_before(
    make: MakeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests whose answers take long delay no others."""
    monkeypatch.setattr(login_gate_module, "MAX_JUST_ACCEPTED_SECONDS", LONG)
    monkeypatch.setattr(login_gate_module, "JUST_ACCEPTED_SECONDS", LONG)
    process = make()
    await process.log_in()
    slow = [await process.send()]
    for _ in range(8):
        await process.log_in()
        slow.append(await process.send())
    assert not any(gate.charge for gate in slow)
    assert repr(process.login_gates) == "<LoginGates {'alice': <1 inside>}>"
    for gate in slow:
        gate.leave()
    assert repr(process.login_gates) == "<LoginGates {'alice': <0 inside>}>"


async def test_an_acceptance_does_not_settle_a_login_that_sends_its_token_later(
    make: MakeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else that login and one more without a charge could be refused in one process."""
    monkeypatch.setattr(login_gate_module, "ACCEPTED_LATELY_WAIT_SECONDS", SHORT)
    monkeypatch.setattr(login_gate_module, "MAX_JUST_ACCEPTED_SECONDS", LONG)
    monkeypatch.setattr(login_gate_module, "JUST_ACCEPTED_SECONDS", LONG)
    process = make()
    await process.log_in()
    in_handshake, charged = await process.enter(), await process.send()
    assert [gate.charge is None for gate in (in_handshake, charged)] == [True, False]
    process.accept()
    charged.spend()
    charged.leave(is_accepted=True)
    assert repr(process.login_gates) == "<LoginGates {'alice': <1 inside>}>"
    assert (await process.enter()).charge is not None
    in_handshake.note_sent()


@pytest.mark.parametrize("was_sent", [True, False])
async def test_after_a_lost_verdict_no_login_goes_without_a_charge(
    make: MakeProcess, monkeypatch: pytest.MonkeyPatch, was_sent: bool
) -> None:
    """Some upstreams close the connection after a wrong login."""
    monkeypatch.setattr(login_gate_module, "MAX_JUST_ACCEPTED_SECONDS", LONG)
    monkeypatch.setattr(login_gate_module, "JUST_ACCEPTED_SECONDS", LONG)
    process = make()
    await process.log_in()
    gate = await (process.send() if was_sent else process.enter())
    assert gate.charge is None
    gate.leave()
    assert ((await process.enter()).charge is not None) is was_sent


@pytest.mark.parametrize(("seconds", "most"), [(30.0, 1), (0.001, 2)])
def test_processes_never_have_more_out_than_is_allowed(tmp_path: Path, seconds: float, most: int) -> None:
    arguments = [str(tmp_path), str(seconds), "10", str(Path(__file__).parents[2])]
    running = [
        subprocess.Popen([sys.executable, "-c", _TAKE_TURNS, *arguments], stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for each in running:
        _, said = each.communicate(timeout=60)
        assert each.returncode == 0, said
    out = peak = 0
    for mark in (tmp_path / "journal").read_text():
        out += 1 if mark == "+" else -1
        peak = max(peak, out)
    assert 1 <= peak <= most
    assert out == 0


async def test_an_acceptance_that_is_older_than_a_refusal_lets_no_login_go_uncharged(
    make: MakeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verdicts on two tokens may come in another order than the directory gave them."""
    monkeypatch.setattr(login_gate_module, "ACCEPTED_LATELY_WAIT_SECONDS", 0.0)
    monkeypatch.setattr(login_gate_module, "MAX_JUST_ACCEPTED_SECONDS", SHORT)
    monkeypatch.setattr(login_gate_module, "JUST_ACCEPTED_SECONDS", SHORT)
    process = make()
    await process.log_in()
    accepted, refused = [await process.enter() for _ in range(2)]
    assert accepted.charge is None
    await asyncio.sleep(SHORT)
    process.guard.receive_refusal(process.source, "up", "NTLM", refused.spend())
    refused.leave()
    process.accept()
    accepted.leave(is_accepted=True)
    assert (await process.enter()).charge is not None


async def test_a_charge_that_an_acceptance_has_refunded_is_made_again_before_the_final_token(
    make: MakeProcess,
) -> None:
    """The challenge to the first login comes late, and the secret may have been changed since."""
    process, other = make(SHORT), make(SHORT)
    slow, second = await process.enter(), other.gate()
    assert slow.may_go_on()
    assert not await second.enter(other.asked(is_verification=True))
    second.note_sent()
    other.guard.receive_acceptance(other.source, second.spend(), time.time())
    second.leave(is_accepted=True)
    assert slow.charge is not None
    assert not process.guard.is_charged(process.source, slow.charge)
    third = await make(SHORT).enter()
    assert not slow.may_go_on()  # another token is out
    third.leave()
    slow = await process.enter()
    assert slow.may_go_on()
    assert slow.charge is not None
    assert process.guard.is_charged(process.source, slow.charge)


async def test_a_login_without_a_charge_goes_on_only_while_its_secret_is_trusted(make: MakeProcess) -> None:
    process = make()
    await process.log_in()
    uncharged = await process.enter()
    assert uncharged.charge is None
    assert uncharged.may_go_on()
    process.guard.receive_refusal(process.source, "The upstream", "NTLM")
    assert not uncharged.may_go_on()


async def test_a_login_that_waits_for_its_challenge_makes_no_verdict_slow(
    make: MakeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise each request would cause one verification after the other."""
    monkeypatch.setattr(login_gate_module, "ACCEPTED_LATELY_WAIT_SECONDS", SHORT)
    process = make()
    await process.log_in()
    in_handshake = await process.enter()
    await asyncio.sleep(login_gate_module.MAX_JUST_ACCEPTED_SECONDS)
    assert await process.gate().enter(process.asked())
    in_handshake.note_sent()
    process.accept()
    assert not await process.gate().enter(process.asked())
