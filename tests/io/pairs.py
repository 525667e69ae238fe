"""Connected pairs: a stream of Px, and a wire at the other end."""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import Any, NamedTuple

from px.io.completion_stream import CompletionStream
from px.io.io_loop import IoLoop
from px.io.socket_stream import SocketStream
from px.io.tunnel import Tunnel
from tests.scripted_upstream import Wire, until

StreamKind = type[SocketStream] | type[CompletionStream]
#: The kinds of socket streams that this platform's event loop supports.
KINDS: list[StreamKind] = [CompletionStream] if sys.platform == "win32" else [SocketStream, CompletionStream]
#: The kind that Px uses on this platform.
KIND = KINDS[0]


class Both(NamedTuple):
    """Two streams that a tunnel joins, and the far end of each."""

    io_loop: IoLoop
    first: Any
    client: Wire
    second: Any
    upstream: Wire


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Return two ends of one TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        near = socket.create_connection(listening.getsockname())
        far, _ = listening.accept()
    return near, far


def open_pair(io_loop: IoLoop, kind: StreamKind = KIND) -> tuple[SocketStream | CompletionStream, Wire]:
    """Return a stream and the wire at its other end."""
    near, far = tcp_pair()
    return kind(near, io_loop, "peer"), Wire(far)


async def relay(first: Any, second: Any, io_loop: IoLoop, idle_seconds: float) -> None:
    """Run a tunnel between two streams until it ends, then close them; raise the error that broke it."""
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
    assert tunnel._idle_timeout not in io_loop._waiters


def stall(wire: Wire, size: int = 4096) -> None:
    """Make the kernel's buffers small for a wire that does not read."""
    wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)


async def reset_while_it_reads(stream: Any, wire: Wire) -> None:
    """Reset the connection once the stream receives, since Wine 8 takes an earlier reset for an end."""
    await until(lambda: getattr(stream, "_receiving", None) or getattr(stream, "is_receiving", False))
    await asyncio.sleep(0)  # if a task receives, it must start first
    wire.reset()
