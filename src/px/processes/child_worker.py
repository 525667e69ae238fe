"""A worker in a process of its own, as the supervisor sees it; `px.processes.child` runs in that process."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Sequence

from px.processes.channel import REPORT_SECONDS, Channel, Questions
from px.processes.notices import KINDS
from px.processes.worker import (
    AskStatus,
    OnNotice,
    Report,
    SpawnProcess,
    WorkerFailedError,
    WorkerProcess,
    WorkOrder,
)
from px.system.state.shared_right import SharedRight

#: A start takes a sixth of a second, but much longer on an overloaded computer.
START_SECONDS = 30.0
#: A worker that has not ended this long after its time limit is killed.
KILL_SECONDS = 2.0


class ChildWorker:
    """Implements `px.processes.worker.Worker`.

    Args:
        order: For the worker.
        sockets: Listening sockets; they stay open in this process.
        shared_right: The right that all workers share; it stays open in this process.
        ask_status: Called when the worker asks for the state of all workers.
        on_notice: Called with what the worker has to tell the user.
        spawn: Starts the process.
    """

    def __init__(
        self,
        order: WorkOrder,
        sockets: Sequence[socket.socket],
        shared_right: SharedRight,
        ask_status: AskStatus,
        on_notice: OnNotice,
        spawn: SpawnProcess,
    ) -> None:
        self.number = order.number
        self._ask_status = ask_status
        self._on_notice = on_notice
        self._spawn = spawn
        self._order = order
        self._sockets = (*shared_right.sockets, *sockets)
        self._process: WorkerProcess | None = None
        self._channel: Channel | None = None
        self._hearing: asyncio.Task[None] | None = None
        self._reports: Questions | None = None
        self._answering: set[asyncio.Task[None]] = set()
        self._last_report: Report = {}
        self._killing: asyncio.TimerHandle | None = None
        self._is_ending = False

    @property
    def pid(self) -> int:
        """The id of the worker's process; 0 before the process has started."""
        return self._process.pid if self._process is not None else 0

    async def start(self) -> None:
        """Return when the worker serves. See `Worker.start`."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                process = await self._start_process([theirs, *self._sockets])
        except BaseException:
            ours.close()
            raise
        channel = await Channel.open(ours)
        try:
            await self._wait_ready(process, channel)
        except BaseException:
            self._kill()
            await channel.close()
            raise
        self._channel = channel
        self._reports = Questions(channel, {"do": "report"})
        self._hearing = asyncio.create_task(self._hear(channel))

    async def _start_process(self, sockets: Sequence[socket.socket]) -> WorkerProcess:
        try:
            process = self._process = await self._spawn(sockets)
        except OSError as error:
            raise WorkerFailedError(f"worker {self.number} cannot be started: {error}") from error
        if self._is_ending:  # `drain` found no process to end, and the sockets may be closed by now
            self._kill()
            raise WorkerFailedError(f"worker {self.number} ended before it served: {await _wait(process)}")
        await process.hand_over(self._order)
        return process

    async def _wait_ready(self, process: WorkerProcess, channel: Channel) -> None:
        try:
            async with asyncio.timeout(START_SECONDS):
                while (message := await channel.receive()) is not None and message["is"] in KINDS:
                    self._on_notice(message)
        except TimeoutError:
            raise WorkerFailedError(f"worker {self.number} did not start in {START_SECONDS:g} s") from None
        if message is None:
            how = await _wait(process)
            raise WorkerFailedError(f"worker {self.number} ended before it served: {how}")
        if message["is"] == "failed":
            await _wait(process)
            raise WorkerFailedError(str(message["message"]), int(str(message["exit_code"])))

    async def _hear(self, channel: Channel) -> None:
        assert self._reports is not None  # noqa: S101 - `start` makes them
        while (message := await channel.receive()) is not None:
            if message["is"] == "question":
                # A task: the answer contains a report of this worker, which arrives here.
                answering = asyncio.create_task(self._answer(channel))
                self._answering.add(answering)
                answering.add_done_callback(self._answering.discard)
            elif message["is"] in KINDS:
                self._on_notice(message)
            else:
                self._last_report = message["report"] or self._last_report
                self._reports.receive(self._last_report)
        self._reports.give_up()

    async def _answer(self, channel: Channel) -> None:
        status = await self._ask_status()
        if not channel.post({"do": "receive_status", "status": status}):
            channel.post({"do": "receive_status", "status": None})

    def drain(self, seconds: float | None) -> None:
        """Tell the worker to end. See `Worker.drain`."""
        self._is_ending = True
        if self._channel is None:
            self._kill()  # it serves no client yet
            return
        self._channel.post({"do": "drain", "seconds": seconds})
        if self._killing is not None:
            self._killing.cancel()
        if seconds is not None:
            self._killing = asyncio.get_running_loop().call_later(seconds + KILL_SECONDS, self._kill)

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    async def report(self) -> Report:
        """Return what the worker has done so far; its last report when it does not answer."""
        if self._reports is not None and self._hearing is not None and not self._hearing.done():
            await self._reports.ask(REPORT_SECONDS)
        return self._last_report

    async def wait_ended(self) -> str:
        """Return how the worker has ended, once it has."""
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


async def _wait(process: WorkerProcess) -> str:
    """Return how a process has ended that has closed its channel; kill it if it does not end."""
    try:
        async with asyncio.timeout(KILL_SECONDS):
            code = await process.wait()
    except TimeoutError:
        process.kill()
        code = await process.wait()
    if code is None:
        return "in an unknown way"
    if code < 0:
        return f"by {signal.Signals(-code).name}"
    return f"with exit code {code}"
