"""The template process: forks a worker for each request of the supervisor, and tells how the workers end.

It is a fork of the supervisor from before there was any thread, event loop, log file, lock or socket. It has
none of them itself: only its end of a socket pair, and the descriptors of its children.

===========================  ============================================================================
supervisor: ``fork COUNT``   with descriptors: where the order of the worker comes from, then its sockets
template: ``forked PID``     with the descriptor of the process (pidfd_open(2))
template: ``failed ERRNO``   the system cannot start a process
template: ``ended PID CODE`` the exit code of a worker that has ended; negative: the signal
===========================  ============================================================================

Each message is a packet. The template ends when the supervisor closes its end or dies. Its workers notice by
their own channels that the supervisor has gone.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import select
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Final

from px.system.process.forking import fork, keep_open
from px.system.process.open_files import raise_limit

assert sys.platform == "linux"  # noqa: S101 - for the type checker, too

#: The most descriptors that one message can carry (SCM_MAX_FD of Linux).
MAX_DESCRIPTORS: Final = 253
MESSAGE_BYTES: Final = 64

#: A terminal or a service manager sends these signals to all processes of Px; the supervisor acts on them.
_LEFT_TO_SUPERVISOR: Final = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)


def serve_forks(sock: socket.socket) -> Sequence[int] | None:
    """Fork workers until the supervisor has gone.

    Returns:
        In each worker: the descriptors that the supervisor has sent. In the template at its end: None.
    """
    for number in _LEFT_TO_SUPERVISOR:
        signal.signal(number, signal.SIG_IGN)
    gc.disable()  # looking for garbage would write to the memory that all share, and there is none
    raise_limit()  # the workers inherit it
    template = _TemplateProcess(sock)
    with contextlib.suppress(OSError):  # a message that the supervisor, which has gone, does not take
        return template.serve()
    return None


class _TemplateProcess:
    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._children: dict[int, int] = {}  # descriptor of the process -> its id
        self._poller = select.poll()
        self._poller.register(sock, select.POLLIN)

    def serve(self) -> Sequence[int] | None:
        while True:
            for descriptor, _ in self._poller.poll():
                if descriptor in self._children:
                    self._reap(descriptor)
                    continue
                message, given, _, _ = socket.recv_fds(
                    self._sock, MESSAGE_BYTES, MAX_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC
                )
                if not message:
                    return None
                if self._fork(int(message.split()[1]), given):
                    return given
                for each in given:
                    os.close(each)

    def _fork(self, count: int, given: Sequence[int]) -> bool:
        """Fork a worker, and tell the supervisor; return whether this process is the worker."""
        if len(given) < count:  # the others were more than this process may have open
            self._sock.send(b"failed %d" % errno.EMFILE)
            return False
        try:
            pid = fork()
        except OSError as error:
            self._sock.send(b"failed %d" % (error.errno or 0))
            return False
        if pid == 0:
            keep_open(given)
            self._sock.detach()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            gc.enable()
            return True
        descriptor = os.pidfd_open(pid)  # no other process can have this number before `_reap`
        self._children[descriptor] = pid
        self._poller.register(descriptor, select.POLLIN)
        socket.send_fds(self._sock, [b"forked %d" % pid], [descriptor])
        return False

    def _reap(self, descriptor: int) -> None:
        pid = self._children.pop(descriptor)
        self._poller.unregister(descriptor)
        os.close(descriptor)
        _, status = os.waitpid(pid, 0)
        self._sock.send(b"ended %d %d" % (pid, os.waitstatus_to_exitcode(status)))
