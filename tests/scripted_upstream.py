"""A scripted upstream or origin: wire transcripts of behaviour that real servers cannot be made to show.

A script is a coroutine that plays one connection::

    async def script(wire: Wire) -> None:
        await wire.expect(b"GET http://origin.test/ HTTP/1.1\\r\\nHost: origin.test\\r\\n\\r\\n")
        await wire.send(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nhi")

`ScriptedUpstream` plays its scripts in order, one for each connection. At its end every script must have
ended with all expectations met, and no client may have opened a further connection.

`expect_ntlm`, `verify_digest` and `verify_basic` verify logins for real: a fake that accepts anything would
test nothing. NTLM is verified twice, by `px.core.auth.ntlm.verifier` and by a few independent lines, so that
a bug in one of them does not go unnoticed.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import os
import re
import socket
import ssl
import struct
import time
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable
from typing import Self

from px.core.auth.ntlm.messages import format_challenge, parse_negotiate
from px.core.auth.ntlm.verifier import verify_authenticate

#: The longest wait in a test: a busy computer is no fault of the code, and Wine is slow.
WAIT_SECONDS = 20.0
READ_BYTES = 65536

#: The account of MS-NLMP 4.2.1; its key is the NTOWFv2 printed in 4.2.4.1.1, not one that Px has computed.
USER, DOMAIN, PASSWORD = "User", "Domain", "Password"
NT_HASH = bytes.fromhex("a4f49c406510bdcab6824ee7c30fd852")
NTOWF_V2 = bytes.fromhex("0c868a403bfd7a93a3001ef22ef02e3f")
USERNAME = f"{DOMAIN}\\{USER}"


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition that sets no event, for a limited time."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not condition():  # noqa: ASYNC110 - a state of Px's, which sets no event
            await asyncio.sleep(0.001)


class Wire:
    """One end of a TCP connection, used by the byte. Every wait is bounded."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self._received = b""
        self._said: list[str] = []

    @classmethod
    async def connect(cls, port: int) -> Wire:
        """Connect to a port of this computer."""
        sock = socket.socket()
        sock.setblocking(False)
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        except BaseException:
            sock.close()
            raise
        return cls(sock)

    async def send(self, data: bytes) -> None:
        """Send bytes."""
        self._said.append(f"-> {data[:200]!r}")
        async with asyncio.timeout(WAIT_SECONDS):
            await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def expect(self, expected: bytes) -> None:
        """Receive exactly these bytes; fail at the first one that differs."""
        while len(self._received) < len(expected):
            if not expected.startswith(self._received) or not await self._receive():
                break
        got = self._received[: len(expected)]
        if got != expected:  # no bare assert: pytest would take minutes to explain megabytes
            at = next(
                (n for n, pair in enumerate(zip(got, expected, strict=False)) if pair[0] != pair[1]), len(got)
            )
            shown = f"expected {expected[:300]!r}\n     got {got[:300]!r}\nfirst difference at {at}\n{self!r}"
            raise AssertionError(shown)
        self._received = self._received[len(expected) :]

    async def read_until(self, end: bytes) -> bytes:
        """Receive up to and including `end`."""
        while end not in self._received:
            assert await self._receive(), f"ended before {end!r}: {self._received!r}\n{self!r}"
        data, self._received = self._received.split(end, 1)
        return data + end

    async def read_head(self) -> bytes:
        """Receive a head."""
        return await self.read_until(b"\r\n\r\n")

    async def read_exactly(self, count: int) -> bytes:
        """Receive this number of bytes."""
        pieces, missing = [self._received[:count]], count - len(self._received[:count])
        self._received = self._received[count:]
        while missing > 0:
            held, self._received = self._received, b""
            assert not held
            assert await self._receive(), f"{missing} bytes short\n{self!r}"
            pieces.append(self._received[:missing])
            self._received = self._received[missing:]
            missing -= len(pieces[-1])
        return b"".join(pieces)

    async def read_answer(self) -> tuple[bytes, bytes]:
        """Receive a head with a Content-Length, and the body."""
        head = await self.read_head()
        length = field_of(head, b"content-length")
        return head, await self.read_exactly(int(length or 0))

    async def read_to_end(self) -> bytes:
        """Receive until the peer ends."""
        while await self._receive():
            pass
        data, self._received = self._received, b""
        return data

    async def expect_end(self) -> None:
        """Check that the peer closes and sends nothing before."""
        rest = await self.read_to_end()
        assert rest == b"", f"expected the end, got {rest!r}\n{self!r}"

    async def expect_cut(self) -> None:
        """Check that the peer closes or resets the connection; ignore the bytes before."""
        with contextlib.suppress(ConnectionResetError):
            await self.read_to_end()

    async def _receive(self) -> bool:
        async with asyncio.timeout(WAIT_SECONDS):
            data = await asyncio.get_running_loop().sock_recv(self.sock, READ_BYTES)
        self._said.append(f"<- {data[:200]!r}")
        self._received += data
        return bool(data)

    def half_close(self) -> None:
        """Close the sending direction; receiving is still possible."""
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close. Safe to call again."""
        self.sock.close()

    def reset(self) -> None:
        """Close the connection with a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return "\n".join(["<Wire", *self._said[-12:], f"   unread {self._received[:200]!r}>"])


