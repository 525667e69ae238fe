from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest

from px.app.own_pages import PageQuestions
from px.downstream.page_answer import PageError
from px.downstream.pages import status_feed
from px.downstream.pages.status_feed import MAX_STREAMS, StatusFeed
from tests.proxy.running_px import running_px
from tests.px_process import PxProcess
from tests.scripted_upstream import field_of, until


class Supervisor:
    """Answers questions when the test lets it."""

    def __init__(self) -> None:
        self.questions = 0
        self.may_answer = asyncio.Event()
        self.is_silent = False

    async def ask(self) -> Mapping[str, Any] | None:
        self.questions += 1
        await self.may_answer.wait()
        return None if self.is_silent else {"question": self.questions}


async def explain_nothing(url: str, tell: object) -> bool:
    raise AssertionError(url)


async def test_all_who_ask_at_the_same_time_share_a_question(monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor = Supervisor()
    feed = StatusFeed(supervisor.ask)
    asking = [asyncio.create_task(feed.get()) for _ in range(5)]
    left = asyncio.create_task(feed.get())
    await until(lambda: supervisor.questions)
    left.cancel()
    supervisor.may_answer.set()
    assert await asyncio.gather(*asking) == [{"question": 1}] * 5
    assert await feed.get() == {"question": 1}
    monkeypatch.setattr(status_feed, "FRESH_SECONDS", 0.0)
    assert await feed.get() == {"question": 2}


async def test_a_supervisor_that_does_not_answer_is_an_error_to_one_and_a_gap_to_a_stream() -> None:
    supervisor = Supervisor()
    supervisor.is_silent = True
    supervisor.may_answer.set()
    feed = StatusFeed(supervisor.ask)
    with pytest.raises(PageError, match="does not answer"):
        await feed.get()
    stream = feed.open_stream()
    assert await anext(stream) == b"retry: 1000\n\n"
    assert await anext(stream) == b": no answer\n\n"
    await stream.aclose()


async def test_streams_share_questions_and_are_bounded_and_nothing_runs_without_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(status_feed, "EVENT_SECONDS", 0.05)
    monkeypatch.setattr(status_feed, "FRESH_SECONDS", 0.02)
    supervisor = Supervisor()
    supervisor.may_answer.set()
    feed = StatusFeed(supervisor.ask)
    streams = [feed.open_stream() for _ in range(MAX_STREAMS)]
    with pytest.raises(PageError, match="watch this worker"):  # none has been asked for an event yet
        feed.open_stream()
    for _ in range(3):
        await asyncio.gather(*map(anext, streams))
    assert supervisor.questions == 2
    await streams.pop().aclose()
    await feed.open_stream().aclose()
    for stream in streams:
        await stream.aclose()
    before = len(asyncio.all_tasks())
    await asyncio.sleep(0.1)
    assert (supervisor.questions, len(asyncio.all_tasks())) == (2, before)


async def test_a_client_gets_an_event_at_once_and_the_end_when_px_ends() -> None:
    supervisor = Supervisor()
    supervisor.may_answer.set()
    async with running_px(page_questions=PageQuestions(supervisor.ask, explain_nothing)) as px:
        client = await px.connect()
        await client.send(b"GET /events HTTP/1.1\r\nHost: localhost:%d\r\n\r\n" % px.port)
        head = await client.read_head()
        assert head.startswith(b"HTTP/1.1 200 ")
        assert field_of(head, b"content-type") == b"text/event-stream"
        assert field_of(head, b"content-length") is None
        await client.expect(b"retry: 1000\n\n")
        event = await client.read_until(b"\n\n")
        assert json.loads(event.removeprefix(b"data: ")) == {"question": 1}
        report: Any = px.px.report()
        assert report["active_total"] == 0
        assert sum(report["traffic"]["down"]) == 0
        async with asyncio.timeout(1):  # less than the time to the next event
            stopping = asyncio.create_task(px.px.stop(None))
            await client.expect_end()
            client.close()
            await stopping
        sizes: Any = px.px.report()["counters"]
        assert (sizes["pages"], sizes["page_bytes"]) == (1, sizes["sent_bytes"])


async def test_a_stream_whose_client_leaves_ends() -> None:
    supervisor = Supervisor()
    async with running_px(page_questions=PageQuestions(supervisor.ask, explain_nothing)) as px:
        client = await px.connect()
        await client.send(b"GET /events HTTP/1.1\r\nHost: localhost:%d\r\n\r\n" % px.port)
        await client.read_head()
        client.reset()
        await until(lambda: supervisor.questions)
        supervisor.may_answer.set()
        await until(lambda: "sessions=0" in repr(px.px._listener))


def look(port: int) -> BinaryIO:
    """Return the events of a Px, as they come."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % port)
        return cast("BinaryIO", client.makefile("rb"))


def read_event(events: BinaryIO) -> dict[str, Any]:
    for line in events:
        if line.startswith(b"data: "):
            status: dict[str, Any] = json.loads(line.removeprefix(b"data: "))
            return status
    raise AssertionError("the stream has ended")


def test_a_stream_ends_at_a_reload_and_the_next_one_has_the_past(
    tmp_path: Path,
) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        PxProcess(tmp_path, "--noproxy=*", workers=2) as px,
    ):
        target = b"127.0.0.1:%d" % silent.getsockname()[1]
        with socket.create_connection(("127.0.0.1", px.port)) as client, closing(look(px.port)) as events:
            client.sendall(b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (target, target))
            assert client.recv(100).startswith(b"HTTP/1.1 200 ")
            client.sendall(b"x" * 5000)
            before = read_event(events)
            while not before["active"] or before["active"][0]["up"] < 5000:
                before = read_event(events)
            assert before["active"][0]["target"] == target.decode()
            assert px.command("--reload").returncode == 0
            assert len(list(events)) < 20  # it ends
        with closing(look(px.port)) as events:
            after = read_event(events)
            serving = [worker["number"] for worker in after["workers"] if not worker["is_draining"]]
            assert not {*serving} & {worker["number"] for worker in before["workers"]}
            assert sum(after["traffic"]["up"]) >= 5000
            assert sum(after["traffic"]["requests"]) == 1
