"""A client of Px: sends one request as a program does, and reads what Px says about a failure."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Final

from px import __version__
from px.core.errors import PxError
from px.core.http.request_head import RequestHead
from px.core.http.response_head import ResponseHead, parse_response
from px.core.http.target import Authority

#: Longer than Px takes for any failure but that of a silent site.
ANSWER_SECONDS: Final = 60.0
#: A page of Px itself is shorter.
_MAX_PAGE_BYTES: Final = 64 * 1024
#: How Proxy-Status (RFC 9209) begins where Px itself has answered: `format_response` passes no such field on.
_OWN_STATUS: Final = b"px;"


@dataclass(frozen=True, slots=True)
class PxAnswer:
    """The answer to a request through Px.

    Attributes:
        status: The status; 0 if no answer came.
        reason: The reason phrase.
        cause: What failed, in the words of Px; empty where a proxy behind Px, or the site, has answered.
        hint: What Px advises; empty without a cause, too.
        seconds: How long the answer took.
    """

    status: int
    reason: str
    cause: str
    hint: str
    seconds: float


async def ask_px(address: Authority, request: RequestHead) -> PxAnswer:
    """Return the answer to a request; the body, or the tunnel, is closed at once.

    Args:
        address: Where Px listens.
        request: A GET in absolute form, or a CONNECT.
    """
    begun = time.monotonic()
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            head, page = await _exchange(address, request)
    except TimeoutError:
        cause, hint = f"No answer came within {ANSWER_SECONDS:g} s.", "Try another site, or try again later."
        return PxAnswer(0, "", cause, hint, time.monotonic() - begun)
    except (OSError, EOFError, PxError, asyncio.LimitOverrunError) as error:
        cause = f"Px at {address} gave no answer that can be read: {error}."
        return PxAnswer(0, "", cause, "Run px --restart.", time.monotonic() - begun)
    _, cause, hint = (*page.split("\n", 2), "", "")[:3]
    reason = head.reason.decode("latin-1")
    return PxAnswer(head.status, reason, cause, hint.strip(), time.monotonic() - begun)


async def _exchange(address: Authority, request: RequestHead) -> tuple[ResponseHead, str]:
    """Return the head of the answer, and the text of Px itself; empty if Px only passes the answer on."""
    reader, writer = await asyncio.open_connection(address.host, address.port)
    try:
        writer.write(format_request(request))
        head = parse_response(await reader.readuntil(b"\r\n\r\n"), request.method)
        while head.is_interim:
            head = parse_response(await reader.readuntil(b"\r\n\r\n"), request.method)
        if not (head.value(b"proxy-status") or b"").startswith(_OWN_STATUS):
            return head, ""
        page = await reader.readexactly(min(head.framing.length, _MAX_PAGE_BYTES))
        return head, page.decode("utf-8", "replace")
    finally:
        writer.close()


def format_request(request: RequestHead) -> bytes:
    """Return a request that asks for plain text, because a person reads what Px says."""
    return (
        b"%b %b HTTP/1.1\r\nHost: %b\r\nUser-Agent: px/%b\r\nAccept: text/plain\r\nConnection: close\r\n\r\n"
        % (request.method, request.target, request.authority.to_bytes(), __version__.encode("ascii"))
    )
