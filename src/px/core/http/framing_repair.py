"""Rewrites fields that describe the end of a body in an unusual way.

Each function takes the block of field lines, the notable lines in it, and their values by name. It changes
the values and returns the new block and lines. If nothing needs repair, or the meaning is unclear, they stay
as they are; `px.core.http.framing` refuses unclear ones.
"""

from __future__ import annotations

import re

from px.core.http.fields import FieldLine, find_notable_lines
from px.core.http.framing import list_members

_CONTENT_LENGTH_LINE = re.compile(rb"(?im)^content-length:[^\r]*+\r\n")
_TRANSFER_ENCODING_LINE = re.compile(rb"(?im)^transfer-encoding:[^\r]*+\r\n")


def drop_identity(
    block: bytes, lines: list[FieldLine], found: dict[bytes, list[bytes]]
) -> tuple[bytes, list[FieldLine]]:
    """Remove a Transfer-Encoding of identity, which means none (RFC 2616 3.6), beside a Content-Length.

    The length counts then (RFC 2616 4.4). Without a length the field stays and is refused: some readers see
    no body, others read to the end of the connection.
    """
    codings = found.get(b"transfer-encoding")
    if codings is None or b"content-length" not in found or set(list_members(codings)) != {b"identity"}:
        return block, lines
    del found[b"transfer-encoding"]
    block = _TRANSFER_ENCODING_LINE.sub(b"", block)
    return block, find_notable_lines(b"\n" + block)


def merge_lengths(
    block: bytes, lines: list[FieldLine], found: dict[bytes, list[bytes]]
) -> tuple[bytes, list[FieldLine]]:
    """Merge several equal values of Content-Length into one (RFC 9112 6.3 rule 5)."""
    values = found.get(b"content-length")
    if values is None or (len(values) == 1 and b"," not in values[0]):
        return block, lines
    lengths = list_members(values)
    if len(lengths) < 2 or len(set(lengths)) > 1:  # noqa: PLR2004 - nothing to merge
        return block, lines
    found[b"content-length"] = lengths[:1]
    block = _CONTENT_LENGTH_LINE.sub(b"", block) + b"Content-Length: %b\r\n" % lengths[0]
    return block, find_notable_lines(b"\n" + block)


def space_coding(
    block: bytes, lines: list[FieldLine], found: dict[bytes, list[bytes]]
) -> tuple[bytes, list[FieldLine]]:
    """Write the only coding without unusual white space around it, which some readers refuse."""
    (coding,) = found[b"transfer-encoding"]
    if all(value == b" " + coding for name, value in lines if name.lower() == b"transfer-encoding"):
        return block, lines
    block = _TRANSFER_ENCODING_LINE.sub(b"Transfer-Encoding: %b\r\n" % coding, block)
    return block, find_notable_lines(b"\n" + block)


def settle_codings(
    block: bytes, lines: list[FieldLine], found: dict[bytes, list[bytes]]
) -> tuple[bytes, list[FieldLine]]:
    """Leave one ``Transfer-Encoding: chunked``, or none, in an answer that has one.

    ``identity`` before it has no meaning and is removed (RFC 2616 3.6). A length beside chunked is removed
    (RFC 9112 6.3 rule 3), unless two lengths differ.
    """
    codings = list_members(found[b"transfer-encoding"])
    while codings[:1] == [b"identity"]:
        del codings[0]
    lengths = set(list_members(found.get(b"content-length", ())))
    if codings not in ([], [b"chunked"]) or (codings and len(lengths) > 1):
        return block, lines
    del found[b"transfer-encoding"]
    block = _TRANSFER_ENCODING_LINE.sub(b"", block)
    if codings:
        found[b"transfer-encoding"] = codings
        found.pop(b"content-length", None)
        block = _CONTENT_LENGTH_LINE.sub(b"", block) + b"Transfer-Encoding: chunked\r\n"
    return block, find_notable_lines(b"\n" + block)