class UpstreamWire(Wire):
    """An upstream's `Wire` to Px, which hides the field with which Px asks to keep the connection.

    Attributes:
        keep_alives: How many times Px has sent that field.
    """

    KEEP_ALIVE = b"Proxy-Connection: keep-alive\r\n"

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.keep_alives = 0

    async def _receive(self) -> bool:
        is_more = await super()._receive()
        while is_more and self._ends_in_field():
            is_more = await super()._receive()
        self.keep_alives += self._received.count(self.KEEP_ALIVE)
        self._received = self._received.replace(self.KEEP_ALIVE, b"")
        return is_more

    def _ends_in_field(self) -> bool:
        return any(self._received.endswith(self.KEEP_ALIVE[:end]) for end in range(7, len(self.KEEP_ALIVE)))


Script = Callable[[Wire], Awaitable[None]]


class ScriptedUpstream:
    """Listens on a free port of 127.0.0.1 and plays one script for each connection."""

    def __init__(self, *scripts: Script) -> None:
        self._scripts = list(scripts)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.setblocking(False)
        self._tasks: list[asyncio.Task[None]] = []
        self._accepting: asyncio.Task[None] | None = None
        self._unauthenticated = 0
        self.port = int(self._listening.getsockname()[1])

    @property
    def authority(self) -> str:
        """``host:port``."""
        return f"127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        """The number of connections opened so far."""
        return len(self._tasks) + self._unauthenticated

    async def __aenter__(self) -> Self:
        self._accepting = asyncio.create_task(self._accept())
        return self

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            sock, _ = await loop.sock_accept(self._listening)
            wire = UpstreamWire(sock)
            if len(self._tasks) == len(self._scripts):
                self._unauthenticated += 1
                wire.close()
                continue
            script = self._scripts[len(self._tasks)]
            self._tasks.append(asyncio.create_task(self._play(script, wire)))

    @staticmethod
    async def _play(script: Script, wire: Wire) -> None:
        with wire:
            await script(wire)

    async def finish(self) -> None:
        """Wait until every script has been played to its end; raise what failed."""
        async with asyncio.timeout(WAIT_SECONDS):
            await until(lambda: len(self._tasks) == len(self._scripts))
            await asyncio.gather(*self._tasks)
        assert self._unauthenticated == 0, f"{self._unauthenticated} connections more than scripts"

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            failed = [task.exception() for task in self._tasks if task.done() and not task.cancelled()]
            first = next(filter(None, failed), None)
            if first is not None:
                raise first  # the error of the script explains more than its consequence
            if kind is None:
                await self.finish()
        finally:
            assert self._accepting is not None
            for task in [self._accepting, *self._tasks]:
                task.cancel()
            await asyncio.gather(self._accepting, *self._tasks, return_exceptions=True)
            self._listening.close()


def field_of(head: bytes, name: bytes) -> bytes | None:
    """Return the value of a field that may occur at most once."""
    found = re.findall(rb"(?im)^" + re.escape(name) + rb":[ \t]*([^\r]*)\r$", head)
    assert len(found) < 2, f"{name!r} twice in {head!r}"
    return found[0] if found else None


def credentials_of(head: bytes, scheme: bytes) -> bytes:
    """Return the part of Proxy-Authorization that follows the scheme."""
    value = field_of(head, b"proxy-authorization")
    assert value is not None, f"no Proxy-Authorization in {head!r}"
    found, _, rest = value.partition(b" ")
    assert found.lower() == scheme.lower(), head
    return rest


def without_login(head: bytes) -> bytes:
    """Return a head without its Proxy-Authorization line."""
    return re.sub(rb"(?im)^proxy-authorization:[^\r]*\r\n", b"", head)


# NTLM


async def expect_ntlm(
    wire: Wire,
    *,
    scheme: bytes = b"NTLM",
    channel_bindings: bytes | None = None,
    close_after_challenge: bool = False,
) -> tuple[bytes, bytes]:
    """Play the handshake up to the final token and verify that; return the two heads without their tokens.

    The script sends the answer to the final message.
    """
    first = await wire.read_head()
    challenge = await answer_negotiate(wire, first, scheme=scheme, closes=close_after_challenge)
    second = await wire.read_head()
    verify_ntlm(first, challenge, second, scheme=scheme, channel_bindings=channel_bindings)
    return without_login(first), without_login(second)


def make_challenge(head: bytes, scheme: bytes = b"NTLM") -> bytes:
    """Make the challenge that answers a type 1 message."""
    flags = parse_negotiate(b64decode(credentials_of(head, scheme), validate=True)).flags
    now = int((time.time() + 11644473600) * 10_000_000)
    return format_challenge(os.urandom(8), "UPSTREAM", now, negotiate_flags=flags, dns_name="upstream.test")


async def answer_negotiate(
    wire: Wire, head: bytes, *, scheme: bytes = b"NTLM", closes: bool = False
) -> bytes:
    """Answer a type 1 message with a challenge; return the challenge."""
    challenge = make_challenge(head, scheme)
    body = b"" if head.startswith(b"HEAD ") else b"login"
    connection = b"Connection: close\r\n" if closes else b""
    await wire.send(
        b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: %b %b\r\n"
        b"Content-Length: 5\r\n%b\r\n%b" % (scheme, b64encode(challenge), connection, body)
    )
    return challenge


def verify_ntlm(
    first: bytes, challenge: bytes, second: bytes, *, scheme: bytes, channel_bindings: bytes | None = None
) -> None:
    """Verify the final token of an NTLM handshake, twice."""
    negotiate = b64decode(credentials_of(first, scheme), validate=True)
    authenticate = b64decode(credentials_of(second, scheme), validate=True)
    login = verify_authenticate(
        negotiate, challenge, authenticate, lambda *_: NT_HASH, channel_bindings=channel_bindings
    )
    assert (login.user, login.domain) == (USER, DOMAIN)
    verify_nt_proof(challenge, authenticate)


def verify_nt_proof(challenge: bytes, authenticate: bytes) -> None:
    """MS-NLMP 3.3.2 without a line of Px's: NTProofStr = HMAC_MD5(NTOWFv2, challenge + temp)."""
    assert authenticate[:12] == b"NTLMSSP\0\x03\0\0\0"
    length, _, start = struct.unpack_from("<HHI", authenticate, 20)
    response = authenticate[start : start + length]
    assert len(response) > 44, "not NTLMv2"
    expected = hmac.new(NTOWF_V2, challenge[24:32] + response[16:], hashlib.md5).digest()
    assert response[:16] == expected, "NTProofStr is wrong"
    # MsvAvFlags with bit 2: a MIC is there, for the challenge had a timestamp.
    assert b"\x06\x00\x04\x00\x02\x00\x00\x00" in response, "no MIC"


