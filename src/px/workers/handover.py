"""Starts a worker's process and gives it its orders and its sockets.

Both go through the pipe that is its standard input, which nobody else can read: settings hold secrets. The
sockets are inherited, or on Windows duplicated for that one process.
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

from px.system.child_command import WORKER_ARGUMENT, child_command, child_environment
from px.workers.worker import WorkOrder

if sys.platform == "win32":
    from px.system.console import has_console

    async def _spawn(_: Sequence[socket.socket]) -> Process:
        # A console program without a console would be given a new one, with a window.
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

    async def _spawn(sockets: Sequence[socket.socket]) -> Process:
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
        sock.set_inheritable(False)  # not for the programs that it may start in its turn
        return sock


async def start_process(order: WorkOrder, sockets: Sequence[socket.socket]) -> Process:
    """Start the process of a worker.

    Args:
        order: What it has to know.
        sockets: They stay open here.

    Raises:
        OSError: It cannot be started.
    """
    process = await _spawn(sockets)
    assert process.stdin is not None  # noqa: S101 - it is a pipe
    with contextlib.suppress(OSError):  # it has ended already: that is noticed elsewhere
        process.stdin.write(pickle.dumps((order, [_give(sock, process) for sock in sockets])))
        await process.stdin.drain()
        process.stdin.close()
    return process


def receive_order(stream: BinaryIO) -> tuple[WorkOrder, list[socket.socket]]:
    """Return what the supervisor gave to this process.

    Args:
        stream: Standard input; only this program's own parent writes to it.

    Raises:
        EOFError: The supervisor has gone.
    """
    order, handles = pickle.load(stream)  # noqa: S301 - from the process that started this one
    sockets = [_take(handle) for handle in handles]
    for sock in sockets:
        sock.setblocking(False)
    return order, sockets
