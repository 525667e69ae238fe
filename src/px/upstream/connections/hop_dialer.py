"""Opens connections to hops: TCP, then TLS or SOCKS where the hop needs it."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable

from px.core.errors import LoopError, UnreachableError
from px.core.http.target import Authority
from px.core.rules.route import UpstreamAddress
from px.core.socks.login import SocksLogin
from px.io.stream import Stream
from px.upstream.connections.connect_times import ConnectTimes
from px.upstream.connections.connection import Connection, Hop
from px.upstream.connections.dial import Dialer, IsAt
from px.upstream.connections.socks_client import open_socks
from px.upstream.connections.tls import make_tls_context, open_tls


class HopDialer:
    """Connects to hops.

    Args:
        dialer: Opens the TCP connections.
        timeout_seconds: For a TLS handshake, and for each answer that depends on the SOCKS upstream alone.
        socks_login_of: Returns the login at a SOCKS upstream.
        make_channel_bindings: Returns the channel bindings of a DER-encoded certificate (RFC 5929), or None
            if it has none.
        is_other_px: Whether another Px of this user listens at an address: Px connects no client to it. For
            that Px each connection from this one is one of its own user, whoever the client is.
    """

    def __init__(
        self,
        dialer: Dialer,
        timeout_seconds: float,
        socks_login_of: Callable[[UpstreamAddress], SocksLogin],
        make_channel_bindings: Callable[[bytes], bytes | None],
        is_other_px: IsAt,
    ) -> None:
        self._dialer = dialer
        self._timeout_seconds = timeout_seconds
        self._socks_login_of = socks_login_of
        self._make_channel_bindings = make_channel_bindings
        self._is_other_px = is_other_px
        self.connect_times = ConnectTimes()
        self._tls_context: ssl.SSLContext | None = None  # made at the first TLS connection: takes 10 ms

    async def dial(self, hop: Hop) -> Connection:
        """Return a new connection to a hop.

        Raises:
            UnreachableError: No connection could be made.
            TargetError: The SOCKS upstream before the hop reports that the hop cannot be reached.
        """
        return await self.reach(await self.connect(hop))

    async def connect(self, hop: Hop) -> Connection:
        """Return a new connection to a hop, or only to the SOCKS upstream before it; then call `reach`.

        Raises:
            UnreachableError: No connection could be made.
        """
        begun = time.monotonic()
        connection = await self._connect(hop)
        if hop.by is not None or hop.is_upstream:
            self.connect_times.note(str(hop.by or hop.key), time.monotonic() - begun)
        return connection

    async def _connect(self, hop: Hop) -> Connection:
        first = hop.by or hop
        is_origin = hop.by is None and not hop.is_upstream
        try:
            stream = await self._dialer.connect(
                first.host, first.port, self._is_other_px if is_origin else None
            )
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
        """Return the connection after the SOCKS upstream, if any, has connected to the hop.

        All that depends on the hop itself, and may take long, happens here and not in `connect`.

        Raises:
            UnreachableError: The SOCKS upstream failed.
            TargetError: The SOCKS upstream reports that the hop cannot be reached.
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
        return Connection(tls, hop, self._make_channel_bindings(tls.peer_certificate()))

    def __repr__(self) -> str:
        return f"<HopDialer over {self._dialer!r}>"


def _explain(error: UnreachableError, hop: Hop) -> UnreachableError:
    """Return the error with the name of the hop, and a hint."""
    hint = error.hint
    name = f"upstream {hop.by}" if hop.by else hop.name
    is_upstream = hop.is_upstream or hop.by is not None
    if is_upstream and not hint:
        hint = "Check --proxy, and whether this computer is in the network of that upstream (cable, VPN)."
    explained = UnreachableError(
        f"The {name} cannot be reached: {error.cause[:1].lower()}{error.cause[1:]}",
        hint,
        status=502 if is_upstream and error.status != LoopError.status else error.status,
        proxy_status=error.proxy_status,
    )
    explained.is_upstream = is_upstream
    return explained
