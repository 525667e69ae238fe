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
    """Give free ports and keep others from taking them inside the with block.

    The sockets are bound but do not listen, and allow the address to be reused:
    the kernel gives their ports to nobody by itself, while a server that asks for
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
    """Tell whether something listens on this port."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True


def publish_ports(path: Path, ports: dict[str, int]) -> None:
    """Tell the ports that a program of ours listens on; whoever sees the file can read all of it."""
    unfinished = path.with_suffix(".new")
    unfinished.write_text(json.dumps(ports))
    unfinished.rename(path)
