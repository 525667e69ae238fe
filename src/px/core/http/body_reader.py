"""Readers of bodies, which find the end of a body.

A reader takes the peer's bytes and separates those of the body from those after it. It holds back at most one
unfinished line of the chunked coding, so its memory is bounded for any input.
"""

from __future__ import annotations

from typing import Protocol

from px.core.errors import BadResponseError, PxError
from px.core.http.chunked import ChunkedReader, LenientChunkedReader
from px.core.http.framing import NO_BODY, Framing, FramingKind


class BodyReader(Protocol):
    """Finds the end of one body."""

    @property
    def is_complete(self) -> bool:
        """Whether the body's last octet was received."""

    @property
    def is_repaired(self) -> bool:
        """Whether the framing was repaired, so that other readers may see another end."""

    def receive(self, data: bytes) -> tuple[bytes, bytes]:
        """Take bytes from the peer, in pieces of any size.

        Returns:
            The piece to forward, which may be empty, and the rest. If the body is complete, the rest comes
            after it. Otherwise pass the rest again after other tasks have run
            (`px.core.http.chunked.MAX_STEPS`).

        Raises:
            PxError: of the class given to `body_reader`: the framing is broken. Do not use the reader again.
        """

    def receive_eof(self) -> None:
        """Take note that the peer closed, which completes a close-delimited body.

        Raises:
            PxError: of the class given to `body_reader`: the body is not complete.
        """


def body_reader(framing: Framing, *, decode_chunked: bool, error: type[PxError]) -> BodyReader:
    """Return a new reader of a body.

    Args:
        framing: The framing of the body.
        decode_chunked: Whether to forward the payload of a chunked body without the coding and its trailers.
        error: The class to raise if the peer breaks the framing. With `BadResponseError`, that is in an
            answer, the reader repairs faults with only one reading.
    """
    if framing is NO_BODY:
        return _NOTHING
    if framing.kind is FramingKind.CHUNKED:
        reader = LenientChunkedReader if error is BadResponseError else ChunkedReader
        return reader(decode=decode_chunked, error=error)
    if framing.kind is FramingKind.CLOSE:
        return CloseReader()
    return LengthReader(framing.length, error)


class LengthReader:
    """A body of known length. A body of length 0 is complete at once."""

    __slots__ = ("_error", "_missing")
    is_repaired = False

    def __init__(self, length: int, error: type[PxError]) -> None:
        self._missing = length
        self._error = error

    def __repr__(self) -> str:
        return f"<LengthReader {self._missing} octets missing>"

    @property
    def is_complete(self) -> bool:
        """See `BodyReader`."""
        return not self._missing

    def receive(self, data: bytes) -> tuple[bytes, bytes]:
        """See `BodyReader`."""
        missing = self._missing
        if len(data) <= missing:
            self._missing = missing - len(data)
            return data, b""
        self._missing = 0
        return data[:missing], data[missing:]

    def receive_eof(self) -> None:
        """See `BodyReader`."""
        if self._missing:
            raise self._error(f"The connection was closed {self._missing} bytes before the end of the body.")


#: One reader serves all empty bodies: it is complete and stays so.
_NOTHING = LengthReader(0, PxError)


class CloseReader:
    """A response body that ends with the connection."""

    __slots__ = ("is_complete",)
    is_repaired = False

    def __init__(self) -> None:
        self.is_complete = False

    def __repr__(self) -> str:
        return f"<CloseReader {'complete' if self.is_complete else 'reading'}>"

    def receive(self, data: bytes) -> tuple[bytes, bytes]:
        """See `BodyReader`."""
        return data, b""

    def receive_eof(self) -> None:
        """See `BodyReader`."""
        self.is_complete = True
