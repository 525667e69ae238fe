"""A request on its way out, and the answer that comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

from px.core.http.request_head import RequestHead
from px.core.http.response_head import ResponseHead
from px.core.trace.request_trace import NO_TRACE, RequestTrace
from px.upstream.connections.connection import Connection, Hop
from px.upstream.request_body import RequestBody

_SWITCHING_PROTOCOLS = 101

#: Opens a connection to a hop; returns the connection.
Dial = Callable[[Hop], Awaitable[Connection]]
#: Called with each 1xx that is the client's.
OnInterim = Callable[[ResponseHead], Awaitable[None]]

LOGIN_REQUIRED = 407
#: Those of RFC 9110 9.2.2; and CONNECT, because nothing reaches the origin before the tunnel is open.
REPEATABLE_METHODS = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE", b"CONNECT"))
#: How long the end of a request's body may come after the end of its answer.
LATE_UPLOAD_SECONDS = 1.0
#: Most 1xx before the final answer. A few are common; without a limit a hop could keep Px busy for ever.
MAX_INTERIMS = 64


async def ignore_interim(_: ResponseHead) -> None:
    """Drop a 1xx: clients of HTTP/1.0 do not know them, and Px needs none for its own requests."""


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """A request on its way out: everything about it that does not depend on the route.

    Attributes:
        head: As the client sent it.
        body: As the client sends it.
        via: Value of the Via field to add, or None.
        set_fields: Fields that Px sets for its user (User-Agent), or counts down (Max-Forwards).
        is_bound: The client logs a connection in to the origin: the connection must not be shared.
        trace: Its steps are reported to it.
        client_retries: Whether the client may send it again if its connection closes without an answer: the
            client has used the connection before (RFC 9112 9.3.1).
        is_from_here: Whether its client is a program of this computer.
        on_interim: Called with each 1xx that is the client's (RFC 9110 15.2).
        bound: The connection that belongs to its client alone, used if it leads to the same hop.
    """

    head: RequestHead
    body: RequestBody
    via: bytes | None
    set_fields: tuple[tuple[bytes, bytes], ...] = ()
    is_bound: bool = False
    trace: RequestTrace = NO_TRACE
    client_retries: bool = False
    is_from_here: bool = False
    on_interim: OnInterim = ignore_interim
    bound: Connection | None = None

    @property
    def is_repeatable(self) -> bool:
        """Whether the method allows sending the request again although it may have arrived."""
        return self.head.method in REPEATABLE_METHODS

    def target_at(self, hop: Hop) -> bytes:
        """Return the request-target in the form that the hop wants (RFC 9112 3.2)."""
        if self.head.method == b"CONNECT":
            return self.head.authority.to_bytes()
        return self.head.target if hop.is_upstream else self.head.origin_target


class RouteAttempt(NamedTuple):
    """One route that a request is tried by.

    Attributes:
        hop: The next hop.
        dial: Opens a connection to the hop.
    """

    hop: Hop
    dial: Dial


@dataclass(slots=True, eq=False)
class Answer:
    """A final answer's head, and the connection its body comes over.

    Attributes:
        connection: Belongs to the receiver of the answer, which puts it into the pool or closes it.
        head: As the hop sent it.
        upload: The rest of the request's body, still on its way (an early answer); or None.
        is_through: Whether all of the answer's body has been read.
        is_body_waiting: Whether the answer came instead of a 100, so that the body still waits to be sent.
    """

    connection: Connection
    head: ResponseHead
    upload: asyncio.Task[None] | None = None
    is_through: bool = False
    is_body_waiting: bool = False

    async def finish_upload(self, request: Request) -> bool:
        """Return whether the whole body of the request was sent, now that the answer has been passed on."""
        if self.upload is not None:
            timeout = LATE_UPLOAD_SECONDS if request.body.is_complete else 0
            await asyncio.wait([self.upload], timeout=timeout)
        return request.body.is_complete

    async def end_upload(self) -> bool:
        """Stop the upload; return whether it was complete already, so that the hop has the whole body."""
        upload = self.upload
        if upload is None:
            return True
        is_done = upload.done()
        if not is_done:
            upload.cancel()
            await asyncio.wait([upload])
        return is_done and not upload.cancelled() and upload.exception() is None

    def opens_tunnel(self, method: bytes) -> bool:
        """Return whether a tunnel follows the answer, and no message; `method` is the request's."""
        if self.head.status == _SWITCHING_PROTOCOLS:
            return True
        return method == b"CONNECT" and 200 <= self.head.status < 300  # noqa: PLR2004 - RFC 9110 9.3.6


class AwaitedVerdict(NamedTuple):
    """The verdict on a token that was sent: it is still to come, or nobody has dealt with it yet.

    Attributes:
        connection: The one that carried the token.
        method: Of the request that carried the token.
        answer: The head that answers it; None: no answer has come yet.
    """

    connection: Connection
    method: bytes
    answer: ResponseHead | None
