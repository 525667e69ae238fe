"""An origin that serves one connection with a function of the test."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

_SECONDS = 30.0

Serve = Callable[[socket.socket], None]


@dataclass
class Peer:
    """The port of the origin, and an event for the end of its connection."""

    port: int
    is_through: threading.Event


@contextmanager
def running_peer(serve: Serve) -> Iterator[Peer]:
    """Serve one connection in a thread; the end of the block raises the errors of that thread."""
    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as pool:
        listening.settimeout(_SECONDS)
        peer = Peer(listening.getsockname()[1], threading.Event())

        def work() -> None:
            try:
                connection, _ = listening.accept()
                connection.settimeout(_SECONDS)
                with connection:
                    serve(connection)
            finally:
                peer.is_through.set()

        served = pool.submit(work)
        yield peer
        served.result(_SECONDS)


def read_all(connection: socket.socket) -> bytes:
    """Return everything until the other side ends."""
    pieces = []
    while piece := connection.recv(65_536):
        pieces.append(piece)
    return b"".join(pieces)


def read_head(connection: socket.socket) -> bytes:
    """Return a head; read byte by byte, so that later bytes stay in the socket."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte:
            raise ConnectionError(f"the head ended: {head!r}")
        head += byte
    return head
