"""A worker in a process of its own, as its supervisor sees it; `px.workers.child` is that process."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from asyncio.subprocess import Process
from collections import deque
from collections.abc import Sequence

from px.workers.channel import Channel
from px.workers.handover import start_process
from px.workers.worker import Report, WorkerFailedError, WorkOrder

#: What takes a sixth of a second may take long on an overloaded computer.
START_SECONDS = 30.0
REPORT_SECONDS = 2.0
#: A worker that is still there so long after it should have ended is killed.
KILL_SECONDS = 2.0


class ChildWorker:
    """Implements `px.workers.worker.Worker`.

    Args:
        order: What it has to know.
        sockets: That listen; they stay open here.
    """

    def __init__(self, order: WorkOrder, sockets: Sequence[socket.socket]) -> None:
        self.number = order.number
        self._order = order
        self._sockets = sockets
        self._process: Process | None = None
        self._channel: Channel | None = None
        self._hearing: asyncio.Task[None] | None = None
        self._asked: deque[asyncio.Future[None]] = deque()
        self._last_report: Report = {}
        self._killing: asyncio.TimerHandle | None = None

    @property
    def pid(self) -> int:
        """The process it runs in; 0 as long as it has none."""
        return self._process.pid if self._process is not None else 0

    async def start(self) -> None:
        """Return when it serves. See `Worker.start`."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = await start_process(self._order, [theirs, *self._sockets])
        except OSError as error:
            ours.close()
            raise WorkerFailedError(f"worker {self.number} cannot be started: {error}") from error
        channel = await Channel.open(ours)
        try:
            await self._wait_ready(self._process, channel)
        except BaseException:
            self._kill()
            await channel.close()
            raise
        self._channel = channel
        self._hearing = asyncio.create_task(self._hear(channel))

    async def _wait_ready(self, process: Process, channel: Channel) -> None:
        try:
            async with asyncio.timeout(START_SECONDS):
                message = await channel.receive()
        except TimeoutError:
            raise WorkerFailedError(f"worker {self.number} did not start in {START_SECONDS:g} s") from None
        if message is None:
            how = await _wait(process)
            raise WorkerFailedError(f"worker {self.number} ended before it served: {how}")
        if message["is"] == "failed":
            await _wait(process)
            raise WorkerFailedError(str(message["message"]), int(str(message["exit_code"])))

    async def _hear(self, channel: Channel) -> None:
        while (message := await channel.receive()) is not None:
            self._last_report = message
            self._answer_asker()
        while self._asked:
            self._answer_asker()

    def _answer_asker(self) -> None:
        if self._asked and not (asker := self._asked.popleft()).done():
            asker.set_result(None)

    def drain(self, seconds: float | None) -> None:
        """End in time. See `Worker.drain`."""
        if self._channel is None:
            self._kill()  # it serves nobody yet
            return
        self._channel.post({"do": "drain", "seconds": seconds})
        if self._killing is not None:
            self._killing.cancel()
        if seconds is not None:
            self._killing = asyncio.get_running_loop().call_later(seconds + KILL_SECONDS, self._kill)

    def _kill(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def report(self) -> Report:
        """Return what it has done so far; what it told last when it does not answer."""
        if self._channel is not None and self._hearing is not None and not self._hearing.done():
            asker = asyncio.get_running_loop().create_future()
            self._asked.append(asker)
            self._channel.post({"do": "report"})
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REPORT_SECONDS):
                    await asker
        return self._last_report

    async def wait_ended(self) -> str:
        """Return when it has ended, and how."""
        assert self._process is not None  # noqa: S101 - it has been started
        assert self._channel is not None  # noqa: S101
        assert self._hearing is not None  # noqa: S101
        try:
            await self._hearing
            return await _wait(self._process)
        finally:
            self._hearing.cancel()
            await self._channel.close()
            if self._killing is not None:
                self._killing.cancel()

    def __repr__(self) -> str:
        return f"<ChildWorker {self.number} pid={self.pid}>"


async def _wait(process: Process) -> str:
    """Return how a process has ended that has nothing more to say."""
    try:
        async with asyncio.timeout(KILL_SECONDS):
            code = await process.wait()
    except TimeoutError:
        process.kill()
        code = await process.wait()
    if code < 0:
        return f"by {signal.Signals(-code).name}"
    return f"with exit code {code}"
