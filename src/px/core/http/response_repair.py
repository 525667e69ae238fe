"""Rewrites response heads as origins really send them in the spelling of RFC 9112.

Clients always get a strict head, so readers after Px cannot differ about it. Readers before Px may have
understood the head differently. That matters only for the next answer over the same connection: see
`ResponseHead.is_repaired`. A head with more than one reading is refused.
"""

from __future__ import annotations

import re

from px.core.errors import BadResponseError
from px.core.http.grammar import FIELD_VALUE, TOKEN
from px.core.http.head_fault import explain_response

_CR_OR_NUL = re.compile(rb"\r(?!\n)|\0")
_STATUS_LINE = re.compile(rb"(?i:HTTP)/1\.([0-9]) ++([1-9][0-9]{2})(?:[ \t](" + FIELD_VALUE + rb"))?")
_FIELD = re.compile(rb"([^\n]++)\n((?:[ \t][^\n]*+\n)*+)")
_FOLD = re.compile(rb"\n[ \t]*+")
_NAME = re.compile(rb"(" + TOKEN + rb")[ \t]*+")
_NOT_IN_A_NAME = re.compile(rb"[^!#$%&'*+\-.^_`|~0-9A-Za-z]++")
_CONTROLS = bytes((*range(ord("\t")), *range(ord("\n"), ord(" ")), 127))
_CONTROLS_TO_SPACES = bytes.maketrans(_CONTROLS, b" " * len(_CONTROLS))

_FRAMING_FIELDS = (b"content-length", b"transfer-encoding")
_FOLDED_FRAMING_FIELD = re.compile(rb"(?im)^[ \t]++(?:content-length|transfer-encoding)[ \t]*+:")


def repair_lines(head: bytes) -> bytes:
    """Return a response head with strict lines.

    Bare LFs become CRLFs. Folded lines are unfolded, and white space before a colon is removed, as RFC 9112
    5.2 and 5.1 require of a proxy. Control characters in values become spaces (RFC 9110 5.5). Lines that no
    recipient takes for a field are dropped. Minor versions from 2 on become 1 (RFC 9110 2.5).

    Raises:
        BadResponseError: The head has more than one reading, or is not HTTP/1.
    """
    status_line, _, block = head.replace(b"\r\n", b"\n").partition(b"\n")
    match = _STATUS_LINE.fullmatch(status_line.translate(_CONTROLS_TO_SPACES))
    is_whole = (b"\n" + block).find(b"\n\n") == len(block) - 1
    if match is None or not block or not is_whole or _CR_OR_NUL.search(head):
        raise explain_response(head)
    minor, status, reason = match.groups(default=b"")
    first = b"HTTP/1.%b %b %b\r\n" % (minor if minor == b"0" else b"1", status, reason)
    return b"%b%b\r\n" % (first, b"".join([_repair_field(*field) for field in _FIELD.findall(block)]))


def _repair_field(line: bytes, folds: bytes) -> bytes:
    """Return a field line with its CRLF; empty if no recipient takes the line for a field.

    Args:
        line: The line without its end.
        folds: The lines that continue its value, each with its LF. Folded lines before the first field
            continue nothing and are dropped (RFC 9112 2.2): the first of them is `line`.
    """
    name, colon, value = line.partition(b":")
    match = _NAME.fullmatch(name)
    is_framing = match is not None and match[1].lower() in _FRAMING_FIELDS
    if folds and (is_framing or _FOLDED_FRAMING_FIELD.search(folds)):  # curl reads the first line only
        raise _unclear_end("A folded line")
    if match is None or not colon:
        _check_dropped(line, name)
        return b""
    value = _FOLD.sub(b" ", b"%b\n%b" % (value, folds.rstrip(b"\n"))) if folds else value
    harmless = value.translate(_CONTROLS_TO_SPACES)
    if is_framing and harmless != value:
        raise _unclear_end("A field with a control character")
    return b"%b:%b\r\n" % (match[1], harmless)


def _check_dropped(line: bytes, name: bytes) -> None:
    """Raise an error for a line that some reader may take for more than a bad field."""
    if _NOT_IN_A_NAME.sub(b"", name).lower() in _FRAMING_FIELDS:
        raise _unclear_end("A field with a bad name")
    if line.lstrip(b" \t")[:5].upper() == b"HTTP/":
        raise BadResponseError("The answer has a status line among its fields.")


def _unclear_end(what: str) -> BadResponseError:
    return BadResponseError(f"{what} in the answer makes the end of its body unclear.")
