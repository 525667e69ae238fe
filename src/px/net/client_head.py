"""Reads the heads of a client's requests."""

from __future__ import annotations

from px.core.errors import BadRequestError
from px.core.head import check_head_size, find_head_end
from px.net.io_loop import NEVER, IoLoop
from px.net.stream import Stream

#: How long a head may take from its first byte on.
HEAD_SECONDS = 30.0


async def read_head(client: Stream, io_loop: IoLoop, seconds: float) -> bytes | None:
    """Return the next request's head; None when the client has no more to say.

    Args:
        client: What follows the head stays in its stream.
        io_loop: Of the stream.
        seconds: How long the client may be silent before.

    Raises:
        BadRequestError: It is none, or came too slowly.
        OSError: The client is gone.
    """
    received = b""
    client.deadline = io_loop.now() + seconds
    while True:
        try:
            data = await client.read()
        except TimeoutError:
            if not received:
                return None
            raise _say_slow() from None
        if not data:
            return None
        received = received + data if received else data
        if (end := find_head_end(received)) >= 0:
            break
        if received is data:
            client.deadline = io_loop.now() + HEAD_SECONDS
        check_head_size(received)
    client.deadline = NEVER
    if end < len(received):
        client.unread(received[end:])
    return received[:end]


def _say_slow() -> BadRequestError:
    return BadRequestError(
        f"The head of the request was not complete after {HEAD_SECONDS:g} s.",
        status=408,
        proxy_status="http_request_error",
    )
