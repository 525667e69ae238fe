"""Heads of requests and responses: strict parsing, which finds the few facts that a proxy needs.

One compiled pattern validates a whole head; a second finds the fields that Px must see. All other fields are
never parsed: a head keeps the block of its field lines as received, and `px.core.http.head_format` copies it
without the hop-by-hop lines. `px.core.http.request_head` parses requests, `px.core.http.response_head`
responses, `px.core.http.target` targets, and `px.core.http.framing` the framing of bodies. This module has
the common part of both kinds of head: their end and their maximum length.
"""

from __future__ import annotations

import re

from px.core.http.grammar import FIELD_LINE, MAX_EMPTY_LINES

MAX_HEAD_BYTES = 64 * 1024
#: For a head with a Negotiate token: a Kerberos ticket with many groups fills 64 KiB alone.
MAX_HEAD_BYTES_WITH_TOKEN = 128 * 1024
MAX_FIELDS = 200

#: The field lines of a head as a group, and the empty line.
BLOCK_AND_END = rb"\r\n((?:" + FIELD_LINE + rb")*+)\r\n"
_EMPTY_LINES = re.compile(rb"(?:\r\n){0,%d}+" % MAX_EMPTY_LINES)
_BARE_EMPTY_LINES = re.compile(rb"\n{0,%d}+" % MAX_EMPTY_LINES)
_ODD_END_AMONG_CRLF = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)")
_ODD_END_AMONG_LF = re.compile(rb"\r")
_CR = 0x0D
_NEGOTIATE_TOKEN = re.compile(
    rb"\n(?i:(?:proxy-)?authorization|(?:www|proxy)-authenticate):[ \t]*+(?i:negotiate) ++[A-Za-z0-9+/]"
)


def find_head_end(buffer: bytes | bytearray, start: int = 0) -> int:
    """Return the index just after a head's empty line, or -1. `HeadReader` does so for a head in pieces.

    Empty lines before a request line belong to the head (RFC 9112 2.2). The first line shows how the lines of
    this head end: with CRLF, or with a bare LF.

    Args:
        buffer: The bytes received.
        start: The index in the buffer where the head begins.
    """
    line_end = buffer.find(b"\n", start)
    if line_end > start + 1 and buffer[line_end - 1] == _CR:  # nearly all heads
        end = buffer.find(b"\r\n\r\n", line_end - 1)
        return end + 4 if end >= 0 else -1
    return _find_end(buffer, start, start, is_bare=not buffer.endswith(b"\r", start, max(line_end, start)))


def _find_end(buffer: bytes | bytearray, start: int, searched: int, *, is_bare: bool) -> int:
    """Return the end of the head that begins at `start`, or -1; search only the octets from `searched` on."""
    empty_line, empty_lines = (b"\n", _BARE_EMPTY_LINES) if is_bare else (b"\r\n", _EMPTY_LINES)
    if buffer.startswith(empty_line, start) and (match := empty_lines.match(buffer, start)):
        start = match.end()
    end = empty_line * 2
    found = buffer.find(end, max(start, searched - len(end) + 1))
    return found + len(end) if found >= 0 else -1


class HeadReader:
    """Finds the end of a head that comes in pieces; looks at each octet once.

    Attributes:
        received: All bytes received so far.
        has_odd_line_end: Whether the lines end in different ways, so that the end may never be found.
    """

    __slots__ = ("_is_bare", "_limit", "has_odd_line_end", "received")

    def __init__(self) -> None:
        self.received = bytearray()
        self.has_odd_line_end = False
        self._is_bare: bool | None = None  # whether lines end with a bare LF; None before the first
        self._limit = MAX_HEAD_BYTES

    def receive(self, data: bytes) -> int:
        """Take the next piece; return the index just after the head's empty line, or -1."""
        received, searched = self.received, len(self.received)
        received += data
        end = self._find_end(searched)
        if end < 0:
            self.has_odd_line_end |= self._has_odd_line_end(searched)
            if len(received) > MAX_HEAD_BYTES >= searched:
                self._limit = size_limit(received)
        return end

    def _find_end(self, searched: int) -> int:
        """Return the end of the head, or -1; search only the octets from `searched` on."""
        received = self.received
        if self._is_bare is None and (line_end := received.find(b"\n", searched)) >= 0:
            self._is_bare = not received.endswith(b"\r", 0, line_end)
        return -1 if self._is_bare is None else _find_end(received, 0, searched, is_bare=self._is_bare)

    def _has_odd_line_end(self, searched: int) -> bool:
        odd_end = _ODD_END_AMONG_LF if self._is_bare else _ODD_END_AMONG_CRLF
        return odd_end.search(self.received, max(searched - 1, 0)) is not None

    @property
    def is_too_long(self) -> bool:
        """Whether the head is longer than the limit."""
        return len(self.received) > self._limit

    def __repr__(self) -> str:
        return f"<HeadReader {len(self.received)} octets>"


def size_limit(received: bytes | bytearray) -> int:
    """Return the limit for this head in octets, which is higher if a token begins in the first 64 KiB."""
    if len(received) > MAX_HEAD_BYTES and _NEGOTIATE_TOKEN.search(received, 0, MAX_HEAD_BYTES):
        return MAX_HEAD_BYTES_WITH_TOKEN
    return MAX_HEAD_BYTES
