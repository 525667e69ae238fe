"""The process of a worker: serves clients until its supervisor says so, or has gone."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from pathlib import Path

from px.core.startup_errors import StartupError
from px.log import open_log
from px.net.listening_socket import DRAIN_SECONDS
from px.workers.channel import Channel
from px.workers.handover import receive_order
from px.workers.local_worker import LocalWorker
from px.workers.worker import WorkOrder

#: A terminal, or a console, sends them to all processes of Px; the supervisor is the one to act.
_LEFT_TO_SUPERVISOR = ("SIGINT", "SIGHUP", "SIGBREAK")


def run_worker() -> int:
    """Be the worker that the process which started this one wants; return the exit code."""
    for name in _LEFT_TO_SUPERVISOR:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    try:
        with open(0, "rb", closefd=False) as stdin:  # sys.stdin is None in a program without a console
            order, sockets = receive_order(stdin)
    except EOFError:  # the supervisor ended meanwhile
        return 0
    with asyncio.Runner() as runner:
        return runner.run(_work(order, sockets[0], sockets[1:]))


async def _work(order: WorkOrder, supervisor: socket.socket, listening: list[socket.socket]) -> int:
    channel = await Channel.open(supervisor)
    try:
        with contextlib.ExitStack() as given:
            for sock in listening:
                given.enter_context(sock)
            worker = await _start(order, listening)
    except StartupError as error:
        channel.post({"is": "failed", "message": str(error), "exit_code": error.exit_code})
        await channel.close()
        return error.exit_code
    channel.post({"is": "ready"})
    obeying = asyncio.create_task(_obey(channel, worker))
    await worker.wait_ended()
    channel.post(await worker.report())
    obeying.cancel()
    await channel.close()
    return 0


async def _start(order: WorkOrder, listening: list[socket.socket]) -> LocalWorker:
    settings = order.settings
    open_log(
        settings.log,
        verbose=settings.verbose,
        cwd=Path.cwd(),
        port=settings.port,
        process=f"worker{order.number}",
    )
    worker = LocalWorker(order, listening)
    await worker.start()
    if sys.platform != "win32":  # a service manager sends it to all processes
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.drain, DRAIN_SECONDS)
    return worker


async def _obey(channel: Channel, worker: LocalWorker) -> None:
    while (message := await channel.receive()) is not None:
        if message["do"] == "report":
            channel.post(await worker.report())
        else:
            seconds = message["seconds"]
            worker.drain(None if seconds is None else float(str(seconds)))
    worker.drain(DRAIN_SECONDS)
