"""The handshake with a SOCKS upstream, over any stream."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from px.core.http.target import Authority
from px.core.rules.route import UpstreamAddress
from px.core.socks.login import SocksLogin
from px.core.socks.messages import Awaited, SocksHandshake
from px.io.stream import Stream

#: How long a SOCKS upstream may take to reach an origin. Common ones give up after 30 to 60 s, or when their
#: system does, and then report the cause, which helps more than a timeout of Px. Until then the origin is
#: slow, and the upstream is not to blame.
REPLY_SECONDS = 60.0


async def open_socks(
    stream: Stream,
    upstream: UpstreamAddress,
    target: Authority,
    login_of: Callable[[UpstreamAddress], SocksLogin],
    timeout_seconds: float,
) -> None:
    """Connect a stream to a target through a SOCKS upstream: later reads return the target's bytes.

    Args:
        stream: The stream to the upstream.
        upstream: The upstream, whose user and password are used if it wants a login.
        target: The target to reach.
        login_of: Returns the login at an upstream.
        timeout_seconds: For each answer that does not depend on the target.

    Raises:
        UnreachableError: The upstream failed.
        TargetError: The upstream reports that the target cannot be reached.
    """
    handshake = SocksHandshake(upstream, target)
    reply_seconds = max(REPLY_SECONDS, timeout_seconds)
    sending = handshake.begin()
    while handshake.awaited is not Awaited.NOTHING:
        seconds = reply_seconds if handshake.awaited is Awaited.REPLY else timeout_seconds
        step = partial(_take_step, stream, handshake, sending, seconds)
        is_login = handshake.awaited is Awaited.VERDICT
        sending = await (login_of(upstream).log_in(step) if is_login else step())
    stream.unread(handshake.rest)


async def _take_step(stream: Stream, handshake: SocksHandshake, sending: bytes, seconds: float) -> bytes:
    """Send a message and wait for the answer; return the next message."""
    try:
        async with asyncio.timeout(seconds):
            return await _exchange(stream, handshake, sending)
    except TimeoutError:
        raise handshake.receive_silence(seconds) from None
    except OSError as error:
        raise handshake.receive_end() from error


async def _exchange(stream: Stream, handshake: SocksHandshake, sending: bytes) -> bytes:
    await stream.write(sending)
    awaited, sending = handshake.awaited, b""
    while handshake.awaited is awaited:
        received = await stream.read()
        if not received:
            raise handshake.receive_end()
        sending = handshake.receive(received)
    return sending
