"""The process of a worker: serves clients until its supervisor ends it, or ends itself."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from px.core.problems import ProblemReport
from px.core.startup_errors import StartupError
from px.io.listening_socket import DRAIN_SECONDS
from px.logs.log import open_log, working_directory
from px.logs.problem_log import ProblemLog
from px.processes.channel import STATUS_SECONDS, Channel, Questions
from px.processes.handover import receive_order
from px.processes.local_worker import LocalWorker
from px.processes.notices import format_problem_notice
from px.processes.worker import WorkOrder
from px.system.state.shared_right import SharedRight

#: A terminal sends these signals to all processes of Px, but only the supervisor acts on them.
_LEFT_TO_SUPERVISOR = ("SIGINT", "SIGHUP", "SIGBREAK")
#: What a report leaves out that is too long otherwise.
_LEFT_OUT: Mapping[str, object] = {"active": [], "problems": [], "upstreams": []}

_LOGGER = logging.getLogger("px.child")


def run_worker(given: Sequence[int] = (0,)) -> int:
    """Run the worker that the supervisor has ordered; return the exit code.

    Args:
        given: Descriptors: where the order comes from, by default standard input, and the sockets of a worker
            that has them already.
    """
    for name in _LEFT_TO_SUPERVISOR:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    try:
        # sys.stdin is None in a program without a console.
        with open(given[0], "rb", closefd=given[0] != 0) as stream:
            order, sockets = receive_order(stream, given[1:])
    except EOFError:  # the supervisor has ended
        return 0
    with asyncio.Runner() as runner:
        supervisor, receiving, sending, *listening = sockets
        with SharedRight(receiving, sending) as shared_right:
            return runner.run(_work(order, supervisor, listening, shared_right))


async def _work(
    order: WorkOrder, supervisor: socket.socket, listening: list[socket.socket], shared_right: SharedRight
) -> int:
    channel = await Channel.open(supervisor)
    questions = Questions(channel, {"is": "question"})
    ask_status = partial(questions.ask, STATUS_SECONDS)
    worker = LocalWorker(order, listening, shared_right, ask_status, channel.post)
    with contextlib.ExitStack() as opened:
        try:
            with contextlib.ExitStack() as given:
                for sock in listening:
                    given.enter_context(sock)
                _open_log(order)
                problems = opened.enter_context(ProblemLog(_make_teller(channel)))
                await _start(worker)
        except StartupError as error:
            channel.post({"is": "failed", "message": str(error), "exit_code": error.exit_code})
            await channel.close()
            return error.exit_code
        await _serve(channel, worker, questions, problems)
    return 0


def _make_teller(channel: Channel) -> Callable[[ProblemReport], object]:
    """Return a function that tells the supervisor of a problem, from any thread."""
    loop = asyncio.get_running_loop()
    return lambda problem: loop.call_soon_threadsafe(channel.post, format_problem_notice(problem))


async def _serve(channel: Channel, worker: LocalWorker, questions: Questions, problems: ProblemLog) -> None:
    """Serve until the supervisor wants the worker to end."""
    channel.post({"is": "ready"})
    post_report = partial(_post_report, channel, worker, problems)
    obeying = asyncio.create_task(_obey(channel, worker, questions, post_report))
    await worker.wait_ended()
    await post_report()
    obeying.cancel()
    await channel.close()


def _open_log(order: WorkOrder) -> None:
    settings = order.settings
    open_log(
        settings.log,
        verbose=settings.verbose,
        cwd=working_directory(),
        port=settings.port,
        process=f"worker{order.number}",
    )


async def _start(worker: LocalWorker) -> None:
    await worker.start()
    if sys.platform != "win32":  # a service manager sends it to all processes
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.drain, DRAIN_SECONDS)


async def _post_report(channel: Channel, worker: LocalWorker, problems: ProblemLog) -> None:
    """Send a report; an empty one if it fails, so that each question has its answer."""
    try:
        report = {**await worker.report(), "problems": problems.report()}
    except Exception:
        _LOGGER.exception("the report of a worker failed, which is a fault of Px")
        report = {}
    if not channel.post({"is": "report", "report": report}):
        channel.post({"is": "report", "report": {**report, **_LEFT_OUT}})


async def _obey(
    channel: Channel,
    worker: LocalWorker,
    questions: Questions,
    post_report: Callable[[], Awaitable[None]],
) -> None:
    """Do what the supervisor wants; drain the worker once nobody can tell it anything any more."""
    try:
        while (message := await channel.receive()) is not None:
            match message["do"]:
                case "report":
                    await post_report()
                case "receive_status":
                    questions.receive(message["status"])
                case "drain":
                    worker.drain(message["seconds"])
    except Exception:
        _LOGGER.exception("an order of the supervisor failed, which is a fault of Px: this worker ends")
    questions.give_up()
    worker.drain(DRAIN_SECONDS)
