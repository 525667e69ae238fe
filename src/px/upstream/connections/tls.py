"""TLS to an upstream, over any stream."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import TypeVar

from px.core.errors import UnreachableError
from px.io.stream import READ_BYTES, Stream

_Result = TypeVar("_Result")


def make_tls_context() -> ssl.SSLContext:
    """Return a context that verifies by the system's trust store, ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)  # CPython sets it, which hides a cut
    return context


async def open_tls(stream: Stream, context: ssl.SSLContext, host: str, timeout_seconds: float) -> TlsStream:
    """Return a stream after a TLS handshake as a client, which verifies the peer's certificate for `host`.

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
    """A stream that sends its bytes encrypted over another stream."""

    def __init__(self, stream: Stream, context: ssl.SSLContext, host: str) -> None:
        self._stream = stream
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._unread = b""
        self._sending = asyncio.Lock()
        #: See `px.io.stream.Stream.was_cut`.
        self.was_cut = False

    async def handshake(self) -> None:
        """Do the TLS handshake.

        Raises:
            ssl.SSLError: The peer's certificate or protocol is not acceptable.
            OSError: The connection broke.
        """
        await self._drive(self._tls.do_handshake)

    def peer_certificate(self) -> bytes:
        """Return the peer's DER-encoded certificate, to which a login can be bound (RFC 5929)."""
        return self._tls.getpeercert(binary_form=True) or b""

    @property
    def received_bytes(self) -> int:
        """The number of encrypted bytes received so far."""
        return self._stream.received_bytes

    @property
    def sent_bytes(self) -> int:
        """The number of encrypted bytes sent so far."""
        return self._stream.sent_bytes

    async def read(self) -> bytes:
        """Return the next bytes; empty at the end. See `px.io.stream.Stream.read`."""
        if self._unread:
            return self.take_unread()
        try:
            return await self._drive(lambda: self._tls.read(READ_BYTES))
        except ssl.SSLZeroReturnError:
            return b""
        except ssl.SSLEOFError:
            self.was_cut = True
            return b""

    async def _drive(self, step: Callable[[], _Result]) -> _Result:
        """Run a TLS operation to its end: feed it from the stream below, and send its output."""
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
        """Send the pending records, one task at a time, so that those of reader and writer stay in order."""
        if self._outgoing.pending:
            async with self._sending:
                if data := self._outgoing.read():
                    await self._stream.write(data)

    async def write(self, data: bytes | memoryview) -> None:
        """Return when the kernel has taken all bytes. See `px.io.stream.Stream.write`."""
        rest = memoryview(data)
        while rest:
            sent = self._tls.write(rest[:READ_BYTES])
            rest = rest[sent:]
            await self._send_outgoing()

    async def write_eof(self) -> None:
        """Send close_notify; reading goes on (RFC 8446 6.1). See `px.io.stream.Stream.write_eof`."""
        # OpenSSL looks for the peer's close_notify at once, and would destroy the data before it.
        held = self._incoming.read()
        with contextlib.suppress(OSError):  # our close_notify is written; the peer's has not come yet
            self._tls.unwrap()
        if held:  # after the end of the stream below, `held` is empty and writing would fail
            self._incoming.write(held)
        with contextlib.suppress(OSError):  # the peer may have gone: the next read reports it
            await self._send_outgoing()

    def unread(self, data: bytes) -> None:
        """Put bytes back: the next read returns them."""
        self._unread = data + self._unread

    def take_unread(self) -> bytes:
        """Return the bytes that were put back, without waiting."""
        data, self._unread = self._unread, b""
        return data

    def watch_idle(self) -> None:
        """Watch for input while no task reads."""
        if self._unread or self._tls.pending():
            if self.on_idle_input is not None:
                self.on_idle_input()
        else:
            self._stream.watch_idle()

    def is_quiet(self) -> bool:
        """Return whether nothing is there to read."""
        return not (self._unread or self._tls.pending()) and self._stream.is_quiet()

    def has_ended(self) -> bool:
        """Return whether the peer has ended the stream, so far as the stream below knows."""
        return not self._unread and not self._tls.pending() and self._stream.has_ended()

    def expire(self) -> None:
        """Raise TimeoutError in the tasks that wait on the stream."""
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
        """Whether this side has closed the stream."""
        return self._stream.is_closed

    @property
    def deadline(self) -> float:
        """See `px.io.stream.Stream.deadline`."""
        return self._stream.deadline

    @deadline.setter
    def deadline(self, deadline: float) -> None:
        self._stream.deadline = deadline

    @property
    def on_idle_input(self) -> Callable[[], None] | None:
        """See `px.io.stream.Stream.on_idle_input`."""
        return self._stream.on_idle_input

    @on_idle_input.setter
    def on_idle_input(self, callback: Callable[[], None] | None) -> None:
        self._stream.on_idle_input = callback

    def __repr__(self) -> str:
        return f"<TlsStream over {self._stream!r}>"
