"""Reads the heads of a client's requests, and the first bytes of any request."""

from __future__ import annotations

from px.core.errors import BadRequestError
from px.core.http.head import HeadReader, find_head_end
from px.core.http.request_head import check_request_beginning
from px.io.io_loop import NEVER, IoLoop
from px.io.stream import Stream

#: How long a head may take from its first byte on.
HEAD_SECONDS = 30.0


async def read_head(client: Stream, io_loop: IoLoop, seconds: float) -> bytes | None:
    """Return the head of the next request; None: the client sends no more.

    Args:
        client: The client's stream; bytes behind the head stay in it.
        io_loop: Of the stream.
        seconds: How long the client may be silent before the head.

    Raises:
        BadRequestError: The bytes are no head, or came too slowly.
        OSError: The client is gone.
    """
    received = await read_first(client, io_loop, seconds)
    end = find_head_end(received)
    if end < 0 and received:
        client.deadline = io_loop.now() + HEAD_SECONDS
        received, end = await _read_rest(client, received)
    if end < 0:
        return None
    client.deadline = NEVER
    if end < len(received):
        client.unread(received[end:])
    return received[:end]


async def read_first(client: Stream, io_loop: IoLoop, seconds: float) -> bytes:
    """Return the first bytes of the next request; empty: the client sends no more.

    Args:
        client: The client's stream.
        io_loop: Of the stream.
        seconds: How long the client may be silent.

    Raises:
        OSError: The client is gone.
    """
    client.deadline = io_loop.now() + seconds
    try:
        return await client.read()
    except TimeoutError:
        if client.is_quiet():
            return b""
        client.deadline = io_loop.now() + HEAD_SECONDS  # the first bytes came at the last moment
        return await client.read()


async def _read_rest(client: Stream, received: bytes) -> tuple[bytes, int]:
    """Return a head that came in pieces with the bytes after it, and where it ends; -1: no head came."""
    reader = HeadReader()
    while (end := reader.receive(received)) < 0:
        check_request_beginning(reader)
        try:
            received = await client.read()
        except TimeoutError:
            raise _make_slow_error() from None
        if not received:
            break
    return bytes(reader.received), end


def _make_slow_error() -> BadRequestError:
    return BadRequestError(
        f"The head of the request was not complete after {HEAD_SECONDS:g} s.",
        status=408,
        proxy_status="http_request_error",
    )
