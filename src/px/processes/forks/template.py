"""The template process as the supervisor sees it: starts workers by fork, so that all share what they import.

A worker that is a new interpreter takes 20 MB and a third of a second of CPU time for its imports. So the
supervisor imports what a worker needs, and forks the template (`px.processes.forks.template_child`) before it
has any thread, event loop, log file, lock or socket; it could not be forked safely later. The template forks
the workers.

Where this process cannot be forked safely, and once the template has ended, workers start as new interpreters
(`px.processes.handover`).
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import select
import signal
import socket
import sys
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from px.processes.handover import execute_process, format_order
from px.processes.worker import WorkerProcess, WorkOrder
from px.system.process.forking import can_fork, fork, keep_open

#: A fork takes milliseconds. A template that takes longer than this (somebody has stopped it) is given up.
FORK_SECONDS: Final = 5.0
#: How long after the end of a worker the template may take to tell its exit code.
TELL_SECONDS: Final = 0.5
#: How long the template may take to end by itself.
END_SECONDS: Final = 0.5

assert sys.platform == "linux"  # noqa: S101 - for the type checker, too

from px.processes.forks.template_child import MAX_DESCRIPTORS, MESSAGE_BYTES, serve_forks  # noqa: E402 - for Linux alone

_LOGGER = logging.getLogger("px.template")


class TemplateLostError(OSError):
    """The template process cannot start a worker."""


def fork_template(*, finds_upstreams: bool) -> Template | int | None:
    """Import what workers need and fork the template process, if that is safe here.

    Args:
        finds_upstreams: Whether the workers have to find the upstreams.

    Returns:
        In this process: the template, or None where this process cannot be forked. In the template and in
        its workers: the exit code, once they have to end. The caller then has to end the process, and must
        touch nothing else.

    Raises:
        OSError: The system cannot start a process.
    """
    if not can_fork():
        return None
    was_enabled = gc.isenabled()
    gc.disable()  # imports make no garbage, but so many objects that Python would look for it often
    _import_worker(finds_upstreams=finds_upstreams)
    if was_enabled:
        gc.enable()
    if not can_fork():  # an import has started a thread
        return None
    gc.freeze()  # the garbage collector would write to the memory of each object
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = fork()
    if pid == 0:
        keep_open([theirs.fileno()])
        ours.detach()
        return _run_fork(theirs)
    theirs.close()
    return Template(pid, os.pidfd_open(pid), ours)


def _import_worker(*, finds_upstreams: bool) -> None:
    # Only here: where workers are new interpreters, the supervisor never needs these modules.
    import px.app.own_pages  # noqa: PLC0415
    import px.app.px  # noqa: PLC0415
    import px.logs.access_log  # noqa: PLC0415
    import px.processes.child  # noqa: PLC0415
    import px.processes.program  # noqa: F401, PLC0415 - the supervisor's: not twice in memory

    if finds_upstreams:
        from px.app.proxy_discovery import import_discovery  # noqa: PLC0415

        import_discovery()


def _run_fork(sock: socket.socket) -> int:
    from px.processes.child import run_worker  # noqa: PLC0415

    with sock:
        given = serve_forks(sock)
    return 0 if given is None else run_worker(given)


class Template:
    """Starts workers by fork; a context manager that ends the template.

    Args:
        pid: Of the template, which is a child of this process.
        descriptor: Of that process (pidfd_open(2)).
        sock: The supervisor's end of the socket pair.
    """

    def __init__(self, pid: int, descriptor: int, sock: socket.socket) -> None:
        self.pid = pid
        self._descriptor = descriptor
        self._sock = sock
        self._sock.setblocking(False)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_lost = False
        self._asked: deque[asyncio.Future[ForkedProcess]] = deque()
        self._running: dict[int, ForkedProcess] = {}

    async def spawn(self, sockets: Sequence[socket.socket]) -> WorkerProcess:
        """Start the process of a worker. See `px.processes.worker.SpawnProcess`."""
        try:
            return await self._fork(sockets)
        except TemplateLostError:
            if any(sock.fileno() < 0 for sock in sockets):  # Px has begun to end meanwhile
                raise
            _LOGGER.info("a worker starts as a new interpreter")
            return await execute_process(sockets)

    async def _fork(self, sockets: Sequence[socket.socket]) -> ForkedProcess:
        self._watch()
        if self._is_lost or len(sockets) >= MAX_DESCRIPTORS:
            raise TemplateLostError
        giving, taking = socket.socketpair()
        with contextlib.ExitStack() as opened:
            opened.enter_context(giving)
            giving.setblocking(False)
            with taking:
                self._ask([taking, *sockets])
            process = await self._receive_answer()
            process.take_pipe(giving)
            opened.pop_all()
        return process

    def _ask(self, given: Sequence[socket.socket]) -> None:
        try:
            socket.send_fds(self._sock, [b"fork %d" % len(given)], [sock.fileno() for sock in given])
        except OSError as error:
            raise TemplateLostError(error.errno, error.strerror) from error

    async def _receive_answer(self) -> ForkedProcess:
        asked: asyncio.Future[ForkedProcess] = asyncio.get_running_loop().create_future()
        self._asked.append(asked)
        try:
            async with asyncio.timeout(FORK_SECONDS):
                return await asked
        except TimeoutError:
            self._lose("timed out")
            raise TemplateLostError from None

    def _watch(self) -> None:
        """Begin to listen to the template, inside the event loop."""
        if self._loop is None and not self._is_lost:
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(self._sock, self._receive)
            self._loop.add_reader(self._descriptor, self._lose, "ended")

    def _receive(self) -> None:
        try:
            message, given, _, _ = socket.recv_fds(self._sock, MESSAGE_BYTES, 1, socket.MSG_CMSG_CLOEXEC)
        except OSError:
            message, given = b"", []
        match message.split():
            case [b"forked", pid]:
                self._receive_fork(ForkedProcess(int(pid), given[0]))
            case [b"failed", code]:
                self._answer(TemplateLostError(int(code), os.strerror(int(code))))
            case [b"ended", pid, code]:
                if process := self._running.pop(int(pid), None):
                    process.set_code(int(code))
            case _:
                self._lose("hung up")

    def _receive_fork(self, process: ForkedProcess) -> None:
        self._running[process.pid] = process
        if not self._answer(process):
            process.kill()  # nobody waits for it any more

    def _answer(self, answer: ForkedProcess | TemplateLostError) -> bool:
        """Answer the oldest question; return whether somebody still waits for the answer."""
        asked = self._asked.popleft()
        if asked.done():
            return False
        if isinstance(answer, ForkedProcess):
            asked.set_result(answer)
        else:
            asked.set_exception(answer)
        return True

    def _lose(self, why: str) -> None:
        """Give the template up: its workers go on, and further ones are new interpreters."""
        if self._is_lost:
            return
        _LOGGER.info("the template, pid %d, is given up: %s", self.pid, why)
        self._kill()
        self.close()
        while self._asked:
            self._answer(TemplateLostError())

    def close(self) -> None:
        """End the template process, but not its workers."""
        if self._is_lost:
            return
        self._is_lost = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._sock)
            self._loop.remove_reader(self._descriptor)
        self._sock.close()  # the template ends
        if not self._has_ended():
            self._kill()
            self._has_ended()
        os.waitpid(self.pid, os.WNOHANG)
        os.close(self._descriptor)
        for process in self._running.values():
            process.is_alone = True
        self._running.clear()

    def _has_ended(self) -> bool:
        """Whether the template process ends within a moment."""
        poller = select.poll()
        poller.register(self._descriptor, select.POLLIN)
        return bool(poller.poll(END_SECONDS * 1000))

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Template {self.pid}{' lost' if self._is_lost else ''}>"


class ForkedProcess:
    """Implements `px.processes.worker.WorkerProcess` by a child of the template.

    Args:
        pid: The id of the process.
        descriptor: Of the process; the object closes it when the process has ended.
    """

    def __init__(self, pid: int, descriptor: int) -> None:
        self.pid = pid
        #: Whether the template has ended, which cannot tell the exit code then.
        self.is_alone = False
        self._descriptor = descriptor
        self._pipe: socket.socket | None = None
        self._loop = asyncio.get_running_loop()
        self._code: asyncio.Future[int | None] = self._loop.create_future()
        self._loop.add_reader(descriptor, self._notice_end)

    def take_pipe(self, pipe: socket.socket) -> None:
        """Take the socket through which the process waits for its order."""
        self._pipe = pipe

    async def hand_over(self, order: WorkOrder) -> None:
        """Give the process its order. See `WorkerProcess.hand_over`."""
        assert self._pipe is not None  # noqa: S101 - `Template.spawn` gives it
        with contextlib.suppress(OSError), self._pipe:  # the process has ended already
            await self._loop.sock_sendall(self._pipe, format_order(order))

    def _notice_end(self) -> None:
        self._loop.remove_reader(self._descriptor)
        # Its parent is now this process, if this one is the first of a container; otherwise it is not.
        with contextlib.suppress(OSError):
            ended = os.waitid(os.P_PIDFD, self._descriptor, os.WEXITED | os.WNOHANG)
            if ended is not None:
                self.set_code(ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status)
        os.close(self._descriptor)
        self._descriptor = -1
        if self._pipe is not None:
            self._pipe.close()
        self._loop.call_later(0 if self.is_alone else TELL_SECONDS, self.set_code, None)

    def set_code(self, code: int | None) -> None:
        """Tell how the process has ended; None: nobody knows."""
        if not self._code.done():
            self._code.set_result(code)

    def kill(self) -> None:
        """Kill the process. See `WorkerProcess.kill`."""
        if self._descriptor >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)

    async def wait(self) -> int | None:
        """Return the exit code. See `WorkerProcess.wait`."""
        return await asyncio.shield(self._code)

    def __repr__(self) -> str:
        return f"<ForkedProcess {self.pid}>"
