"""An origin or upstream that answers one request, and a client that sends one."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.peers import read_all, read_head, running_peer
from tests.px_process import PxProcess

_SECONDS = 15.0
_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


@contextmanager
def running_origin(heads: list[bytes]) -> Iterator[int]:
    """Yield the port of an origin that answers one request and appends its head to `heads`."""

    def serve(connection: socket.socket) -> None:
        heads.append(read_head(connection))
        connection.sendall(_OK)

    with running_peer(serve) as peer:
        yield peer.port


def get(px: PxProcess, target: str, *, at: str = "127.0.0.1", by: str = "127.0.0.1") -> bytes:
    """Send Px a GET for a target, to and from given addresses of this computer; return the answer."""
    with socket.create_connection((at, px.port), _SECONDS, (by, 0)) as client:
        request = f"GET http://{target}/ HTTP/1.1\r\nHost: {target}\r\nConnection: close\r\n\r\n"
        client.sendall(request.encode())
        return read_all(client)
