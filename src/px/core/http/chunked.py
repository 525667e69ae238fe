"""The chunked coding, RFC 9112 7.1: readers that find its end and check what they forward.

Both readers forward only what RFC 9112 allows a sender. `ChunkedReader` accepts what RFC 9112 requires of a
recipient, `LenientChunkedReader` also what browsers and curl understand.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from px.core.errors import PxError
from px.core.http.grammar import FIELD_LINE, QUOTED_STRING, TOKEN

#: The most octets of extensions in one chunk.
MAX_EXTENSION_BYTES = 4 * 1024
#: The most octets of extensions in a whole body, in addition to one for each octet of payload.
MAX_SPARE_EXTENSION_BYTES = 64 * 1024
MAX_TRAILER_BYTES = 64 * 1024
MAX_TRAILER_LINE_BYTES = 8 * 1024
MAX_TRAILER_FIELDS = 200
#: The most steps of the chunked coding at a time, four to a chunk: a body of tiny chunks must not block other
#: tasks.
MAX_STEPS = 2048

_FIELD_LINE = re.compile(FIELD_LINE)
_VALUE = rb"(?:" + TOKEN + rb"|" + QUOTED_STRING + rb")"
_EXTENSION = rb";" + TOKEN + rb"(?:=" + _VALUE + rb")?"
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})((?:" + _EXTENSION + rb")*+)\r\n")
# The same with the white space that RFC 9112 7.1.1 requires recipients to parse and forbids senders to send.
_BWS = rb"[\t ]*+"
_SPACED_EXTENSION = _BWS + rb";" + _BWS + TOKEN + rb"(?:" + _BWS + rb"=" + _BWS + _VALUE + rb")?"
_SPACED_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})((?:" + _SPACED_EXTENSION + rb")*+)\r\n")
# The possible beginnings of a line that has not ended yet; the rest is checked at its end.
_SIZE_LINE_BEGINNING = re.compile(rb"[0-9A-Fa-f]{1,16}[\t ]*+(?:;[\t -~\x80-\xff]*+)?\r?")
_LINE_BEGINNING = re.compile(rb"[\t -~\x80-\xff]*+\r?")
_MAX_SIZE_LINE = 16 + MAX_EXTENSION_BYTES + 2
# What may follow a valid beginning after the chunk size.
_MORE_OF_A_LINE = re.compile(rb"[\t -~\x80-\xff]*+")

# What origins send instead of a size line or a trailer line. CR and NUL are not allowed inside a line.
_LENIENT_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})([\t ]*+(?:;[^\r\n\0]*+)?)\r?\n")
_LENIENT_SIZE_LINE_BEGINNING = re.compile(rb"[0-9A-Fa-f]{1,16}[\t ]*+(?:;[^\r\n\0]*+)?\r?")
_LENIENT_LINE = re.compile(rb"(?![\t ])([^\r\n\0]++)\r?\n")
_LENIENT_LINE_BEGINNING = re.compile(rb"(?![\t ])[^\r\n\0]*+\r?")

# RFC 9110 6.5.1: fields about framing, routing, login or the meaning of the content must not come in a
# trailer. Otherwise a proxy would pass on here what it removes from the head.
_FORBIDDEN_TRAILER = re.compile(
    rb"(?i:connection|keep-alive|te|trailer|transfer-encoding|upgrade|host|via|forwarded|x-forwarded-.*"
    rb"|content-.*|proxy-.*|authorization|www-authenticate|authentication-info|cookie|set-cookie"
    rb"|cache-control|pragma|expires|age|date|vary|warning|location|retry-after|expect|max-forwards|range|if-.*)"
)


class ChunkedReader:
    """A body in the chunked coding, RFC 9112 7.1.

    Its states are the methods that take the next part::

        size line -- size > 0 --> payload --> CRLF after it --> size line
            `------- size = 0 --> trailer line, again and again --> empty line: complete

    Each method takes the data and a start index, and returns its end index, or -1 if the line has not ended
    and more data is needed. Extensions with white space around their parts are not forwarded (RFC 9112 7.1.1
    lets a recipient ignore them): the next reader may refuse the white space, as llhttp does, or misread it.
    """

    __slots__ = (
        "_decode",
        "_error",
        "_extension_allowance",
        "_held",
        "_kept",
        "_missing",
        "_pieces",
        "_state",
        "_trailer_allowance",
        "_trailer_fields",
        "is_repaired",
    )

    #: Whether the bytes before a fault are returned first.
    _defers_faults = False

    def __init__(self, *, decode: bool, error: type[PxError]) -> None:
        self._decode = decode
        self._error = error
        self._held = b""
        self._missing = 0
        self._extension_allowance = MAX_SPARE_EXTENSION_BYTES
        self._trailer_allowance = MAX_TRAILER_BYTES
        self._trailer_fields = 0
        # The ranges of the current data to forward: begin, end, begin, end...
        self._kept: list[int] = []
        # Bytes to forward before these ranges, where a part of the coding was replaced.
        self._pieces: list[bytes] = []
        #: See `px.core.http.body_reader.BodyReader`.
        self.is_repaired = False
        self._state: Callable[[bytes, int], int] | None = self._take_size_line

    def __repr__(self) -> str:
        state = self._state.__name__.removeprefix("_take_") if self._state else "complete"
        return f"<ChunkedReader {state}, {len(self._held)} octets held>"

    @property
    def is_complete(self) -> bool:
        """See `px.core.http.body_reader.BodyReader`."""
        return self._state is None

    def receive(self, data: bytes) -> tuple[bytes, bytes]:
        """See `px.core.http.body_reader.BodyReader`."""
        if self._held:
            if self._only_lengthens_line(data):
                self._held += data
                return b"", b""
            data, self._held = self._held + data, b""
        at = steps = 0
        while self._state is not None and at < len(data) and steps < MAX_STEPS:
            try:
                end = self._state(data, at)
            except PxError:
                if not (self._defers_faults and (self._kept or self._pieces)):
                    raise
                break
            if end < 0:
                self._held = data[at:]
                return self._take_kept(data), b""
            at = end
            steps += 1
        return self._take_kept(data), data[at:]

    def receive_eof(self) -> None:
        """See `px.core.http.body_reader.BodyReader`."""
        if self._state is not None:
            raise self._error("The connection was closed in the middle of a chunked body.")

    def _only_lengthens_line(self, data: bytes) -> bool:
        """Return whether data only continues the held line, so that its beginning need not be parsed again.

        Otherwise the cost of a line that comes octet by octet would grow with the square of its length.
        """
        is_past_size = self._state == self._take_trailer_line or b";" in self._held
        limit = MAX_TRAILER_LINE_BYTES if self._state == self._take_trailer_line else _MAX_SIZE_LINE
        return (
            is_past_size
            and len(self._held) + len(data) <= limit
            and not self._held.endswith(b"\r")
            and _MORE_OF_A_LINE.fullmatch(data) is not None
        )

    def _take_size_line(self, data: bytes, at: int) -> int:
        match = _SIZE_LINE.match(data, at) or self._match_odd_size_line(data, at)
        if match is None:
            return -1
        size = int(match[1], 16)
        if match.end(2) != match.start(2):
            self._check_extensions(match.end(2) - match.start(2), size)
        self._missing = size
        self._state = self._take_payload if size else self._take_trailer_line
        if match.re is not _SIZE_LINE:
            self._put(data, match[1] + b"\r\n")
            return match.end()
        return self._keep_coding(at, match.end())

    def _match_odd_size_line(self, data: bytes, at: int) -> re.Match[bytes] | None:
        """Return the match of a size line that is not strict; None if the line has not ended yet."""
        match = _SPACED_SIZE_LINE.match(data, at)
        if match is None:
            self._check_unended_line(data, at, _SIZE_LINE_BEGINNING, _MAX_SIZE_LINE)
        return match

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
        return self._take_odd_payload_end(data, at)

    def _take_odd_payload_end(self, data: bytes, at: int) -> int:  # noqa: ARG002 - `LenientChunkedReader` reads
        raise self._error("A chunk of the body does not end where its size says.")

    def _take_trailer_line(self, data: bytes, at: int) -> int:
        if data.startswith(b"\r\n", at):
            self._state = None
            return self._keep_coding(at, at + 2)
        match = _FIELD_LINE.match(data, at)
        if match is None:
            return self._take_odd_trailer_line(data, at)
        self._count_trailer_line(match.end() - at)
        if _FORBIDDEN_TRAILER.fullmatch(data, at, data.index(b":", at)):
            return match.end()
        return self._keep_coding(at, match.end())

    def _take_odd_trailer_line(self, data: bytes, at: int) -> int:
        self._check_unended_line(data, at, _LINE_BEGINNING, MAX_TRAILER_LINE_BYTES)
        return -1

    def _count_trailer_line(self, line_bytes: int) -> None:
        self._trailer_allowance -= line_bytes
        self._trailer_fields += 1
        if (
            line_bytes > MAX_TRAILER_LINE_BYTES
            or self._trailer_allowance < 0
            or self._trailer_fields > MAX_TRAILER_FIELDS
        ):
            raise self._error("The chunked body has more trailer fields than Px accepts.")

    def _check_unended_line(self, data: bytes, at: int, beginning: re.Pattern[bytes], max_bytes: int) -> None:
        """Raise an error unless the line can still become valid."""
        if not beginning.fullmatch(data, at) or len(data) - at > max_bytes:
            raise self._error("The chunked body has a bad line where a chunk size or a trailer should be.")

    def _check_extensions(self, extension_bytes: int, chunk_bytes: int) -> None:
        """Limit extensions, which have no use: a body made of them only keeps its readers busy."""
        self._extension_allowance += min(chunk_bytes, MAX_SPARE_EXTENSION_BYTES) - extension_bytes
        if extension_bytes > MAX_EXTENSION_BYTES or self._extension_allowance < 0:
            raise self._error("The chunked body has more chunk extensions than Px accepts.")

    def _keep_coding(self, start: int, end: int) -> int:
        return end if self._decode else self._keep(start, end)

    def _keep(self, start: int, end: int) -> int:
        if self._kept and self._kept[-1] == start:
            self._kept[-1] = end
        else:
            self._kept += (start, end)
        return end

    def _put(self, data: bytes, text: bytes) -> None:
        """Forward `text` instead of a part of the coding."""
        self.is_repaired = True
        if not self._decode:
            self._pieces += (self._take_kept_ranges(data), text)

    def _take_kept(self, data: bytes) -> bytes:
        if not self._pieces:
            return self._take_kept_ranges(data)
        pieces, self._pieces = self._pieces, []
        return b"".join((*pieces, self._take_kept_ranges(data)))

    def _take_kept_ranges(self, data: bytes) -> bytes:
        kept, self._kept = self._kept, []
        if len(kept) == 2:  # noqa: PLR2004 - one range, the usual case
            return data[kept[0] : kept[1]]
        return b"".join([data[start:end] for start, end in zip(kept[::2], kept[1::2], strict=True)])


class LenientChunkedReader(ChunkedReader):
    """A body in the chunked coding as origins really send it; the reader forwards it strictly.

    Lines may end with a bare LF. White space or any extension may follow a size and is dropped. A trailer
    line that no recipient would understand is dropped, too. A CR or NUL inside a line is refused, because
    readers differ about it. Bytes before a fault are returned first; the next call raises the error.
    """

    __slots__ = ()
    _defers_faults = True

    def _match_odd_size_line(self, data: bytes, at: int) -> re.Match[bytes] | None:
        match = _LENIENT_SIZE_LINE.match(data, at)
        if match is None:
            self._check_unended_line(data, at, _LENIENT_SIZE_LINE_BEGINNING, _MAX_SIZE_LINE)
        return match

    def _take_odd_payload_end(self, data: bytes, at: int) -> int:
        if not data.startswith(b"\n", at):
            return super()._take_odd_payload_end(data, at)
        self._state = self._take_size_line
        self._put(data, b"\r\n")
        return at + 1

    def _take_odd_trailer_line(self, data: bytes, at: int) -> int:
        if data.startswith(b"\n", at):
            self._state = None
            self._put(data, b"\r\n")
            return at + 1
        match = _LENIENT_LINE.match(data, at)
        if match is None:
            self._check_unended_line(data, at, _LENIENT_LINE_BEGINNING, MAX_TRAILER_LINE_BYTES)
            return -1
        self._count_trailer_line(match.end() - at)
        line = match[1] + b"\r\n"
        is_field = _FIELD_LINE.fullmatch(line) and not _FORBIDDEN_TRAILER.fullmatch(line, 0, line.index(b":"))
        self._put(data, line if is_field else b"")
        return match.end()
