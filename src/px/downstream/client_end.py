"""Ends a client's connection after an answer so that the client gets every byte that was sent.

A reset destroys what is still on its way (RFC 9112 9.6). So Px ends the connection and goes on reading for a
while, because a client that sends to a closed connection causes a reset, too. Px resets the connection itself
only where its end would look like the end of the body, and not before the client has received what was sent.
"""

from __future__ import annotations

import asyncio
import contextlib

from px.io.io_loop import IoLoop
from px.io.liveness import unsent_bytes
from px.io.stream import OwnedSocket, Stream

#: How long a client may go on sending after its last answer. Where the system does not tell what the client's
#: system has received, a client also has this long to read before a reset.
LINGER_SECONDS = 2.0
#: How long a client that will be reset may leave the bytes sent to it unread.
TAKE_SECONDS = 15.0
#: The longest wait before a reset.
TAKE_ALL_SECONDS = 300.0

_LOOK_SECONDS = 0.05


async def linger(client: Stream, io_loop: IoLoop) -> None:
    """End the connection and let the client read its answer; the caller closes the stream afterwards."""
    await client.write_eof()
    client.deadline = io_loop.now() + LINGER_SECONDS
    with contextlib.suppress(OSError):
        while await client.read() and io_loop.now() < client.deadline:
            pass


async def reset_when_taken(client: OwnedSocket, io_loop: IoLoop) -> None:
    """Reset the connection as soon as the client's system has received what was sent."""
    try:
        if unsent_bytes(client.sock) is None:
            await asyncio.sleep(LINGER_SECONDS)
        else:
            await _wait_taken(client, io_loop)
    finally:
        client.reset()


async def _wait_taken(client: OwnedSocket, io_loop: IoLoop) -> None:
    now = io_loop.now()
    last, until, latest = 0, now + TAKE_SECONDS, now + TAKE_ALL_SECONDS
    while now < min(until, latest) and (unsent := unsent_bytes(client.sock)):
        if unsent != last:
            last, until = unsent, now + TAKE_SECONDS
        await asyncio.sleep(_LOOK_SECONDS)
        now = io_loop.now()
