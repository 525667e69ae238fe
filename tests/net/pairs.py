"""Connected pairs: a stream of Px's and the other end as a wire."""

from __future__ import annotations

import socket
from typing import TypeVar

from px.net.completion_stream import CompletionStream
from px.net.io_loop import IoLoop
from px.net.socket_stream import SocketStream
from tests.scripted_upstream import Wire

StreamKind = type[SocketStream] | type[CompletionStream]
_Stream = TypeVar("_Stream", SocketStream, CompletionStream)
KINDS: list[StreamKind] = [SocketStream, CompletionStream]


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Two ends of one TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        near = socket.create_connection(listening.getsockname())
        far, _ = listening.accept()
    return near, far


def open_pair(kind: type[_Stream], io_loop: IoLoop) -> tuple[_Stream, Wire]:
    """A stream and the wire at its other end."""
    near, far = tcp_pair()
    return kind(near, io_loop, "peer"), Wire(far)


def stall(wire: Wire, size: int = 4096) -> None:
    """Have the kernel take little for a wire that does not read."""
    wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
