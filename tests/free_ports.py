"""Free ports, for programs that need a port number. No other test run gets the same ports at that time."""

from __future__ import annotations

import atexit
import itertools
import socket
from collections.abc import Iterator
from functools import cache

#: Below the ephemeral ports of Linux and Windows, so that no outgoing connection takes one.
_FIRST, _END = 10_000, 32_000
_BLOCK = 500


def free_port() -> int:
    """Return a port that is free at every IPv4 address. Hundreds of calls return different ports."""
    return next(port for port in _own_ports() if _is_free(port))


@cache
def _own_ports() -> Iterator[int]:
    """Reserve a block of ports for this process, by listening on its first port."""
    for first in range(_FIRST, _END, _BLOCK):
        holder = socket.socket()
        try:
            holder.bind(("127.0.0.1", first))
        except OSError:
            holder.close()
            continue
        atexit.register(holder.close)
        return itertools.cycle(range(first + 1, first + _BLOCK))
    raise AssertionError("no block of ports is free")


def _is_free(port: int) -> bool:
    with socket.socket() as sock:
        try:
            sock.bind(("", port))
        except OSError:
            return False
    return True
