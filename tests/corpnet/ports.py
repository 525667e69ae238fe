"""Free TCP ports that stay free until the server for them has started."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path

LOOPBACK = "127.0.0.1"


@contextlib.contextmanager
def reserved_ports(count: int) -> Iterator[list[int]]:
    """Yield free ports, and keep other programs from taking them inside the with block.

    The sockets are bound but do not listen, and allow the address to be reused:
    the kernel never assigns their ports by itself, while a server that asks for
    one of them by number (and allows reuse too, as all of ours do) gets it.
    """
    with contextlib.ExitStack() as stack:
        ports = []
        for _ in range(count):
            holder = stack.enter_context(socket.socket())
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.bind((LOOPBACK, 0))
            ports.append(holder.getsockname()[1])
        yield ports


def accepts_connections(port: int) -> bool:
    """Tell whether a server listens on this port."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True


def publish_ports(path: Path, ports: dict[str, int]) -> None:
    """Write the ports of a listening program to a file, which appears only when it is complete."""
    unfinished = path.with_suffix(".new")
    unfinished.write_text(json.dumps(ports))
    unfinished.rename(path)
