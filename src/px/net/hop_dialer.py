"""Opens connections to hops: TCP, then TLS where the hop wants it, or SOCKS where such an upstream is."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable

from px.core.errors import LoopError, UnreachableError
from px.core.route import UpstreamAddress
from px.core.socks_login import SocksLogin
from px.core.target import Authority
from px.net.connection import Connection, Hop
from px.net.dial import Dialer
from px.net.socks import open_socks
from px.net.stream import Stream
from px.net.tls import make_tls_context, open_tls

MAX_CERTIFICATES = 64

MakeChannelBindings = Callable[[bytes], Awaitable[bytes | None]]


class HopDialer:
    """Connects to hops.

    Args:
        dialer: Of the TCP connections.
        timeout_seconds: For a TLS handshake, and each answer that only a SOCKS upstream can give.
        socks_login_of: How a SOCKS upstream is logged in at.
        make_channel_bindings: Of a certificate, DER-encoded (RFC 5929); None where there are none.
            Slow the first time, so it is called in a thread.
    """

    def __init__(
        self,
        dialer: Dialer,
        timeout_seconds: float,
        socks_login_of: Callable[[UpstreamAddress], SocksLogin],
        make_channel_bindings: MakeChannelBindings,
    ) -> None:
        self._dialer = dialer
        self._timeout_seconds = timeout_seconds
        self._socks_login_of = socks_login_of
        self._make_channel_bindings = make_channel_bindings
        self._known_bindings: dict[bytes, bytes | None] = {}
        self._tls_context: ssl.SSLContext | None = None  # 10 ms that only TLS needs

    async def dial(self, hop: Hop) -> Connection:
        """Return a new connection to a hop.

        Raises:
            UnreachableError: There is none to be had.
            TargetError: The SOCKS upstream before it says so.
        """
        return await self.reach(await self.connect(hop))

    async def connect(self, hop: Hop) -> Connection:
        """Return a new connection to a hop, or only to the SOCKS upstream before it: `reach` does the rest.

        Raises:
            UnreachableError: There is none to be had.
        """
        at = hop.by or hop
        try:
            stream = await self._dialer.connect(at.host, at.port)
        except UnreachableError as error:
            raise _explain(error, hop) from error
        if not hop.is_tls:
            return Connection(stream, hop)
        try:
            return await self._secure(stream, hop)
        except BaseException:
            stream.close()
            raise

    def lose_stranded(self) -> None:
        """Break the connections that the network no longer carries. See `Dialer.lose_stranded`."""
        self._dialer.lose_stranded()

    async def reach(self, connection: Connection) -> Connection:
        """Have the SOCKS upstream, if there is one, connect to the hop, and return the connection.

        What depends on the hop itself, and may take long, takes place here and not in `connect`.

        Raises:
            UnreachableError: The upstream does not do its work.
            TargetError: It says that the hop is not reached.
        """
        hop = connection.hop
        if hop.by is not None:
            try:
                target, login_of = Authority(hop.host, hop.port), self._socks_login_of
                await open_socks(connection.stream, hop.by, target, login_of, self._timeout_seconds)
            except BaseException:
                connection.close()
                raise
        return connection

    async def _secure(self, stream: Stream, hop: Hop) -> Connection:
        if self._tls_context is None:
            self._tls_context = make_tls_context()
        tls = await open_tls(stream, self._tls_context, hop.host, self._timeout_seconds)
        return Connection(tls, hop, await self._find_channel_bindings(tls.peer_certificate(), hop))

    async def _find_channel_bindings(self, certificate: bytes, hop: Hop) -> bytes | None:
        """Return the channel bindings of a certificate; an upstream has few, and seldom a new one."""
        if certificate not in self._known_bindings:
            try:
                bindings = await self._make_channel_bindings(certificate)
            except TimeoutError:
                raise UnreachableError(f"This computer is too busy for TLS with the {hop.name}.") from None
            if len(self._known_bindings) >= MAX_CERTIFICATES:
                self._known_bindings.clear()
            self._known_bindings[certificate] = bindings
        return self._known_bindings[certificate]

    def __repr__(self) -> str:
        return f"<HopDialer over {self._dialer!r}>"


def _explain(error: UnreachableError, hop: Hop) -> UnreachableError:
    """Say which hop it is that cannot be reached, and what to do."""
    mend = error.mend
    name = f"upstream {hop.by}" if hop.by else hop.name
    is_upstream = hop.is_upstream or hop.by is not None
    if is_upstream and not mend:
        mend = "Check --proxy, and that this computer is in the network of that upstream (cable, VPN)."
    return UnreachableError(
        f"The {name} cannot be reached: {error.cause[:1].lower()}{error.cause[1:]}",
        mend,
        status=502 if is_upstream and error.status != LoopError.status else error.status,
        proxy_status=error.proxy_status,
    )
