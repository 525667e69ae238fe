"""Opens connections to hops: TCP, then TLS where the hop wants it."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable

from px.core.errors import UnreachableError
from px.net.connection import Connection, Hop
from px.net.dial import Dialer
from px.net.stream import Stream
from px.net.tls import make_tls_context, open_tls

MAX_CERTIFICATES = 64

MakeChannelBindings = Callable[[bytes], Awaitable[bytes | None]]


class HopDialer:
    """Connects to hops.

    Args:
        dialer: Of the TCP connections.
        tls_seconds: For a TLS handshake.
        make_channel_bindings: Of a certificate, DER-encoded (RFC 5929); None where there are none.
            Slow the first time, so it is called in a thread.
    """

    def __init__(
        self, dialer: Dialer, tls_seconds: float, make_channel_bindings: MakeChannelBindings
    ) -> None:
        self._dialer = dialer
        self._tls_seconds = tls_seconds
        self._make_channel_bindings = make_channel_bindings
        self._known_bindings: dict[bytes, bytes | None] = {}
        self._tls_context: ssl.SSLContext | None = None  # 10 ms that only TLS needs

    async def dial(self, hop: Hop) -> Connection:
        """Return a new connection to a hop.

        Raises:
            UnreachableError: There is none to be had.
        """
        try:
            stream = await self._dialer.connect(hop.host, hop.port)
        except UnreachableError as error:
            raise _explain(error, hop) from error
        if not hop.is_tls:
            return Connection(stream, hop)
        try:
            return await self._secure(stream, hop)
        except BaseException:
            stream.close()
            raise

    async def _secure(self, stream: Stream, hop: Hop) -> Connection:
        if self._tls_context is None:
            self._tls_context = make_tls_context()
        tls = await open_tls(stream, self._tls_context, hop.host, self._tls_seconds)
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
    if hop.is_upstream and not mend:
        mend = "Check --proxy, and that this computer is in the network of that upstream (cable, VPN)."
    return UnreachableError(
        f"The {hop.name} cannot be reached: {error.cause[:1].lower()}{error.cause[1:]}",
        mend,
        status=502 if hop.is_upstream else error.status,
        proxy_status=error.proxy_status,
    )
