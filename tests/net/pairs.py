"""Connected pairs: a stream of Px's and the other end as a wire."""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import Any, NamedTuple

from px.net.completion_stream import CompletionStream
from px.net.io_loop import IoLoop
from px.net.socket_stream import SocketStream
from px.net.tunnel import Tunnel
from tests.scripted_upstream import Wire, until

StreamKind = type[SocketStream] | type[CompletionStream]
#: Of the kinds over sockets, those that this platform's event loop can serve.
KINDS: list[StreamKind] = [CompletionStream] if sys.platform == "win32" else [SocketStream, CompletionStream]
#: The kind that Px takes here.
KIND = KINDS[0]


class Both(NamedTuple):
    """Two streams to carry between, and the far end of each."""

    io_loop: IoLoop
    first: Any
    client: Wire
    second: Any
    upstream: Wire


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Two ends of one TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        near = socket.create_connection(listening.getsockname())
        far, _ = listening.accept()
    return near, far


def open_pair(io_loop: IoLoop, kind: StreamKind = KIND) -> tuple[SocketStream | CompletionStream, Wire]:
    """A stream and the wire at its other end."""
    near, far = tcp_pair()
    return kind(near, io_loop, "peer"), Wire(far)


async def relay(first: Any, second: Any, io_loop: IoLoop, idle_seconds: float) -> None:
    """Have a tunnel between two streams until it ends, and close them then; raise what broke it."""
    ended = asyncio.get_running_loop().create_future()

    def end(error: BaseException | None) -> None:
        assert not ended.done()
        first.close()
        second.close()
        if error is None:
            ended.set_result(None)
        else:
            ended.set_exception(error)

    tunnel = Tunnel(io_loop, idle_seconds, end)
    try:
        tunnel.begin(first, second)
        await ended
    finally:
        tunnel.stop()
    assert tunnel not in io_loop._waiters


def stall(wire: Wire, size: int = 4096) -> None:
    """Have the kernel take little for a wire that does not read."""
    wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)


async def reset_while_it_reads(stream: Any, wire: Wire) -> None:
    """Reset once the stream receives: Wine 8 reads a reset that came before as an end."""
    await until(lambda: getattr(stream, "_receiving", None) or getattr(stream, "is_receiving", False))
    await asyncio.sleep(0)  # what receives may be a task of its own, which has its first turn before this
    wire.reset()
