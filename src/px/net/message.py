"""A request on its way out, and the answer that comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

from px.core.head import RequestHead, ResponseHead
from px.core.journey import Journey
from px.net.connection import Connection, Hop
from px.net.request_body import RequestBody

_SWITCHING_PROTOCOLS = 101

#: Opens a connection to a hop.
Dial = Callable[[Hop], Awaitable[Connection]]
#: Called with each 1xx that is the client's.
OnInterim = Callable[[ResponseHead], Awaitable[None]]

LOGIN_REQUIRED = 407
#: How long the end of a request's body may come after the end of its answer.
LATE_UPLOAD_SECONDS = 1.0
#: 1xx before the final answer; a few are common, a flood keeps everybody busy.
MAX_INTERIMS = 64


@dataclass(slots=True, eq=False)
class Request:
    """A request on its way.

    Attributes:
        head: As the client sent it.
        body: As the client sends it.
        via: Value of the Via field to add, or None.
        set_fields: Fields that Px sets for its user (User-Agent), or counts down (Max-Forwards).
        is_bound: The client logs a connection in to the origin: it must not be shared.
        journey: Told what happens to it; None where nobody listens.
        dial: Opens connections for it; None: as for any other.
    """

    head: RequestHead
    body: RequestBody
    via: bytes | None
    set_fields: tuple[tuple[bytes, bytes], ...] = ()
    is_bound: bool = False
    journey: Journey | None = None
    dial: Dial | None = None

    def target_at(self, hop: Hop) -> bytes:
        """Return the request-target in the form that the hop wants (RFC 9112 3.2)."""
        if self.head.method == b"CONNECT":
            return self.head.authority.to_bytes()
        return self.head.target if hop.is_upstream else self.head.origin_target


@dataclass(slots=True, eq=False)
class Answer:
    """A final answer's head, and the connection its body comes over.

    Attributes:
        connection: Leased until `Exchange` users put it back or close it.
        head: As the hop sent it.
        upload: The rest of the request's body, still on its way (an early answer); or None.
        is_through: Whether all of the answer's body has been read.
        is_body_held: It came in place of a 100: the hop may still wait for the request's body.
    """

    connection: Connection
    head: ResponseHead
    upload: asyncio.Task[None] | None = None
    is_through: bool = False
    is_body_held: bool = False

    async def finish_upload(self, request: Request) -> bool:
        """The answer is through; return whether the request's body is, too."""
        if self.upload is not None:
            timeout = LATE_UPLOAD_SECONDS if request.body.is_complete else 0
            await asyncio.wait([self.upload], timeout=timeout)
        return request.body.is_complete

    async def end_upload(self) -> bool:
        """End what is left of the upload; return whether nothing was, and the hop has got all of it."""
        upload = self.upload
        if upload is None:
            return True
        is_done = upload.done()
        if not is_done:
            upload.cancel()
            await asyncio.wait([upload])
        return is_done and not upload.cancelled() and upload.exception() is None

    def opens_tunnel(self, method: bytes) -> bool:
        """Whether no message but a tunnel follows; `method` is the request's."""
        if self.head.status == _SWITCHING_PROTOCOLS:
            return True
        return method == b"CONNECT" and 200 <= self.head.status < 300  # noqa: PLR2004 - RFC 9110 9.3.6


class SentToken(NamedTuple):
    """A final token of a login that was sent.

    Attributes:
        connection: Over which.
        method: Of the request that carried it.
        answer: What came; None: nothing yet.
    """

    connection: Connection
    method: bytes
    answer: ResponseHead | None


async def ignore_interim(_: ResponseHead) -> None:
    """Where nobody waits for a 1xx: clients of HTTP/1.0 do not know them, Px does not need them."""
