"""Turns at logging in, with one identity; the other processes are other `LoginTurns` with the same slots."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from px.core.errors import LoginBlockedError
from px.core.login_parts import Doubt
from px.net import login_turn
from px.net.login_turn import LoginTurns
from px.system.login_slot import LoginSlot, make_login_slots

SHORT = 0.05
LONG = 5.0
SALT = b"salt"

_TAKE_TURNS = """
import asyncio, contextlib, os, sys
from functools import partial
from pathlib import Path
from px.core.errors import LoginBlockedError
from px.core.login_parts import Doubt
from px.net.login_turn import LoginTurns
from px.system.login_slot import make_login_slots

directory, seconds, left, count = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
doubt = Doubt(lambda: False, lambda: left, lambda: None, is_known_good=False, is_verification=False)
journal = os.open(directory / "journal", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

async def log_in(turns):
    turn = turns.for_identity("alice")
    with contextlib.suppress(LoginBlockedError):
        await turn.take(doubt)
        os.write(journal, b"+")
        await asyncio.sleep(0.003)
        os.write(journal, b"-")
        turn.give_back()

async def main():
    turns = LoginTurns(seconds, partial(make_login_slots, directory, b"salt", 2))
    await asyncio.gather(*(log_in(turns) for _ in range(count)))

asyncio.run(main())
"""


def doubt(
    left: int = 2,
    *,
    is_settled: Callable[[], bool] = lambda: False,
    receive_no_verdict: Callable[[], None] = lambda: None,
    is_known_good: bool = False,
    is_verification: bool = False,
) -> Doubt:
    return Doubt(is_settled, lambda: left, receive_no_verdict, is_known_good, is_verification)


@pytest.fixture
def make_turns(tmp_path: Path) -> Callable[[float], LoginTurns]:
    """Give what makes the turns of one process, whose state directory is that of the others."""
    return lambda seconds: LoginTurns(seconds, partial(make_login_slots, tmp_path, SALT, 2))


MakeTurns = Callable[[float], LoginTurns]


async def test_the_first_goes_at_once_and_hands_over_to_who_waits_longest(make_turns: MakeTurns) -> None:
    turns = make_turns(LONG)
    first, second, third = (turns.for_identity("alice") for _ in range(3))
    assert await first.take(doubt())
    waiting = [asyncio.create_task(each.take(doubt())) for each in (second, third)]
    await asyncio.sleep(0)
    assert repr(turns) == "<LoginTurns {'alice': <in flight 1 of 2>}>"
    first.give_back()
    assert await waiting[0]
    assert not waiting[1].done()
    second.give_back()
    assert await waiting[1]
    third.give_back()
    third.give_back()
    assert repr(turns) == "<LoginTurns {'alice': <in flight 0 of 2>}>"


async def test_identities_do_not_wait_for_each_other(make_turns: MakeTurns) -> None:
    turns = make_turns(LONG)
    for name in ("alice", "bob"):
        assert await turns.for_identity(name).take(doubt(1))


@pytest.mark.parametrize("is_same_process", [True, False])
async def test_who_has_waited_goes_only_while_refusals_are_left(
    make_turns: MakeTurns, is_same_process: bool
) -> None:
    turns = make_turns(SHORT)
    others = turns if is_same_process else make_turns(SHORT)
    assert await turns.for_identity("alice").take(doubt())
    late = others.for_identity("alice")
    assert not await late.take(doubt())
    for each in (turns, others):
        with pytest.raises(LoginBlockedError) as caught:
            await each.for_identity("alice").take(doubt())
        assert caught.value.retry_after == 1
    late.give_back()
    with pytest.raises(LoginBlockedError):
        await others.for_identity("alice").take(doubt(1))


async def test_a_slot_of_another_process_is_taken_soon_after_it_is_free(make_turns: MakeTurns) -> None:
    mine, other = (make_turns(LONG).for_identity("alice") for _ in range(2))
    await other.take(doubt())
    waiting = asyncio.create_task(mine.take(doubt()))
    await asyncio.sleep(SHORT)
    assert not waiting.done()
    other.give_back()
    started = time.monotonic()
    assert await waiting
    assert time.monotonic() - started < 2 * login_turn.LAST_POLL_SECONDS


async def test_a_secret_that_was_good_a_while_ago_waits_shortly_for_a_second_slot_and_never_takes_a_third(
    make_turns: MakeTurns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login_turn, "KNOWN_SECONDS", SHORT)
    turns = make_turns(LONG)
    first, second, third = (turns.for_identity("alice") for _ in range(3))
    assert await first.take(doubt(is_known_good=True))
    async with asyncio.timeout(LONG / 2):
        assert not await second.take(doubt(is_known_good=True))
    waiting = asyncio.create_task(third.take(doubt(is_known_good=True)))
    await asyncio.sleep(2 * SHORT)
    assert not waiting.done()
    first.give_back()
    assert not await waiting


async def test_a_verification_takes_a_second_slot_at_once(make_turns: MakeTurns) -> None:
    turns = make_turns(LONG)
    await turns.for_identity("alice").take(doubt())
    async with asyncio.timeout(LONG / 2):
        await turns.for_identity("alice").take(doubt(is_verification=True))
    assert repr(turns) == "<LoginTurns {'alice': <in flight 2 of 2>}>"


async def test_all_who_wait_go_without_a_turn_once_the_doubt_is_settled(make_turns: MakeTurns) -> None:
    is_settled = False
    turns = make_turns(LONG)
    first, slow, *others = (turns.for_identity("alice") for _ in range(22))
    await first.take(doubt())
    await slow.take(doubt(is_verification=True))
    waiting = [asyncio.create_task(each.take(doubt(is_settled=lambda: is_settled))) for each in others]
    await asyncio.sleep(SHORT)
    is_settled = True
    slow.give_back()
    started = time.monotonic()
    assert all(await asyncio.gather(*waiting))
    assert time.monotonic() - started < 1
    assert repr(turns) == "<LoginTurns {'alice': <in flight 1 of 2>}>"


async def test_who_leaves_while_waiting_holds_nobody_up(make_turns: MakeTurns) -> None:
    turns = make_turns(LONG)
    first, second, third = (turns.for_identity("alice") for _ in range(3))
    await first.take(doubt())
    waiting = [asyncio.create_task(each.take(doubt())) for each in (second, third)]
    await asyncio.sleep(0)
    first.give_back()
    waiting[0].cancel()
    assert await waiting[1]
    assert repr(turns) == "<LoginTurns {'alice': <in flight 1 of 2>}>"
    with pytest.raises(asyncio.CancelledError):
        await waiting[0]


async def test_who_takes_again_gives_back_first(make_turns: MakeTurns) -> None:
    turns = make_turns(LONG)
    turn = turns.for_identity("alice")
    await turn.take(doubt(1))
    await turn.take(doubt(1))
    assert repr(turns) == "<LoginTurns {'alice': <in flight 1 of 2>}>"


async def test_where_no_file_can_be_locked_turns_are_of_the_process(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "px.login")
    (tmp_path / "file").write_text("")
    turns = LoginTurns(SHORT, partial(make_login_slots, tmp_path / "file" / "state", SALT, 2))
    first, second, third = (turns.for_identity("alice") for _ in range(3))
    assert await first.take(doubt())
    assert not await second.take(doubt())
    with pytest.raises(LoginBlockedError):
        await third.take(doubt())
    first.give_back()
    second.give_back()
    assert await third.take(doubt())
    assert "logins of other processes are not seen" in caplog.text


async def test_a_login_of_a_process_that_ended_before_the_verdict_is_told_of_once(
    tmp_path: Path, make_turns: MakeTurns
) -> None:
    (slot, _) = make_login_slots(tmp_path, SALT, 2, "alice")
    _leave_in_flight(slot)
    unheard: list[None] = []
    turn = make_turns(LONG).for_identity("alice")
    for _ in range(2):
        assert await turn.take(doubt(receive_no_verdict=lambda: unheard.append(None)))
        turn.give_back()
    assert len(unheard) == 1


def _leave_in_flight(slot: LoginSlot) -> None:
    """What a process that is killed leaves behind."""
    assert slot.try_acquire()
    slot.begin()
    slot._lock.release()


async def test_a_question_that_fails_leaves_no_slot_behind(tmp_path: Path, make_turns: MakeTurns) -> None:
    answers = iter([2])
    broken = Doubt(
        lambda: False,
        lambda: next(answers),
        lambda: None,
        is_known_good=False,
        is_verification=True,
    )
    with pytest.raises(RuntimeError):
        await make_turns(LONG).for_identity("alice").take(broken)
    assert all(slot.try_acquire() for slot in make_login_slots(tmp_path, SALT, 2, "alice"))


@pytest.mark.parametrize(("seconds", "left", "most"), [(30.0, 2, 1), (0.001, 2, 2), (0.001, 1, 1)])
def test_processes_never_have_more_in_flight_than_is_allowed(
    tmp_path: Path, seconds: float, left: int, most: int
) -> None:
    arguments = [str(tmp_path), str(seconds), str(left), "20"]
    running = [
        subprocess.Popen([sys.executable, "-c", _TAKE_TURNS, *arguments], stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for each in running:
        _, said = each.communicate(timeout=60)
        assert each.returncode == 0, said
    in_flight = peak = 0
    for mark in (tmp_path / "journal").read_text():
        in_flight += 1 if mark == "+" else -1
        peak = max(peak, in_flight)
    assert peak == most
    assert in_flight == 0
