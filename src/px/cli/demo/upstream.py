r"""The upstream of ``px --demo``: an HTTP proxy that demands a login by NTLM.

Px treats it like any other proxy. Each connection has to complete the whole handshake, and
`px.core.auth.ntlm.verifier` verifies the response::

    no login yet             -> 407, NTLM
    NTLM, type 1 (negotiate) -> 407, NTLM and a type 2 with a challenge that is used once
    NTLM, type 3 (response)  -> verified against the user's NT hash: let in, or 407 again

No network is behind this proxy. It answers a GET for any web site itself, and echoes the data of a tunnel.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from px.core.auth.challenge import format_token, parse_challenges
from px.core.auth.ntlm.errors import NtlmError
from px.core.auth.ntlm.messages import NEGOTIATE_TYPE, NtlmLogin, message_type
from px.core.auth.ntlm.verifier import NtlmHandshake
from px.core.errors import BadRequestError
from px.core.http.framing import FramingKind
from px.core.http.request_head import RequestHead, parse_request
from px.io.acceptor import accepting

#: The names of the three parties in what the demo prints.
PROGRAM, PX, PROXY = "program", "Px", "proxy"

_LOGGER = logging.getLogger("px.demo")

NtHashOf = Callable[[str, str], bytes | None]


@dataclass(frozen=True, slots=True)
class Message:
    """A head that went over one of the connections.

    Attributes:
        sender: `PROGRAM`, `PX` or `PROXY`.
        receiver: `PROGRAM`, `PX` or `PROXY`.
        head: The head as it was sent; not in the repr, because the password of an NTLM response can be
            guessed off line.
        connection: Number of the connection at the proxy; 0 between program and Px.
        login: Who had logged that connection in when the message was sent.
    """

    sender: str
    receiver: str
    head: bytes = field(repr=False)
    connection: int = 0
    login: NtlmLogin | None = None


class NtlmGuard:
    """The login state of one connection: NTLM logs in connections, not requests.

    Args:
        nt_hash_of: Returns the NT hash of a user in a domain; None: there is no such user.
    """

    def __init__(self, nt_hash_of: NtHashOf) -> None:
        self._nt_hash_of = nt_hash_of
        self._handshake = NtlmHandshake("DEMO", secrets.token_bytes, time.time)
        self.login: NtlmLogin | None = None

    def receive(self, credentials: list[bytes]) -> bytes | None:
        """Return the challenge for a 407 answer; None if the request may pass.

        Args:
            credentials: The values of the Proxy-Authorization fields of the request.
        """
        token = next((each.token for each in parse_challenges(credentials) if each.scheme == "ntlm"), None)
        if token is None:
            return None if self.login else b"NTLM"
        try:
            if message_type(token) == NEGOTIATE_TYPE:
                return format_token(b"NTLM", self._handshake.challenge(token))
            self.login = self._handshake.verify(token, self._nt_hash_of)
        except NtlmError as error:
            _LOGGER.info("the demo's upstream refused a login: %s", error)
            return b"NTLM"
        return None

    def __repr__(self) -> str:
        return f"<NtlmGuard {'logged in' if self.login else 'closed'}>"


class DemoUpstream:
    """An HTTP proxy with a login by NTLM; call `start` to listen and `stop` to close everything.

    Args:
        nt_hash_of: Returns the NT hash of a user in a domain; None: there is no such user.
        record: Called with each head, after it is received or before it is sent, in order.
    """

    def __init__(self, nt_hash_of: NtHashOf, record: Callable[[Message], None]) -> None:
        self._nt_hash_of = nt_hash_of
        self._record = record
        self._numbers = count(1)
        self._writers: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._accepting: asyncio.Task[None] | None = None
        #: The verified logins, in order.
        self.logins: list[NtlmLogin] = []

    async def start(self) -> int:
        """Listen on a free port of the loopback interface and return it."""
        listening = socket.create_server(("127.0.0.1", 0))
        listening.setblocking(False)
        self._accepting = asyncio.create_task(self._accept(listening))
        self._accepting.add_done_callback(lambda _: listening.close())
        return int(listening.getsockname()[1])

    async def stop(self) -> None:
        """Close everything."""
        if self._accepting is not None:
            self._accepting.cancel()
            await asyncio.wait([self._accepting])
        for writer in self._writers.values():
            writer.close()
        await asyncio.gather(*self._writers, return_exceptions=True)

    async def _accept(self, listening: socket.socket) -> None:
        async with accepting(listening) as accept:
            while True:
                connection, _ = await accept()
                connection.setblocking(False)
                try:
                    reader, writer = await asyncio.open_connection(sock=connection)
                except OSError:  # the client has left already
                    connection.close()
                    continue
                task = asyncio.create_task(self._serve(reader, writer))
                self._writers[task] = writer
                task.add_done_callback(self._writers.pop)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        guard, number = NtlmGuard(self._nt_hash_of), next(self._numbers)
        # A client that sends no valid HTTP, or leaves in the middle, gets no answer: close its connection.
        with contextlib.suppress(
            BadRequestError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError
        ):
            while await self._answer(reader, writer, guard, number):
                pass
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, guard: NtlmGuard, number: int
    ) -> bool:
        """Answer one request; return whether the connection goes on."""
        received = await reader.readuntil(b"\r\n\r\n")
        head = parse_request(received)
        if head.framing.kind is not FramingKind.NONE:
            return False
        peer = PX if head.values(b"via") else PROGRAM
        self._record(Message(peer, PROXY, received, number, guard.login))
        was_in = guard.login is not None
        challenge = guard.receive(head.values(b"proxy-authorization"))
        if guard.login and not was_in:
            self.logins.append(guard.login)
        answer, body = _refuse(challenge) if challenge else _let_in(head, guard.login)
        self._record(Message(PROXY, peer, answer, number, guard.login))
        writer.write(answer + (b"" if head.method == b"HEAD" else body))
        await writer.drain()
        if head.method != b"CONNECT" or challenge:
            return head.keep_alive
        await _echo(reader, writer)
        return False

    def __repr__(self) -> str:
        return f"<DemoUpstream connections={len(self._writers)} logins={len(self.logins)}>"


def _refuse(challenge: bytes) -> tuple[bytes, bytes]:
    body = b"This proxy wants a login.\n"
    return _format_head(b"407 Proxy Authentication Required", body, b"Proxy-Authenticate: " + challenge), body


def _let_in(head: RequestHead, login: NtlmLogin | None) -> tuple[bytes, bytes]:
    """Return the answer to a request that was let in: a page, or the 200 that opens a tunnel."""
    if head.method == b"CONNECT":
        return b"HTTP/1.1 200 Connection established\r\n\r\n", b""
    name = f"{login.domain}\\{login.user}" if login else "nobody"
    body = f"This is {head.authority.host}. The proxy let {name} in.\n".encode()
    return _format_head(b"200 OK", body, b"Content-Type: text/plain; charset=utf-8"), body


def _format_head(status: bytes, body: bytes, field_line: bytes) -> bytes:
    return b"HTTP/1.1 %b\r\n%b\r\nContent-Length: %d\r\n\r\n" % (status, field_line, len(body))


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
