"""What a worker process does with the orders of its supervisor."""

from __future__ import annotations

import asyncio
import socket
from functools import partial
from typing import Any

from px.core.message_line import MAX_LINE_BYTES
from px.io.listening_socket import DRAIN_SECONDS
from px.processes import child
from px.processes.channel import Channel, Questions


class Worker:
    """Notes how it was drained."""

    def __init__(self, *reports: Any) -> None:
        self.drained: list[float | None] = []
        self._reports = [*reports]

    async def report(self) -> dict[str, Any]:
        """Return the next report, or raise it."""
        report = self._reports.pop(0)
        if isinstance(report, Exception):
            raise report
        return dict(report)

    def drain(self, seconds: float | None) -> None:
        """Note it."""
        self.drained.append(seconds)


class NoProblems:
    """Reports none."""

    def report(self) -> list[Any]:
        """Return none."""
        return []


async def obey(worker: Any, *orders: dict[str, Any]) -> list[Any]:
    """Let a worker obey; return what it has sent."""
    ours, theirs = socket.socketpair()
    supervisor, channel = await Channel.open(ours), await Channel.open(theirs)
    problems: Any = NoProblems()
    questions = Questions(channel, {"is": "question"})
    post_report = partial(child._post_report, channel, worker, problems)
    obeying = asyncio.create_task(child._obey(channel, worker, questions, post_report))
    received = []
    for order in orders:
        supervisor.post(order)
        if order["do"] == "report":
            received.append(await supervisor.receive())
    if "seconds" not in orders[-1]:
        await supervisor.close()
    await obeying
    for each in (supervisor, channel):
        await each.close()
    return received


async def test_a_report_that_fails_or_is_too_long_is_answered_and_the_worker_goes_on() -> None:
    worker = Worker(RuntimeError("psutil"), {"active": ["x" * MAX_LINE_BYTES], "open_tunnels": 2}, {})
    failed, short, good = await obey(worker, *[{"do": "report"}] * 3)
    assert failed["report"] == {}
    assert short["report"] == {"active": [], "open_tunnels": 2, "problems": [], "upstreams": []}
    assert good["report"] == {"problems": []}
    assert worker.drained == [DRAIN_SECONDS]


async def test_a_worker_ends_that_cannot_carry_out_an_order() -> None:
    worker = Worker()
    await obey(worker, {"do": "receive_status", "seconds": 0})  # without the status
    assert worker.drained == [DRAIN_SECONDS]
