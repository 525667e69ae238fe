"""Bodies: where they end, and readers that find it.

A reader is fed what the peer sent and says what of it belongs to the body and what to whatever follows. It
holds back at most one unfinished line of the chunked coding, so its memory is bounded whatever arrives.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import NamedTuple, Protocol

from px.core.errors import BadRequestError, BadResponseError, PxError
from px.core.grammar import FIELD_LINE, OWS, QUOTED_STRING, TOKEN

MAX_CONTENT_LENGTH = 2**63 - 1
#: Extensions of one chunk, in octets.
MAX_EXTENSION_BYTES = 4 * 1024
#: Extensions of a whole body, in octets, above one octet of extension for each of payload.
MAX_SPARE_EXTENSION_BYTES = 64 * 1024
MAX_TRAILER_BYTES = 64 * 1024
#: A line may arrive octet by octet, and is looked at again each time.
MAX_TRAILER_LINE_BYTES = 8 * 1024
MAX_TRAILER_FIELDS = 200
#: Steps of the chunked coding taken at once, four to a chunk: a body of tiny chunks must let others run.
MAX_STEPS = 2048

_CONTENT_LENGTH = re.compile(rb"[0-9]{1,19}")
_TOKEN = re.compile(TOKEN)
_FIELD_LINE = re.compile(FIELD_LINE)
_EXTENSION = rb";" + TOKEN + rb"(?:=(?:" + TOKEN + rb"|" + QUOTED_STRING + rb"))?"
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})((?:" + _EXTENSION + rb")*+)\r\n")
# What a line that has not ended yet may look like; the rest is checked when it has.
_SIZE_LINE_BEGINNING = re.compile(rb"[0-9A-Fa-f]{1,16}(?:;[\t -~\x80-\xff]*+)?\r?")
_LINE_BEGINNING = re.compile(rb"[\t -~\x80-\xff]*+\r?")
_MAX_SIZE_LINE = 16 + MAX_EXTENSION_BYTES + 2

# RFC 9110 6.5.1: what decides framing, routing, login or the meaning of the content is not taken from a
# trailer. A proxy must not let pass here what it would have cut out of the head.
_FORBIDDEN_TRAILER = re.compile(
    rb"(?i:connection|keep-alive|te|trailer|transfer-encoding|upgrade|host|via|forwarded|x-forwarded-.*"
    rb"|content-.*|proxy-.*|authorization|www-authenticate|authentication-info|cookie|set-cookie"
    rb"|cache-control|pragma|expires|age|date|vary|warning|location|retry-after|expect|max-forwards|range|if-.*)"
)


class FramingKind(Enum):
    """How the end of a body is found, RFC 9112 6.3."""

    NONE = "none"
    LENGTH = "length"
    CHUNKED = "chunked"
    CLOSE = "close"


class Framing(NamedTuple):
    """Where a body ends.

    Attributes:
        kind: NONE also for a Content-Length of 0: nothing follows the head.
        length: Octets of the body; 0 unless `kind` is LENGTH.
    """

    kind: FramingKind
    length: int = 0


NO_BODY = Framing(FramingKind.NONE)
_CHUNKED = Framing(FramingKind.CHUNKED)
_UNTIL_CLOSE = Framing(FramingKind.CLOSE)


def list_members(values: Iterable[bytes]) -> list[bytes]:
    """The members of a comma-separated list (RFC 9110 5.6.1) over several lines, lower-case, none empty."""
    members = [member.strip(OWS).lower() for value in values for member in value.split(b",")]
    return [member for member in members if member]


def request_framing(method: bytes, found: Mapping[bytes, list[bytes]], minor_version: int) -> Framing:
    """The framing of a request's body.

    Args:
        method: Of the request.
        found: Values by lower-case name; those of Content-Length and Transfer-Encoding matter.
        minor_version: Of the request.

    Raises:
        BadRequestError: 400, or 501 for an unknown transfer coding.
    """
    framing = _framing(found, minor_version, BadRequestError)
    if framing is None:
        return NO_BODY
    if method == b"CONNECT" and framing is not NO_BODY:
        raise BadRequestError("The CONNECT request has a body, which means nothing (RFC 9110 9.3.6).")
    return framing


def response_framing(found: Mapping[bytes, list[bytes]], minor_version: int) -> Framing:
    """The framing of the body of a response that has one; arguments as of `request_framing`.

    Raises:
        BadResponseError: whatever would make two readers disagree.
    """
    framing = _framing(found, minor_version, BadResponseError)
    return _UNTIL_CLOSE if framing is None else framing


def _framing(found: Mapping[bytes, list[bytes]], minor_version: int, error: type[PxError]) -> Framing | None:
    codings = found.get(b"transfer-encoding")
    lengths = found.get(b"content-length")
    if codings is None:
        return None if lengths is None else _length_framing(lengths, error)
    if lengths is not None:
        raise error("The message has both Content-Length and Transfer-Encoding.")
    if minor_version == 0:
        raise error("The message is HTTP/1.0 and has a Transfer-Encoding, which HTTP/1.0 does not know.")
    _check_codings(b",".join(codings).split(b","), error)
    return _CHUNKED


def _length_framing(lengths: list[bytes], error: type[PxError]) -> Framing:
    if len(lengths) > 1 or b"," in lengths[0]:
        raise error("The message has more than one Content-Length.")
    if not _CONTENT_LENGTH.fullmatch(lengths[0]) or int(lengths[0]) > MAX_CONTENT_LENGTH:
        raise error("The message has a Content-Length that is not a number below 2^63.")
    length = int(lengths[0])
    return Framing(FramingKind.LENGTH, length) if length else NO_BODY


def _check_codings(codings: list[bytes], error: type[PxError]) -> None:
    """Only chunked is known, and only once (RFC 9112 6.1)."""
    codings = [coding.strip(OWS).lower() for coding in codings]
    if codings == [b"chunked"]:
        return
    if not all(_TOKEN.fullmatch(coding) for coding in codings):
        raise error("The message has a Transfer-Encoding that is not a list of names.")
    if b"chunked" in codings[:-1]:
        raise error("The message is chunked more than once, or chunked is not its last Transfer-Encoding.")
    unknown = "The message has a Transfer-Encoding other than chunked."
    raise error(unknown, status=501) if error is BadRequestError else error(unknown)


class BodyReader(Protocol):
    """Finds the end of one body."""

    @property
    def is_complete(self) -> bool:
        """The body's last octet was received."""

    def receive(self, data: bytes) -> tuple[bytes, bytes]:
        """Take what the peer sent, in pieces of any size.

        Returns:
            The piece to forward (it may be empty), and the rest. When the body is complete, that is what
            follows it; else it is to be given again, after others had their turn (`MAX_STEPS`).

        Raises:
            PxError: of the class given to `body_reader`: the framing is broken. The reader is of no use then.
        """

    def receive_eof(self) -> None:
        """Take it that the peer closed. A close-delimited body is complete then.

        Raises:
            PxError: of the class given to `body_reader`: the body is not complete.
        """


