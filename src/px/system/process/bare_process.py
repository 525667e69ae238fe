"""Starts a process of this program that gets only a socket, to run code that Px does not trust.

The process inherits no file, no environment variable that may hold a secret, and no working directory that
somebody may want to remove. Its standard input is its end of the socket. On Windows standard input cannot be
a socket, so Px duplicates the socket for the process and sends the description of the duplicate to its
standard input.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from typing import Final

from px.system.process.child_command import bare_command, bare_environment

_END_SECONDS: Final = 10.0


class BareProcess:
    """A started process, and the socket that connects Px to it.

    Args:
        popen: The process.
        sock: The end of the socket that Px keeps.
    """

    def __init__(self, popen: subprocess.Popen[bytes], sock: socket.socket) -> None:
        self._popen = popen
        self.sock = sock
        self.pid = popen.pid

    def end(self) -> None:
        """Kill the process, without waiting, and close the socket."""
        self.sock.close()
        with contextlib.suppress(OSError):  # it has ended already
            self._popen.kill()
        # The process may not end at once (it waits for a disk): do not block the caller.
        # If no thread can be started, `subprocess` reaps this process when the next one starts.
        with contextlib.suppress(RuntimeError):
            threading.Thread(target=self._reap, name="px-reaper", daemon=True).start()

    def _reap(self) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(_END_SECONDS)

    def __repr__(self) -> str:
        return f"<BareProcess {self.pid}>"


if sys.platform == "win32":

    def _start(command: list[str], theirs: socket.socket) -> subprocess.Popen[bytes]:
        popen = subprocess.Popen(  # noqa: S603 - this program itself
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=bare_environment(),
            cwd=os.environ.get("SYSTEMROOT"),
            creationflags=subprocess.DETACHED_PROCESS,  # no console: no window, no Ctrl-C of another
        )
        assert popen.stdin is not None  # noqa: S101 - it is a pipe
        with contextlib.suppress(OSError), popen.stdin:  # it has ended
            popen.stdin.write(theirs.share(popen.pid))
        return popen

    def take_socket() -> socket.socket:
        """Return the socket that the parent process handed to this one."""
        with open(0, "rb", closefd=False) as stdin:
            return socket.fromshare(stdin.read())

else:

    def _start(command: list[str], theirs: socket.socket) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 - this program itself
            command,
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=bare_environment(),
            cwd="/",
        )

    def take_socket() -> socket.socket:
        """Return the socket that the parent process handed to this one."""
        return socket.socket(fileno=0)


def start_bare_process(argument: str) -> BareProcess:
    """Start this program again with one argument; return the process. Blocks while the process starts.

    Raises:
        OSError: The system cannot start a process.
    """
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            popen = _start(bare_command(argument), theirs)
    except BaseException:
        ours.close()
        raise
    ours.setblocking(False)
    return BareProcess(popen, ours)
