"""Turns at logging in, with one identity."""

from __future__ import annotations

import asyncio

import pytest

from px.core.errors import LoginBlockedError
from px.net.login_turn import LoginTurns

SHORT = 0.05


def two_left() -> int:
    return 2


def one_left() -> int:
    return 1


async def test_the_first_goes_at_once_and_hands_over_to_who_waits_longest() -> None:
    turns = LoginTurns(5)
    first, second, third = (turns.for_identity("alice") for _ in range(3))
    await first.take(two_left, is_known_good=False)
    waiting = [asyncio.create_task(each.take(two_left, is_known_good=False)) for each in (second, third)]
    await asyncio.sleep(0)
    assert repr(turns) == "<LoginTurns {'alice': <in flight 1, waiting 2>}>"
    first.give_back()
    await waiting[0]
    assert not waiting[1].done()
    second.give_back()
    await waiting[1]
    third.give_back()
    third.give_back()
    assert repr(turns) == "<LoginTurns {'alice': <in flight 0, waiting 0>}>"


async def test_identities_do_not_wait_for_each_other() -> None:
    turns = LoginTurns(5)
    for name in ("alice", "bob"):
        await turns.for_identity(name).take(one_left, is_known_good=False)


async def test_who_has_waited_goes_only_while_refusals_are_left() -> None:
    turns = LoginTurns(SHORT)
    await turns.for_identity("alice").take(two_left, is_known_good=False)
    await turns.for_identity("alice").take(two_left, is_known_good=False)
    with pytest.raises(LoginBlockedError) as caught:
        await turns.for_identity("alice").take(two_left, is_known_good=False)
    assert caught.value.retry_after == 1
    assert repr(turns) == "<LoginTurns {'alice': <in flight 2, waiting 0>}>"


async def test_a_secret_that_was_good_a_while_ago_waits_shortly_and_goes() -> None:
    turns = LoginTurns(SHORT)
    first, second = turns.for_identity("alice"), turns.for_identity("alice")
    await first.take(one_left, is_known_good=True)
    await second.take(one_left, is_known_good=True)
    second.give_back()
    assert repr(turns) == "<LoginTurns {'alice': <in flight 1, waiting 0>}>"


async def test_who_leaves_while_the_turn_is_handed_over_passes_it_on() -> None:
    turns = LoginTurns(5)
    first, second, third = (turns.for_identity("alice") for _ in range(3))
    await first.take(two_left, is_known_good=False)
    waiting = [asyncio.create_task(each.take(two_left, is_known_good=False)) for each in (second, third)]
    await asyncio.sleep(0)
    first.give_back()
    waiting[0].cancel()
    await waiting[1]
    assert repr(turns) == "<LoginTurns {'alice': <in flight 1, waiting 0>}>"
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_who_takes_again_gives_back_first() -> None:
    turns = LoginTurns(5)
    turn = turns.for_identity("alice")
    await turn.take(one_left, is_known_good=False)
    await turn.take(one_left, is_known_good=False)
    assert repr(turns) == "<LoginTurns {'alice': <in flight 1, waiting 0>}>"
