"""A configurable proxy that requires NTLM, verifies logins and records the requests that it admits."""

from __future__ import annotations

import os
import re
import time
from base64 import b64decode, b64encode
from dataclasses import dataclass, field

from px.core.auth.ntlm.messages import format_challenge, message_type, parse_negotiate
from tests.scripted_upstream import (
    ScriptedUpstream,
    Wire,
    answer,
    credentials_of,
    field_of,
    login_required,
    verify_ntlm,
)

#: More connections than any test opens.
MAX_CONNECTIONS = 40
_NEGOTIATE = 1


@dataclass(eq=False)
class UploadProxy:
    """Plays any number of connections.

    Attributes:
        heeds_expect: It sends a 407 right after the head, and a 100 if the request expects one; otherwise it
            reads each body first.
        holds: A login lasts for the ``connection``, for one ``request``, or on it for ``HEAD`` only.
        closes: It closes the connection after ``each 407`` without a challenge, or after ``each answer``.
        to_head: The answer to HEAD, whatever the login; None: as to any other request.
        sends_page_to_head: It sends the page of a 407 in answer to HEAD, too.
        free_methods: Methods that need no login.
        is_open: No request needs a login.
        fails_expect: It answers an Expect with 417, whatever the login, and closes.
        takes_first_token: It admits a client after a type 1 message, like a proxy that knows the address.
        arrived: Method and body of each admitted request.
        heads: The heads of all requests.
    """

    heeds_expect: bool = False
    holds: str = "connection"
    closes: str = ""
    to_head: bytes | None = None
    sends_page_to_head: bool = False
    free_methods: tuple[bytes, ...] = ()
    is_open: bool = False
    fails_expect: bool = False
    takes_first_token: bool = False
    arrived: list[tuple[bytes, bytes]] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)

    def upstream(self) -> ScriptedUpstream:
        """Return the address of the proxy."""
        return ScriptedUpstream(*[self.play] * MAX_CONNECTIONS)

    async def play(self, wire: Wire) -> None:
        """Serve one connection."""
        connection = _Connection(self, wire)
        while (head := await next_head(wire)) is not None:
            self.heads.append(head)
            if not await connection.serve(head):
                return

    @property
    def uploads(self) -> list[tuple[bytes, bytes]]:
        """The admitted requests whose methods are not safe (RFC 9110 9.2.1)."""
        return [(method, body) for method, body in self.arrived if method not in (b"GET", b"HEAD")]


class _Connection:
    def __init__(self, proxy: UploadProxy, wire: Wire) -> None:
        self._proxy = proxy
        self._wire = wire
        self._first = self._challenge = b""
        self._is_logged_in = False

    async def serve(self, head: bytes) -> bool:
        """Answer one request; return whether the connection stays open."""
        proxy, wire = self._proxy, self._wire
        if head.startswith(b"HEAD ") and proxy.to_head is not None:
            await wire.send(proxy.to_head)
            return True
        if proxy.fails_expect and field_of(head, b"expect"):
            await wire.send(answer(417))
            return False
        method = head.split(b" ")[0]
        body = None if proxy.heeds_expect else await read_body(wire, head)
        challenge = b"" if method in proxy.free_methods or proxy.is_open else self._judge(head)
        if challenge:
            return await self._refuse(head, challenge, is_body_read=body is not None)
        if body is None:
            if field_of(head, b"expect"):
                await wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = await read_body(wire, head)
        proxy.arrived.append((method, body))
        if proxy.holds == "request" or (proxy.holds == "HEAD" and method == b"HEAD"):
            self._is_logged_in = False
        said = answer(200, b"" if method == b"HEAD" else b"%d" % len(body))
        await wire.send(said)
        return proxy.closes != "each answer"

    def _judge(self, head: bytes) -> bytes:
        """Return the challenge with which to refuse a request, or an empty one to admit it."""
        if b"proxy-authorization" not in head.lower():
            return b"" if self._is_logged_in else b"NTLM"
        token = b64decode(credentials_of(head, b"NTLM"), validate=True)
        if message_type(token) == _NEGOTIATE:
            if self._proxy.takes_first_token:
                return b""
            flags = parse_negotiate(token).flags
            now = int((time.time() + 11644473600) * 10_000_000)
            self._first = head
            self._challenge = format_challenge(os.urandom(8), "UP", now, negotiate_flags=flags)
            return b"NTLM " + b64encode(self._challenge)
        verify_ntlm(self._first, self._challenge, head, scheme=b"NTLM")
        self._is_logged_in = True
        return b""

    async def _refuse(self, head: bytes, challenge: bytes, *, is_body_read: bool) -> bool:
        proxy = self._proxy
        is_first = challenge == b"NTLM"
        announces = proxy.closes in ("each 407", "each answer") and is_first
        said = login_required(challenge, connection=b"close" if announces else b"")
        if head.startswith(b"HEAD ") and not proxy.sends_page_to_head:
            said = said.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        await self._wire.send(said)
        if announces:
            return False
        if not (is_body_read or field_of(head, b"expect")):
            await read_body(self._wire, head)
        elif not is_body_read:
            return False  # the client may or may not send the body
        return True


async def next_head(wire: Wire) -> bytes | None:
    """Return the next head, None at the end."""
    while b"\r\n\r\n" not in wire._received:
        try:
            if not await wire._receive():
                return None
        except ConnectionResetError:
            return None
    return await wire.read_head()


async def read_body(wire: Wire, head: bytes) -> bytes:
    """Return the body of a request, as far as it arrives."""
    if field_of(head, b"transfer-encoding") is None:
        return await _read(wire, int(field_of(head, b"content-length") or 0))
    body = b""
    while True:
        line = await wire.read_until(b"\r\n")
        size = int(re.split(rb"[;\r]", line)[0], 16)
        chunk = await _read(wire, size + 2)
        if not size:
            return body
        body += chunk[:size]


async def _read(wire: Wire, count: int) -> bytes:
    while len(wire._received) < count:
        try:
            if not await wire._receive():
                break
        except ConnectionResetError:
            break
    data, wire._received = wire._received[:count], wire._received[count:]
    return data