# Digest and Basic


def digest_challenge(
    nonce: str, *, algorithm: str = "SHA-256", realm: str = "corp", stale: bool = False
) -> bytes:
    """Return the value of a Proxy-Authenticate field."""
    extra = ", stale=true" if stale else ""
    return f'Digest realm="{realm}", nonce="{nonce}", qop="auth", algorithm={algorithm}{extra}'.encode()


def verify_digest(head: bytes, *, nonce: str, nonce_count: int, username: str, password: str) -> None:
    """Recompute the response of RFC 7616 3.4.1 for a request, and compare."""
    text = credentials_of(head, b"Digest").decode()
    params = {
        name: quoted or bare
        for name, quoted, bare in re.findall(r'(\w+)=(?:"((?:[^"\\]|\\.)*)"|(\S+?))(?:,|$)', text)
    }
    method, uri = head.split(b" ")[:2]
    assert params["uri"] == uri.decode(), params
    assert params["nonce"] == nonce, params
    assert int(params["nc"], 16) == nonce_count, params
    assert params["username"].replace("\\\\", "\\") == username
    name = {"SHA-256": "sha256", "SHA-512-256": "sha512_256", "MD5": "md5"}[params["algorithm"]]

    def hashed(value: str) -> str:
        return hashlib.new(name, value.encode()).hexdigest()

    a1 = hashed(f"{username}:{params['realm']}:{password}")
    a2 = hashed(f"{method.decode()}:{params['uri']}")
    middle = f"{params['nc']}:{params['cnonce']}:{params['qop']}"
    assert params["response"] == hashed(f"{a1}:{nonce}:{middle}:{a2}"), params


