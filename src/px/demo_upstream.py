r"""The upstream of ``px --demo``: an HTTP proxy that lets nobody pass without a login by NTLM.

Px does not know it from any other. Each connection has to go through the whole handshake, and the proof is
verified by `px.core.ntlm_verify`::

    no login yet             -> 407, NTLM
    NTLM, type 1 (negotiate) -> 407, NTLM and a type 2 with a challenge that is used once
    NTLM, type 3 (proof)     -> verified against the user's NT hash: let in, or 407 again

Behind it is no network. It answers a GET for any web site itself, and a tunnel echoes what is sent into it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from px.core.challenge import format_token, parse_challenges
from px.core.errors import BadRequestError
from px.core.framing import FramingKind
from px.core.head import RequestHead, parse_request
from px.core.ntlm_verify import NEGOTIATE_TYPE, NtlmError, NtlmHandshake, NtlmLogin, message_type

#: Who takes part, as the demo calls them.
PROGRAM, PX, PROXY = "program", "Px", "proxy"

_LOGGER = logging.getLogger("px.demo")

NtHashOf = Callable[[str, str], bytes | None]


@dataclass(frozen=True, slots=True)
class Message:
    """A head that went over one of the connections.

    Attributes:
        sender: Of `PROGRAM`, `PX` and `PROXY`.
        receiver: Likewise.
        head: As it was sent; hidden, for it may hold a proof that can be attacked off line.
        connection: Number of the connection at the proxy; 0 between program and Px.
        login: Who had logged that connection in when the message was sent.
    """

    sender: str
    receiver: str
    head: bytes = field(repr=False)
    connection: int = 0
    login: NtlmLogin | None = None


class NtlmDoor:
    """The login of one connection: NTLM logs in connections, not requests.

    Args:
        nt_hash_of: NT hash of a user in a domain, None for unknown ones.
    """

    def __init__(self, nt_hash_of: NtHashOf) -> None:
        self._nt_hash_of = nt_hash_of
        self._handshake = NtlmHandshake("DEMO", secrets.token_bytes, time.time)
        self.login: NtlmLogin | None = None

    def receive(self, credentials: list[bytes]) -> bytes | None:
        """Return the challenge to refuse a request with, or None: let it in.

        Args:
            credentials: Values of its Proxy-Authorization.
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
        return f"<NtlmDoor {'logged in' if self.login else 'closed'}>"


class DemoUpstream:
    """The proxy; `start` it, and `stop` it at the end.

    Args:
        nt_hash_of: NT hash of a user in a domain, None for unknown ones.
        record: Called with each head, received or about to be sent, in that order.
    """

    def __init__(self, nt_hash_of: NtHashOf, record: Callable[[Message], None]) -> None:
        self._nt_hash_of = nt_hash_of
        self._record = record
        self._numbers = count(1)
        self._writers: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._listening: asyncio.Server | None = None
        #: Every login that was verified, in order.
        self.logins: list[NtlmLogin] = []

    async def start(self) -> int:
        """Listen on a free port of the loopback interface and return it."""
        self._listening = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return int(self._listening.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close everything."""
        if self._listening is not None:
            self._listening.close()
        for writer in self._writers.values():
            writer.close()
        await asyncio.gather(*self._writers, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._writers[task] = writer
        task.add_done_callback(self._writers.pop)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        door, number = NtlmDoor(self._nt_hash_of), next(self._numbers)
        # Whoever speaks nonsense, or leaves in the middle, is let go.
        with contextlib.suppress(
            BadRequestError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError
        ):
            while await self._answer(reader, writer, door, number):
                pass
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, door: NtlmDoor, number: int
    ) -> bool:
        """Answer one request; return whether the connection goes on."""
        received = await reader.readuntil(b"\r\n\r\n")
        head = parse_request(received)
        if head.framing.kind is not FramingKind.NONE:
            return False
        peer = PX if head.values(b"via") else PROGRAM
        self._record(Message(peer, PROXY, received, number, door.login))
        was_in = door.login is not None
        challenge = door.receive(head.values(b"proxy-authorization"))
        if door.login and not was_in:
            self.logins.append(door.login)
        answer, body = _refuse(challenge) if challenge else _let_in(head, door.login)
        self._record(Message(PROXY, peer, answer, number, door.login))
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
    """Return the answer to a request that the door let in: of the web site, or of the tunnel's far end."""
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
