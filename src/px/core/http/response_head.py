"""Parses response heads, and finds the few facts that a proxy needs; see `px.core.http.head`.

One strict pattern matches nearly all of them. `px.core.http.response_repair` repairs the others, if browsers
and curl understand them and they have one reading; the block then contains the repairs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from px.core.errors import BadResponseError
from px.core.http.fields import Fields, find_notable_lines, group_values, parse_options
from px.core.http.framing import NO_BODY, Framing, FramingKind, response_framing
from px.core.http.framing_repair import merge_lengths, settle_codings
from px.core.http.grammar import FIELD_VALUE
from px.core.http.head import BLOCK_AND_END, MAX_HEAD_BYTES, HeadReader, size_limit
from px.core.http.head_fault import explain_response
from px.core.http.response_repair import repair_lines

#: More than in a request: origins send a field for each cookie or policy, and browsers accept them all.
MAX_RESPONSE_FIELDS = 2000

# Real answers may lack the space after the status, and the reason, too (RFC 9112 4 requires the space).
_RESPONSE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: (" + FIELD_VALUE + rb"))?" + BLOCK_AND_END)

_LONE_CR = re.compile(rb"\r(?!\n|\Z)")

_SWITCHING_PROTOCOLS = 101
_NO_CONTENT = 204
_NOT_MODIFIED = 304


@dataclass(slots=True, repr=False, eq=False)
class ResponseHead(Fields):
    """A response without its body.

    Attributes:
        status: 100 to 999.
        reason: The reason as received; often empty.
        minor_version: 0 or 1.
        framing: The framing of the body, given the method of the request.
        keep_alive: Whether the connection can be used after the body; never after a 101 or a CONNECT's 2xx.
        is_interim: Whether the status is 1xx but not 101: another response follows.
        is_repaired: Whether the head, or its framing, broke RFC 9112: readers before Px may have seen another
            end. So no other request may use the connection after it.
    """

    status: int
    reason: bytes
    minor_version: int
    framing: Framing
    keep_alive: bool
    is_interim: bool
    is_repaired: bool

    def __repr__(self) -> str:
        """Return a text without the fields, which may contain secrets."""
        return f"<ResponseHead {self.status} HTTP/1.{self.minor_version} {self.framing.kind.value}>"


def find_response_end(buffer: bytes | bytearray, start: int = 0) -> int:
    """Return the index just after a response head's empty line, or -1; lines may end with CRLF, LF, or both.

    Args:
        buffer: The bytes received.
        start: The index to search from.
    """
    end = buffer.find(b"\n\r\n", start)
    bare_end = buffer.find(b"\n\n", start, end + 1 if end >= 0 else len(buffer))
    if bare_end >= 0:
        return bare_end + 2
    return end + 3 if end >= 0 else -1


def take_response(received: bytes, method: bytes) -> tuple[ResponseHead, int] | None:
    """Return the response head at the beginning of the peer's octets, and the index just after it.

    Args:
        received: The bytes received.
        method: The method of the request that the response answers.

    Returns:
        The head and the index, or None if the end of the head has not come yet.

    Raises:
        BadResponseError: as `parse_response`.
    """
    found = received.find(b"\r\n\r\n", 0, MAX_HEAD_BYTES)
    if found > 0 and (match := _RESPONSE.fullmatch(received[: found + 4])) is not None:
        return _read_fields(match, method, is_repaired=False), found + 4
    end = find_response_end(received)
    return None if end < 0 else (parse_response(received[:end], method), end)


class ResponseHeadReader(HeadReader):
    """Finds the end of a response head that comes in pieces; its lines may end with CRLF or LF."""

    __slots__ = ()

    def _find_end(self, searched: int) -> int:
        return find_response_end(self.received, max(searched - 2, 0))

    def _has_odd_line_end(self, searched: int) -> bool:
        return _LONE_CR.search(self.received, max(searched - 1, 0)) is not None


def check_response_beginning(reader: ResponseHeadReader) -> None:
    """Check an incomplete response head, each time more bytes have come.

    Raises:
        BadResponseError: A CR without an LF, a head beyond the limits, or not the beginning of HTTP.
    """
    received = reader.received
    if received[:5].upper() != b"HTTP/"[: len(received)]:
        raise BadResponseError("The answer does not begin with an HTTP version.")
    if reader.has_odd_line_end:
        raise BadResponseError("The head of the answer has a CR without an LF after it.")
    if reader.is_too_long:
        raise _explain_length(received)


def parse_response(head: bytes, method: bytes) -> ResponseHead:
    """Return a parsed response head, given with its empty line.

    Args:
        head: The head as received.
        method: The method of the request, which decides about the body.

    Raises:
        BadResponseError: The end of the body is unclear, or the head is not HTTP/1.
    """
    if len(head) > MAX_HEAD_BYTES and len(head) > size_limit(head):
        raise _explain_length(head)
    if (match := _RESPONSE.fullmatch(head)) is not None:
        return _read_fields(match, method, is_repaired=False)
    _check_field_count(head.count(b"\n") - 2)  # bad lines that are dropped count, too: they cost most
    if (match := _RESPONSE.fullmatch(repair_lines(head))) is not None:
        return _read_fields(match, method, is_repaired=True)
    raise explain_response(head)


def _read_fields(match: re.Match[bytes], method: bytes, *, is_repaired: bool) -> ResponseHead:
    minor, digits, reason, block = match.groups()
    _check_field_count(block.count(b"\n"))
    lines = find_notable_lines(match.string, match.start(4) - 1)
    found = group_values(lines)
    minor_version, status = int(minor), int(digits)
    begins_tunnel = status == _SWITCHING_PROTOCOLS or (method == b"CONNECT" and 200 <= status < 300)  # noqa: PLR2004
    if begins_tunnel or status < 200 or status == _NO_CONTENT:  # noqa: PLR2004 - 1xx
        framing = NO_BODY  # RFC 9112 6.3 rules 1 and 2: whatever the fields say
        is_repaired |= not begins_tunnel and _announces_body(found)
    else:
        if b"transfer-encoding" in found and not _is_chunked_only(found, minor_version):
            block, lines = settle_codings(block, lines, found)
            is_repaired = True
        block, lines = merge_lengths(block, lines, found)
        framing = response_framing(found)
        if method == b"HEAD" or status == _NOT_MODIFIED:
            framing = NO_BODY
    options = parse_options(found, b"connection")
    return ResponseHead(
        block,
        lines,
        found,
        options,
        status,
        reason or b"",
        minor_version,
        framing,
        not begins_tunnel
        and framing.kind is not FramingKind.CLOSE
        and _is_kept_by_hop(minor_version, options, parse_options(found, b"proxy-connection")),
        status < 200 and not begins_tunnel,  # noqa: PLR2004 - 1xx
        is_repaired,
    )


def _check_field_count(count: int) -> None:
    if count > MAX_RESPONSE_FIELDS:
        raise BadResponseError(f"The answer has more than {MAX_RESPONSE_FIELDS} fields.")


def _explain_length(received: bytes | bytearray) -> BadResponseError:
    return BadResponseError(f"The head of the answer is longer than {size_limit(received) // 1024} KiB.")


def _is_kept_by_hop(minor_version: int, options: frozenset[bytes], legacy: frozenset[bytes]) -> bool:
    """Return whether the hop keeps the connection; old proxies answer HTTP/1.0 with either field in NTLM."""
    if b"close" in options or b"close" in legacy:
        return False
    return minor_version == 1 or b"keep-alive" in options or b"keep-alive" in legacy


def _announces_body(found: Mapping[bytes, list[bytes]]) -> bool:
    """Return whether an answer without a body announces one (forbidden by RFC 9110 8.6, RFC 9112 6.1)."""
    return b"transfer-encoding" in found or any(length != b"0" for length in found.get(b"content-length", ()))


def _is_chunked_only(found: Mapping[bytes, list[bytes]], minor_version: int) -> bool:
    """Return whether Transfer-Encoding needs no repair."""
    values = found[b"transfer-encoding"]
    is_chunked = len(values) == 1 and values[0].lower() == b"chunked"
    return is_chunked and minor_version == 1 and b"content-length" not in found
