"""TLS to an upstream, over any stream."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import TypeVar

from px.core.errors import UnreachableError
from px.net.stream import READ_BYTES, Stream

_Result = TypeVar("_Result")


def make_tls_context() -> ssl.SSLContext:
    """Verify against the system's trust store; ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` are honoured."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


async def open_tls(stream: Stream, context: ssl.SSLContext, host: str, timeout_seconds: float) -> TlsStream:
    """Shake hands as a client, verifying the peer's certificate for `host`.

    Raises:
        UnreachableError: The handshake failed; the cause names the certificate's fault.
    """
    tls = TlsStream(stream, context, host)
    try:
        async with asyncio.timeout(timeout_seconds):
            await tls.handshake()
    except ssl.SSLCertVerificationError as error:
        raise UnreachableError(
            f"The TLS certificate of {stream.peer} is not trusted: {error.verify_message}.",
            "If your organisation has its own certificate authority, point SSL_CERT_FILE at its"
            " certificates (PEM), and name the upstream as its certificate does.",
            proxy_status="tls_certificate_error",
        ) from error
    except TimeoutError:
        raise UnreachableError(
            f"{stream.peer} did not finish the TLS handshake within {timeout_seconds:g} s.",
            proxy_status="connection_timeout",
        ) from None
    except OSError as error:
        raise UnreachableError(
            f"No TLS with {stream.peer}: {getattr(error, 'reason', None) or error}.",
            "If the upstream does not speak TLS itself, name it without https://.",
            proxy_status="tls_protocol_error",
        ) from error
    return tls


class TlsStream:
    """A stream whose bytes travel encrypted over another stream."""

    def __init__(self, stream: Stream, context: ssl.SSLContext, host: str) -> None:
        self._stream = stream
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._unread = b""
        self._sending = asyncio.Lock()

    async def handshake(self) -> None:
        """Shake hands.

        Raises:
            ssl.SSLError: The peer's certificate or protocol is not acceptable.
            OSError: The connection broke.
        """
        await self._drive(self._tls.do_handshake)

    def peer_certificate(self) -> bytes:
        """Return the peer's certificate, DER-encoded: what a login can be bound to (RFC 5929)."""
        return self._tls.getpeercert(binary_form=True) or b""

    @property
    def received_bytes(self) -> int:
        """How many bytes have come so far, as they travel."""
        return self._stream.received_bytes

    @property
    def sent_bytes(self) -> int:
        """How many bytes have gone so far, as they travel."""
        return self._stream.sent_bytes

    async def read(self) -> bytes:
        """Return what has come; empty at the end. See `px.net.stream.Stream.read`."""
        if self._unread:
            return self.take_unread()
        try:
            return await self._drive(lambda: self._tls.read(READ_BYTES))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    async def _drive(self, step: Callable[[], _Result]) -> _Result:
        """Run a TLS operation to its end, feeding it from the stream below and sending what it writes."""
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                await self._send_outgoing()
                self._feed(await self._stream.read())
            else:
                await self._send_outgoing()
                return result

    def _feed(self, data: bytes) -> None:
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    async def _send_outgoing(self) -> None:
        """Reader and writer may both have something to send: one at a time, so that records stay in order."""
        if self._outgoing.pending:
            async with self._sending:
                if data := self._outgoing.read():
                    await self._stream.write(data)

    async def write(self, data: bytes | memoryview) -> None:
        """Return when the kernel has taken all of it. See `px.net.stream.Stream.write`."""
        rest = memoryview(data)
        while rest:
            sent = self._tls.write(rest[:READ_BYTES])
            rest = rest[sent:]
            await self._send_outgoing()

    async def write_eof(self) -> None:
        """Send close_notify; reading goes on (RFC 8446 6.1)."""
        # OpenSSL looks for the peer's close_notify at once, and would destroy the data that comes before it.
        held = self._incoming.read()
        with contextlib.suppress(OSError):  # our close_notify is written; the peer's has not come yet
            self._tls.unwrap()
        self._incoming.write(held)
        await self._send_outgoing()

    def unread(self, data: bytes) -> None:
        """Put bytes back: the next read returns them."""
        self._unread = data + self._unread

    def take_unread(self) -> bytes:
        """Return the bytes that were put back, without waiting."""
        data, self._unread = self._unread, b""
        return data

    def watch_idle(self) -> None:
        """Watch for input while nobody reads."""
        if self._unread or self._tls.pending():
            if self.on_idle_input is not None:
                self.on_idle_input()
        else:
            self._stream.watch_idle()

    def is_quiet(self) -> bool:
        """Whether there is nothing to read."""
        return not (self._unread or self._tls.pending()) and self._stream.is_quiet()

    def has_ended(self) -> bool:
        """Whether the peer has ended the stream, as far as the stream below can tell."""
        return not self._unread and not self._tls.pending() and self._stream.has_ended()

    def expire(self) -> None:
        """Give whoever waits a TimeoutError."""
        self._stream.expire()

    def reset(self) -> None:
        """Close so that the peer sees a broken connection."""
        self._stream.reset()

    def close(self) -> None:
        """Close at once."""
        self._stream.close()

    @property
    def peer(self) -> str:
        """The peer's address, for logs."""
        return self._stream.peer

    @property
    def is_closed(self) -> bool:
        """Whether this side has closed it."""
        return self._stream.is_closed

    @property
    def deadline(self) -> float:
        """See `px.net.stream.Stream.deadline`."""
        return self._stream.deadline

    @deadline.setter
    def deadline(self, deadline: float) -> None:
        self._stream.deadline = deadline

    @property
    def on_idle_input(self) -> Callable[[], None] | None:
        """See `px.net.stream.Stream.on_idle_input`."""
        return self._stream.on_idle_input

    @on_idle_input.setter
    def on_idle_input(self, callback: Callable[[], None] | None) -> None:
        self._stream.on_idle_input = callback

    def __repr__(self) -> str:
        return f"<TlsStream over {self._stream!r}>"
