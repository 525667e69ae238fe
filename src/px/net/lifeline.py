"""Whether a connection still leads to its peer: asked of the system, and found out by it."""

from __future__ import annotations

import contextlib
import socket
import sys
from functools import cache
from typing import Final

#: After so long without a sign of life from the peer's system a connection is broken.
SILENT_SECONDS: Final = 10
#: After so long without a byte the peer's system is asked for one.
PROBE_SECONDS: Final = 5

#: Options of TCP that the module `socket` does not name: of Windows (ws2ipdef.h) and macOS (netinet/tcp.h).
_TCP_MAXRT, _TCP_RXT_CONNDROPTIME, _TCP_KEEPALIVE = 5, 0x80, 0x10


def is_stranded(sock: socket.socket, verdicts: dict[tuple[str, str], bool]) -> bool:
    """Whether this computer would no longer send from a socket's own address to its peer.

    Args:
        sock: A connected one.
        verdicts: What was found of own and peer's addresses.
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


def set_patience(sock: socket.socket) -> None:
    """Have a connection break when its peer has confirmed nothing for so long, be it that nothing was sent.

    Else a peer that was switched off, or a path that has gone, keeps a request waiting for minutes.
    """
    with contextlib.suppress(OSError):  # where the system does not know it
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _patience():
            sock.setsockopt(socket.IPPROTO_TCP, name, value)


@cache
def _patience() -> list[tuple[int, int]]:
    """Return the options of TCP for it, and their values."""
    if sys.platform == "linux":
        times = {socket.TCP_USER_TIMEOUT: SILENT_SECONDS * 1000, socket.TCP_KEEPIDLE: PROBE_SECONDS}
        times[socket.TCP_KEEPINTVL] = PROBE_SECONDS // 2
    elif sys.platform == "win32":
        times = {_TCP_MAXRT: SILENT_SECONDS, socket.TCP_KEEPIDLE: PROBE_SECONDS}
    else:
        times = {_TCP_RXT_CONNDROPTIME: SILENT_SECONDS, _TCP_KEEPALIVE: PROBE_SECONDS}
    return list(times.items())
