"""Questions over a channel: each gets an answer or ends in time without one."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from px.core.message_line import MAX_LINE_BYTES
from px.processes.channel import Channel, Questions

Pair = tuple[Channel, Channel]


@pytest.fixture
async def channels() -> AsyncIterator[Pair]:
    ours, theirs = socket.socketpair()
    near, far = await Channel.open(ours), await Channel.open(theirs)
    yield near, far
    await near.close()
    await far.close()


async def test_the_other_side_receives_the_question_and_its_answer_comes_back(channels: Pair) -> None:
    near, far = channels
    questions = Questions(near, {"is": "question"})
    asking = asyncio.create_task(questions.ask(5))
    assert await far.receive() == {"is": "question"}
    questions.receive({"pid": 1})
    assert await asking == {"pid": 1}


async def test_answers_match_their_questions_even_after_one_has_timed_out(channels: Pair) -> None:
    questions = Questions(channels[0], {"is": "question"})
    assert await questions.ask(0.01) is None
    second, third = (asyncio.create_task(questions.ask(5)) for _ in range(2))
    await asyncio.sleep(0)
    for number in (1, 2, 3):
        questions.receive({"number": number})
    assert (await second, await third) == ({"number": 2}, {"number": 3})


async def test_a_closed_channel_returns_none_at_once(channels: Pair) -> None:
    near, far = channels
    questions = Questions(near, {"is": "question"})
    asking = asyncio.create_task(questions.ask(600))
    assert await far.receive() == {"is": "question"}
    await far.close()
    assert await near.receive() is None
    questions.give_up()
    async with asyncio.timeout(5):
        assert await asking is None


async def test_an_answer_to_no_question_is_ignored(channels: Pair) -> None:
    Questions(channels[0], {"is": "question"}).receive({"pid": 1})


@pytest.mark.parametrize("excess", [1, 5, MAX_LINE_BYTES])
async def test_a_line_that_is_too_long_is_dropped_and_the_channel_goes_on(
    caplog: pytest.LogCaptureFixture, excess: int
) -> None:
    ours, theirs = socket.socketpair()
    near = await Channel.open(ours)
    with theirs:
        theirs.setblocking(False)
        lines = b"x" * (MAX_LINE_BYTES + excess) + b'\n[]\n{"is":"ready"}\n{"is":'
        sending = asyncio.create_task(asyncio.get_running_loop().sock_sendall(theirs, lines))
        assert await near.receive() == {"is": "ready"}
        await sending
    assert await near.receive() is None  # closed in the middle of a line
    await near.close()
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        "it is too long.",
        "not an object.",
    ]


async def test_a_message_that_is_too_long_is_not_sent(channels: Pair) -> None:
    near, far = channels
    assert not near.post({"is": "x" * MAX_LINE_BYTES})
    assert near.post({"is": "\U0001f600" * (MAX_LINE_BYTES // 5)})
    message = await far.receive()
    assert message is not None
    assert len(message["is"]) == MAX_LINE_BYTES // 5
