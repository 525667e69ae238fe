"""Ports for programs that have to be told one: free, and no other run of the tests at that time gets them."""

from __future__ import annotations

import atexit
import itertools
import socket
from collections.abc import Iterator
from functools import cache

#: Below those that Linux and Windows give to whoever names none: no connection takes one of them either.
_FIRST, _END = 10_000, 32_000
_BLOCK = 500


def free_port() -> int:
    """Return a port that is free at every IPv4 address; another one at each call, for hundreds of calls."""
    return next(port for port in _own_ports() if _is_free(port))


@cache
def _own_ports() -> Iterator[int]:
    """Take a block of ports for this process; holding its first one keeps others out of it."""
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
