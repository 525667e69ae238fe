"""Starts the process of a worker as a new interpreter, and gives a worker its order and its sockets.

The order goes through the pipe that is the standard input of the process, which no other process can read:
settings hold secrets. The process inherits the sockets, or gets duplicates of them on Windows.

A worker that was forked (`px.processes.forks.template`) has its sockets already, and gets its order the same
way.
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

    async def _execute(_: Sequence[socket.socket]) -> Process:
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

    async def _execute(sockets: Sequence[socket.socket]) -> Process:
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


class ExecutedProcess:
    """Implements `px.processes.worker.WorkerProcess` by a new interpreter.

    Args:
        process: The interpreter, which waits for its order.
        sockets: What the process gets.
    """

    def __init__(self, process: Process, sockets: Sequence[socket.socket]) -> None:
        self.pid = process.pid
        self._process = process
        self._sockets = sockets

    async def hand_over(self, order: WorkOrder) -> None:
        """Give the process its order and its sockets. See `WorkerProcess.hand_over`."""
        process = self._process
        assert process.stdin is not None  # noqa: S101 - it is a pipe
        with contextlib.suppress(OSError):  # the process has ended already
            handles = [_give(sock, process) for sock in self._sockets]
            process.stdin.write(format_order(order, handles))
            await process.stdin.drain()
            process.stdin.close()

    def kill(self) -> None:
        """Kill the process."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def wait(self) -> int:
        """Return the exit code. See `WorkerProcess.wait`."""
        return await self._process.wait()

    def __repr__(self) -> str:
        return f"<ExecutedProcess {self.pid}>"


async def execute_process(sockets: Sequence[socket.socket]) -> ExecutedProcess:
    """Start the process of a worker as a new interpreter. See `px.processes.worker.SpawnProcess`."""
    return ExecutedProcess(await _execute(sockets), sockets)


def format_order(order: WorkOrder, handles: Sequence[int | bytes] = ()) -> bytes:
    """Return an order for `receive_order`.

    Args:
        order: For a worker.
        handles: How the worker finds its sockets, unless it has them already.
    """
    return pickle.dumps((order, list(handles)))


def receive_order(stream: BinaryIO, given: Sequence[int] = ()) -> tuple[WorkOrder, list[socket.socket]]:
    """Return the order and the sockets from the supervisor.

    Args:
        stream: Only the supervisor of this process can write to it.
        given: The descriptors of the sockets, if this process has them already.

    Raises:
        EOFError: The supervisor has ended.
    """
    order, handles = pickle.load(stream)  # noqa: S301 - from the supervisor
    sockets = [_take(handle) for handle in handles] or [socket.socket(fileno=each) for each in given]
    for sock in sockets:
        sock.setblocking(False)
    return order, sockets