def body_reader(framing: Framing, *, decode_chunked: bool, error: type[PxError]) -> BodyReader:
    """Make the reader of a body.

    Args:
        framing: Of the body.
        decode_chunked: Forward the payload of a chunked body without the coding and its trailers.
        error: Class to raise when the peer breaks the framing.
    """
    if framing is NO_BODY:
        return _NOTHING
    if framing.kind is FramingKind.CHUNKED:
        return ChunkedReader(decode=decode_chunked, error=error)
    if framing.kind is FramingKind.CLOSE:
        return CloseReader()
    return LengthReader(framing.length, error)


class LengthReader:
    """A body of known length; of none, it is complete at once."""

    __slots__ = ("_error", "_missing")

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


#: It is complete and stays so: one for all.
_NOTHING = LengthReader(0, PxError)


class CloseReader:
    """A response body that ends where the connection does."""

    __slots__ = ("is_complete",)

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


class ChunkedReader:
    """A body in the chunked coding, RFC 9112 7.1.

    Its states are the methods that take what may come next::

        size line -- size > 0 --> payload --> CRLF after it --> size line
            `------- size = 0 --> trailer line, again and again --> empty line: complete

    Each takes the data and where to begin, and returns where it ended; or -1: the line has not ended, come
    again with more. Stricter than RFC 9112 is that no white space is accepted around the parts of an
    extension: llhttp refuses it too, and others have been fooled by it.
    """

    __slots__ = (
        "_decode",
        "_error",
        "_extension_allowance",
        "_held",
        "_kept",
        "_missing",
        "_state",
        "_trailer_allowance",
        "_trailer_fields",
    )

    def __init__(self, *, decode: bool, error: type[PxError]) -> None:
        self._decode = decode
        self._error = error
        self._held = b""
        self._missing = 0
        self._extension_allowance = MAX_SPARE_EXTENSION_BYTES
        self._trailer_allowance = MAX_TRAILER_BYTES
        self._trailer_fields = 0
        # Ranges of the data at hand to be forwarded: begin, end, begin, end...
        self._kept: list[int] = []
        self._state: Callable[[bytes, int], int] | None = self._take_size_line

    def __repr__(self) -> str:
        state = self._state.__name__.removeprefix("_take_") if self._state else "complete"
        return f"<ChunkedReader {state}, {len(self._held)} octets held>"

    @property
    def is_complete(self) -> bool:
        """See `BodyReader`."""
        return self._state is None

    def receive(self, data: bytes) -> tuple[bytes, bytes]:
        """See `BodyReader`."""
        if self._held:
            data, self._held = self._held + data, b""
        at = steps = 0
        while self._state is not None and at < len(data) and steps < MAX_STEPS:
            end = self._state(data, at)
            if end < 0:
                self._held = data[at:]
                return self._take_kept(data), b""
            at = end
            steps += 1
        return self._take_kept(data), data[at:]

    def receive_eof(self) -> None:
        """See `BodyReader`."""
        if self._state is not None:
            raise self._error("The connection was closed in the middle of a chunked body.")

    def _take_size_line(self, data: bytes, at: int) -> int:
        match = _SIZE_LINE.match(data, at)
        if match is None:
            return self._check_unended_line(data, at, _SIZE_LINE_BEGINNING, _MAX_SIZE_LINE)
        size = int(match[1], 16)
        if match.end(2) != match.start(2):
            self._check_extensions(match.end(2) - match.start(2), size)
        self._missing = size
        self._state = self._take_payload if size else self._take_trailer_line
        return self._keep_coding(at, match.end())

    def _take_payload(self, data: bytes, at: int) -> int:
        end = min(at + self._missing, len(data))
        self._missing -= end - at
        if not self._missing:
            self._state = self._take_payload_end
        return self._keep(at, end)

    def _take_payload_end(self, data: bytes, at: int) -> int:
        if data.startswith(b"\r\n", at):
            self._state = self._take_size_line
            return self._keep_coding(at, at + 2)
        if data[at:] == b"\r":
            return -1
        raise self._error("A chunk of the body does not end where its size says.")

    def _take_trailer_line(self, data: bytes, at: int) -> int:
        if data.startswith(b"\r\n", at):
            self._state = None
            return self._keep_coding(at, at + 2)
        match = _FIELD_LINE.match(data, at)
        if match is None:
            return self._check_unended_line(data, at, _LINE_BEGINNING, MAX_TRAILER_LINE_BYTES)
        line_bytes = match.end() - at
        self._trailer_allowance -= line_bytes
        self._trailer_fields += 1
        if (
            line_bytes > MAX_TRAILER_LINE_BYTES
            or self._trailer_allowance < 0
            or self._trailer_fields > MAX_TRAILER_FIELDS
        ):
            raise self._error("The chunked body has more trailer fields than Px takes.")
        if _FORBIDDEN_TRAILER.fullmatch(data, at, data.index(b":", at)):
            return match.end()
        return self._keep_coding(at, match.end())

    def _check_unended_line(self, data: bytes, at: int, beginning: re.Pattern[bytes], max_bytes: int) -> int:
        """Wait for more only while the line can still become a good one."""
        if not beginning.fullmatch(data, at) or len(data) - at > max_bytes:
            raise self._error("The chunked body has a bad line where a chunk size or a trailer should be.")
        return -1

    def _check_extensions(self, extension_bytes: int, chunk_bytes: int) -> None:
        """Nobody needs extensions; a body that is nothing else is made to keep its readers busy."""
        self._extension_allowance += min(chunk_bytes, MAX_SPARE_EXTENSION_BYTES) - extension_bytes
        if extension_bytes > MAX_EXTENSION_BYTES or self._extension_allowance < 0:
            raise self._error("The chunked body has more chunk extensions than Px takes.")

    def _keep_coding(self, start: int, end: int) -> int:
        return end if self._decode else self._keep(start, end)

    def _keep(self, start: int, end: int) -> int:
        if self._kept and self._kept[-1] == start:
            self._kept[-1] = end
        else:
            self._kept += (start, end)
        return end

    def _take_kept(self, data: bytes) -> bytes:
        kept, self._kept = self._kept, []
        if len(kept) == 2:  # noqa: PLR2004 - one range, the usual case
            return data[kept[0] : kept[1]]
        return b"".join([data[start:end] for start, end in zip(kept[::2], kept[1::2], strict=True)])
