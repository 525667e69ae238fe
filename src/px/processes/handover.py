"""Starts the process of a worker and gives it its order and its sockets.

The order goes through the pipe that is the standard input of the process, which no other process can read:
settings hold secrets. The process inherits the sockets, or gets duplicates of them on Windows.
"""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import socket
import subprocess
import sys
from asyncio.subprocess import Process
from collections.abc import Sequence
from typing import BinaryIO

from px.processes.worker import WorkOrder
from px.system.process.child_command import WORKER_ARGUMENT, child_command, child_environment

if sys.platform == "win32":
    from px.system.process.console import has_console

    async def spawn_process(_: Sequence[socket.socket]) -> Process:
        """Start the process of a worker, which waits for `hand_over`."""
        # Windows opens a new console window for a console program that is started without a console.
        flags = 0 if has_console() else subprocess.CREATE_NO_WINDOW
        return await asyncio.create_subprocess_exec(
            *child_command(WORKER_ARGUMENT),
            env=child_environment(),
            stdin=subprocess.PIPE,
            creationflags=flags,
        )

    def _give(sock: socket.socket, process: Process) -> bytes:
        return sock.share(process.pid)

    def _take(handle: bytes) -> socket.socket:
        return socket.fromshare(handle)

else:

    async def spawn_process(sockets: Sequence[socket.socket]) -> Process:
        """Start the process of a worker, which waits for `hand_over`.

        Raises:
            OSError: The process cannot be started.
        """
        return await asyncio.create_subprocess_exec(
            *child_command(WORKER_ARGUMENT),
            env=child_environment(),
            stdin=subprocess.PIPE,
            pass_fds=[sock.fileno() for sock in sockets],
        )

    def _give(sock: socket.socket, _: Process) -> int:
        return sock.fileno()

    def _take(handle: int) -> socket.socket:
        sock = socket.socket(fileno=handle)
        sock.set_inheritable(False)  # programs that this worker starts must not have the socket
        return sock


async def hand_over(process: Process, order: WorkOrder, sockets: Sequence[socket.socket]) -> None:
    """Give a new worker process its order and its sockets.

    Args:
        process: From `spawn_process` with the same sockets.
        order: For the worker.
        sockets: They stay open in this process.
    """
    assert process.stdin is not None  # noqa: S101 - it is a pipe
    with contextlib.suppress(OSError):  # the process has ended already: the caller notices that by itself
        process.stdin.write(pickle.dumps((order, [_give(sock, process) for sock in sockets])))
        await process.stdin.drain()
        process.stdin.close()


def receive_order(stream: BinaryIO) -> tuple[WorkOrder, list[socket.socket]]:
    """Return the order and the sockets from the supervisor.

    Args:
        stream: Standard input; only the parent of this process can write to it.

    Raises:
        EOFError: The supervisor has ended.
    """
    order, handles = pickle.load(stream)  # noqa: S301 - from the process that started this one
    sockets = [_take(handle) for handle in handles]
    for sock in sockets:
        sock.setblocking(False)
    return order, sockets
