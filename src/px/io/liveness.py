"""What the system knows about a connection: whether it leads to its peer, what the peer has confirmed."""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
from functools import cache
from typing import Final

#: A connection breaks if the peer's system has not responded for this long.
SILENT_SECONDS: Final = 10
#: After this long without a byte, the system probes the peer.
PROBE_SECONDS: Final = 5

#: TCP options that the module `socket` does not name: those of Windows (ws2ipdef.h) and macOS
#: (netinet/tcp.h).
_TCP_MAXRT, _TCP_RXT_CONNDROPTIME, _TCP_KEEPALIVE = 5, 0x80, 0x10
#: An option of the level SOL_SOCKET on macOS (sys/socket.h).
_SO_NWRITE = 0x1024


def is_stranded(sock: socket.socket, verdicts: dict[tuple[str, str], bool]) -> bool:
    """Return whether this computer no longer sends to a socket's peer from the socket's own address.

    Args:
        sock: A connected socket.
        verdicts: The results so far, by own and peer's address; new ones are added.
    """
    try:
        own, peer = sock.getsockname(), sock.getpeername()
    except OSError:
        return True
    ends = own[0], peer[0]
    if ends not in verdicts:
        try:
            with socket.socket(sock.family, socket.SOCK_DGRAM) as probe:
                probe.connect(peer)  # sends nothing
                verdicts[ends] = probe.getsockname()[0] != own[0]
        except OSError:
            verdicts[ends] = True
    return verdicts[ends]


def set_liveness_timeouts(sock: socket.socket) -> None:
    """Make a connection break if its peer confirms nothing for `SILENT_SECONDS`, even when nothing is sent.

    Otherwise a peer that was switched off, or a path that is gone, delays a request for minutes.
    """
    with contextlib.suppress(OSError):  # the system may lack an option
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _timeout_options():
            sock.setsockopt(socket.IPPROTO_TCP, name, value)


if sys.platform == "linux":
    import fcntl
    import termios

    def _ask_unsent_bytes(sock: socket.socket) -> int | None:
        answer = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4))  # SIOCOUTQ of tcp(7)
        return int(struct.unpack("i", answer)[0])

elif sys.platform == "darwin":

    def _ask_unsent_bytes(sock: socket.socket) -> int | None:
        return sock.getsockopt(socket.SOL_SOCKET, _SO_NWRITE)

else:

    def _ask_unsent_bytes(sock: socket.socket) -> int | None:  # noqa: ARG001 - Windows does not report it
        return None


def unsent_bytes(sock: socket.socket) -> int | None:
    """Return how many sent bytes the peer's system has not confirmed; None if this system cannot tell.

    A connection that broke or was closed has none.
    """
    if sock.fileno() < 0:
        return 0
    try:
        return _ask_unsent_bytes(sock)
    except OSError:
        return 0


@cache
def _timeout_options() -> list[tuple[int, int]]:
    """Return the TCP options for these timeouts, with their values."""
    if sys.platform == "linux":
        times = {socket.TCP_USER_TIMEOUT: SILENT_SECONDS * 1000, socket.TCP_KEEPIDLE: PROBE_SECONDS}
        times[socket.TCP_KEEPINTVL] = PROBE_SECONDS // 2
    elif sys.platform == "win32":
        times = {_TCP_MAXRT: SILENT_SECONDS, socket.TCP_KEEPIDLE: PROBE_SECONDS}
    else:
        times = {_TCP_RXT_CONNDROPTIME: SILENT_SECONDS, _TCP_KEEPALIVE: PROBE_SECONDS}
    return list(times.items())
