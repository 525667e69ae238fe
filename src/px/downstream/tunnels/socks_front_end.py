"""SOCKS5 with a client (RFC 1928, RFC 1929): reads the handshake, and turns errors into reply codes.

`px.core.socks.client_messages` has the messages. A client that has to log in sends user name and password
before Px knows its target, so the login is checked here, and counts for the connection.
"""

from __future__ import annotations

from collections.abc import Callable

from px.core.errors import BadRequestError, PxError
from px.core.http.own_answer import format_error
from px.core.http.request_head import RequestHead, looks_like_noise
from px.core.http.target import Authority
from px.core.socks.client_messages import (
    LOGIN_ACCEPTED,
    LOGIN_REFUSED,
    LOGIN_VERSION,
    NO_METHOD_ANSWER,
    REFUSAL_4,
    REQUEST_BEGINNING_BYTES,
    USER_AND_PASSWORD,
    VERSION_4,
    VERSION_5,
    choose_method,
    format_failure,
    format_success,
    parse_target,
    request_size,
)
from px.downstream.client import Client
from px.downstream.client_head import HEAD_SECONDS, read_first
from px.downstream.front_end import tunnel_request
from px.downstream.tunnels.tunnel_front_end import TunnelFrontEnd
from px.io.io_loop import NEVER
from px.io.relay import BrokenStreamError
from px.upstream.message import Answer, Request
from px.upstream.request_body import STALL_SECONDS


class SocksPort:
    """Implements `px.downstream.front_end.FrontEndKind`.

    Args:
        http_port: Where Px speaks HTTP, for clients that speak HTTP here.
    """

    def __init__(self, http_port: int) -> None:
        self._http_port = http_port

    def __call__(self, client: Client) -> SocksFrontEnd:
        """Return the front end for a client."""
        return SocksFrontEnd(client, self._http_port)

    def format_refusal(self, _: PxError) -> bytes:
        """Return what clients understand that have sent their greeting, or are about to send it."""
        return NO_METHOD_ANSWER

    def __repr__(self) -> str:
        return f"<SocksPort beside HTTP on {self._http_port}>"


class SocksFrontEnd(TunnelFrontEnd):
    """Implements `px.downstream.front_end.FrontEnd`.

    Args:
        client: The client, and what belongs to its connection.
        http_port: As for `SocksPort`.
    """

    __slots__ = ("_format_failure", "_http_port", "_received", "_until")

    def __init__(self, client: Client, http_port: int) -> None:
        super().__init__(client)
        self._http_port = http_port
        self._received = b""
        self._until = NEVER
        #: What a failure looks like at this point of the handshake.
        self._format_failure: Callable[[PxError], bytes] = _format_nothing

    def format_failure(self, error: PxError) -> bytes:
        """Return the answer to the client's last message, if it has one."""
        return self._format_failure(error)

    async def read_request(self, seconds: float) -> bytes | None:
        """Return the client's request after its greeting and its login; None: the client sent nothing.

        From its first byte on, the handshake may take as long as the head of an HTTP request.

        Args:
            seconds: How long the client may be silent before.

        Raises:
            BadRequestError: The client does not speak SOCKS5, or too slowly.
            ClientLoginError: The client has to log in, or its login was wrong.
            OSError: The client is gone.
        """
        stream, io_loop = self.client.stream, self.client.service.io_loop
        self._received = await read_first(stream, io_loop, seconds)
        if not self._received:
            return None
        self._until = io_loop.now() + HEAD_SECONDS
        self._check_version()
        if await self._agree_on_method() == USER_AND_PASSWORD:
            await self._log_in()
        self._format_failure = format_failure
        beginning = await self._take(REQUEST_BEGINNING_BYTES)
        request = beginning + await self._take(request_size(beginning) - len(beginning))
        stream.unread(self._received)  # the first bytes of the tunnel
        stream.deadline = NEVER
        return request

    async def _take(self, count: int) -> bytes:
        """Return exactly this many bytes, the next ones."""
        stream = self.client.stream
        while len(self._received) < count:
            stream.deadline = self._until
            try:
                data = await stream.read()
            except TimeoutError:
                raise _make_slow_error() from None
            if not data:
                raise BrokenStreamError(stream, ConnectionResetError("the client left"))
            self._received += data
        taken, self._received = self._received[:count], self._received[count:]
        return taken

    def _check_version(self) -> None:
        version = self._received[0]
        if version == VERSION_5:
            self._format_failure = _format_no_method
        elif version == VERSION_4:
            self._format_failure = _format_refusal_4
            raise BadRequestError("The client speaks SOCKS4; this port speaks SOCKS5.")
        elif looks_like_noise(self._received):
            raise BadRequestError("The client speaks neither SOCKS5 nor HTTP; this port speaks SOCKS5.")
        else:
            self._format_failure = _format_page
            raise self._explain_http()

    def _explain_http(self) -> BadRequestError:
        host, port = self.client.stream.sock.getsockname()[:2]
        return BadRequestError(
            "The client speaks HTTP; this port of Px speaks SOCKS5.",
            f"Set http_proxy and https_proxy to http://{Authority(host, self._http_port)}, or write"
            f" socks5h://{Authority(host, port)} for a SOCKS proxy.",
        )

    async def _agree_on_method(self) -> int:
        client = self.client
        _, count = await self._take(2)
        offered = await self._take(count)
        method = choose_method(offered, needs_login=client.authenticator is not None)
        if method is not None:
            await client.write(bytes((VERSION_5, method)), STALL_SECONDS)
            return method
        if client.authenticator is None:
            raise BadRequestError("The SOCKS client offers no way to go on without a login.")
        error = client.authenticator.ask_for_login()
        error.detail = f"the SOCKS client at {client.stream.peer} offers no user name and password"
        raise error

    async def _log_in(self) -> None:
        client = self.client
        self._format_failure = _format_login_refusal
        version, length = await self._take(2)
        if version != LOGIN_VERSION:
            raise BadRequestError("The login of the SOCKS client does not begin with its version, 1.")
        username = await self._take(length)
        (length,) = await self._take(1)
        password = await self._take(length)
        if client.authenticator is not None:
            await client.authenticator.check_password(username, password)
        await client.write(LOGIN_ACCEPTED, STALL_SECONDS)

    def parse_request(self, data: bytes) -> RequestHead:
        """Return the request for a tunnel.

        Raises:
            BadRequestError: The client wants something else, or its target is malformed.
        """
        return tunnel_request(parse_target(data))

    async def begin_tunnel(self, _: Request, __: Answer) -> None:
        """Send the reply that the tunnel is open."""
        await self.client.write(format_success(), STALL_SECONDS)

    def __repr__(self) -> str:
        return f"<SocksFrontEnd {self.client!r}>"


def _make_slow_error() -> BadRequestError:
    return BadRequestError(
        f"The handshake of the SOCKS client was not complete after {HEAD_SECONDS:g} s.", status=408
    )


def _format_nothing(_: PxError) -> bytes:
    return b""


def _format_no_method(_: PxError) -> bytes:
    return NO_METHOD_ANSWER


def _format_refusal_4(_: PxError) -> bytes:
    return REFUSAL_4


def _format_login_refusal(_: PxError) -> bytes:
    return LOGIN_REFUSED


def _format_page(error: PxError) -> bytes:
    return format_error(error, None, keep_alive=False)