def verify_basic(head: bytes, *, username: str = USERNAME, password: str = PASSWORD) -> None:
    """Compare Basic credentials."""
    assert b64decode(credentials_of(head, b"Basic"), validate=True).decode() == f"{username}:{password}"


def login_required(*challenges: bytes, body: bytes = b"login", connection: bytes = b"") -> bytes:
    """Return a 407 with these challenges."""
    lines = b"".join(b"Proxy-Authenticate: %b\r\n" % each for each in challenges)
    if connection:
        lines += b"Connection: %b\r\n" % connection
    return b"HTTP/1.1 407 Proxy Authentication Required\r\n%bContent-Length: %d\r\n\r\n%b" % (
        lines,
        len(body),
        body,
    )


def answer(status: int = 200, body: bytes = b"ok", *fields: bytes) -> bytes:
    """Return an answer with a Content-Length."""
    lines = b"".join(line + b"\r\n" for line in fields)
    return b"HTTP/1.1 %d Said\r\n%bContent-Length: %d\r\n\r\n%b" % (status, lines, len(body), body)


# TLS


class TlsScript:
    """Plays a script over TLS. The script gets a wire in clear; a pump moves its bytes to and from TLS."""

    def __init__(self, script: Script, context: ssl.SSLContext) -> None:
        self._script = script
        self._context = context

    async def __call__(self, wire: Wire) -> None:
        """Shake hands as the server, then play."""
        loop = asyncio.get_running_loop()
        reader, writer = await asyncio.open_connection(sock=wire.sock.dup())
        try:
            transport = await loop.start_tls(
                writer.transport, writer.transport.get_protocol(), self._context, server_side=True
            )
        except BaseException:
            writer.close()
            raise
        assert transport is not None
        writer._transport = transport  # type: ignore[attr-defined]  # 3.11 has start_tls for writers, not for servers
        near, far = socket.socketpair()
        near.setblocking(False)
        clear = UpstreamWire(far)
        pump = asyncio.create_task(_pump(reader, writer, near))
        try:
            with clear:
                await self._script(clear)
            await pump
        finally:
            pump.cancel()
            writer.close()
            near.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, near: socket.socket) -> None:
    loop = asyncio.get_running_loop()

    async def inwards() -> None:
        while data := await reader.read(READ_BYTES):
            await loop.sock_sendall(near, data)
        near.shutdown(socket.SHUT_WR)

    async def outwards() -> None:
        while data := await loop.sock_recv(near, READ_BYTES):
            writer.write(data)
            await writer.drain()

    taking = asyncio.create_task(inwards())
    try:
        await outwards()
    finally:
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)
