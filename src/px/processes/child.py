"""The process of a worker: serves clients until its supervisor ends it, or ends itself."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from functools import partial

from px.core.startup_errors import StartupError
from px.io.listening_socket import DRAIN_SECONDS
from px.logs.log import open_log, working_directory
from px.processes.channel import STATUS_SECONDS, Channel, Questions
from px.processes.handover import receive_order
from px.processes.local_worker import LocalWorker
from px.processes.worker import AskStatus, WorkOrder
from px.system.state.shared_right import SharedRight

#: A terminal sends these signals to all processes of Px, but only the supervisor acts on them.
_LEFT_TO_SUPERVISOR = ("SIGINT", "SIGHUP", "SIGBREAK")


def run_worker() -> int:
    """Run the worker that the parent process has ordered; return the exit code."""
    for name in _LEFT_TO_SUPERVISOR:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    try:
        with open(0, "rb", closefd=False) as stdin:  # sys.stdin is None in a program without a console
            order, sockets = receive_order(stdin)
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
    try:
        with contextlib.ExitStack() as given:
            for sock in listening:
                given.enter_context(sock)
            questions = Questions(channel, {"is": "question"})
            worker = await _start(order, listening, shared_right, partial(questions.ask, STATUS_SECONDS))
    except StartupError as error:
        channel.post({"is": "failed", "message": str(error), "exit_code": error.exit_code})
        await channel.close()
        return error.exit_code
    channel.post({"is": "ready"})
    obeying = asyncio.create_task(_obey(channel, worker, questions))
    await worker.wait_ended()
    channel.post({"is": "report", "report": await worker.report()})
    obeying.cancel()
    await channel.close()
    return 0


async def _start(
    order: WorkOrder, listening: list[socket.socket], shared_right: SharedRight, ask_status: AskStatus
) -> LocalWorker:
    settings = order.settings
    open_log(
        settings.log,
        verbose=settings.verbose,
        cwd=working_directory(),
        port=settings.port,
        process=f"worker{order.number}",
    )
    worker = LocalWorker(order, listening, shared_right, ask_status)
    await worker.start()
    if sys.platform != "win32":  # a service manager sends it to all processes
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.drain, DRAIN_SECONDS)
    return worker


async def _obey(channel: Channel, worker: LocalWorker, questions: Questions) -> None:
    while (message := await channel.receive()) is not None:
        match message["do"]:
            case "report":
                channel.post({"is": "report", "report": await worker.report()})
            case "receive_status":
                questions.receive(message["status"])
            case "drain":
                worker.drain(message["seconds"])
    questions.give_up()
    worker.drain(DRAIN_SECONDS)
