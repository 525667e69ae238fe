"""Describes the fault of a head that the strict patterns refused.

Only refused heads come here, so this may be slow. The texts quote nothing of a refused head but line numbers:
people see the texts, and a field may contain a secret.
"""

from __future__ import annotations

import re

from px.core.errors import BadRequestError, BadResponseError
from px.core.http.grammar import FIELD_LINE, MAX_EMPTY_LINES, TOKEN

_TOKEN = re.compile(TOKEN)
_FIELD_LINE = re.compile(FIELD_LINE)
_VERSION = re.compile(rb"HTTP/([0-9])\.([0-9])")
_RESPONSE_VERSION = re.compile(rb"(?i:HTTP)/1\.[0-9]")
_STATUS = re.compile(rb"[1-9][0-9]{2}")
_LONE_CR_OR_LF = re.compile(rb"\r(?!\n)|(?<!\r)\n")
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

_TLS_HANDSHAKE = 0x16  # content type of a TLS record, RFC 8446 5.1
_SOCKS = (0x04, 0x05)  # first octet of SOCKS 4 and of SOCKS 5, RFC 1928 3
_HINT_SCHEME = "In the client's proxy setting, write http:// before this address, for https:// URLs too."
_HINT_SOCKS = (
    "In the client's proxy setting, write http:// before this address; or let Px listen for SOCKS5 on another"
    " port with --socks."
)


def explain_noise(received: bytes | bytearray) -> BadRequestError:
    """Return the error for bytes that do not even begin like a request."""
    first_octet = received[0] if received else 0
    if first_octet == _TLS_HANDSHAKE:
        return BadRequestError(
            "The client began a TLS handshake; this is a plain HTTP proxy port.", _HINT_SCHEME
        )
    if first_octet in _SOCKS:
        return BadRequestError("The client speaks SOCKS; this is a plain HTTP proxy port.", _HINT_SOCKS)
    return BadRequestError("The client does not speak HTTP/1; this is a plain HTTP proxy port.", _HINT_SCHEME)


def explain_request(head: bytes) -> BadRequestError:
    """Return the error for a refused request head."""
    line, _, block = head.lstrip(b"\r\n").partition(b"\r\n")
    if not line or head.startswith(b"\r\n" * (MAX_EMPTY_LINES + 1)):
        return BadRequestError("The request has empty lines instead of a request line.")
    if not _TOKEN.match(line):
        return explain_noise(line)
    if fault := _octet_fault(line):
        return BadRequestError(f"The request line has {fault}.")
    parts = line.split(b" ")
    if len(parts) != 3:  # noqa: PLR2004 - RFC 9112 3
        return BadRequestError("The request line is not method, target and version with one space between.")
    method, target, version = parts
    if not _TOKEN.fullmatch(method):
        return BadRequestError("The method has a character that no method has.")
    if not target or re.search(rb"[^!-~]", target):
        return BadRequestError("The request target is not ASCII before its path: host names begin with xn--.")
    if fault_and_status := _version_fault(version):
        return BadRequestError(fault_and_status[0], status=fault_and_status[1])
    return BadRequestError(_block_fault(block))


def explain_response(head: bytes) -> BadResponseError:
    """Return the error for a response head that cannot be repaired; `head` begins with the status line."""
    line, *fields = head.replace(b"\r\n", b"\n").split(b"\n")
    for number, text in enumerate((line, *fields)):
        if fault := "a CR without an LF after it" if b"\r" in text else "a NUL" if b"\0" in text else None:
            place = f"Field line {number}" if number else "The status line"
            return BadResponseError(f"{place} has {fault}.")
    version, _, rest = line.partition(b" ")
    if not _RESPONSE_VERSION.fullmatch(version):
        return BadResponseError("The answer is not HTTP/1.0 or HTTP/1.1.")
    if not _STATUS.fullmatch(rest.lstrip(b" ").partition(b" ")[0]):
        return BadResponseError("The answer has no status of three digits.")
    return BadResponseError(_end_fault(b"\r\n".join(fields)))


def _version_fault(version: bytes) -> tuple[str, int] | None:
    match = _VERSION.fullmatch(version)
    if match is None:
        return "The request line does not end with a version such as HTTP/1.1.", 400
    if match[1] != b"1":
        return "The request has an HTTP version other than 1; Px speaks HTTP/1.1.", 505
    if match[2] not in b"01":
        return "The request has an HTTP/1 version that does not exist.", 400
    return None


def _octet_fault(line: bytes) -> str | None:
    """Return a bad control character as the end of a sentence (RFC 9112 2.2, RFC 9110 5.5), or None."""
    if lone := _LONE_CR_OR_LF.search(line):
        return "an LF without a CR before it" if lone[0] == b"\n" else "a CR without an LF after it"
    if b"\0" in line:
        return "a NUL"
    return "a control character" if _CONTROL.search(line) else None


def _block_fault(block: bytes) -> str:
    """Return the fault of the first bad field line of a block that ends with an empty line."""
    for number, line in enumerate(block.split(b"\r\n"), 1):
        if not _FIELD_LINE.fullmatch(line + b"\r\n"):
            return f"Field line {number} has {_line_fault(line)}." if line else _end_fault(block)
    return _end_fault(block)


def _end_fault(block: bytes) -> str:
    is_ended = block.startswith(b"\r\n") or b"\r\n\r\n" in block
    return f"The head {'has bytes after its' if is_ended else 'does not end with an'} empty line."


def _line_fault(line: bytes) -> str:
    if line.startswith((b" ", b"\t")):
        return "white space at its beginning (folded lines are obsolete, RFC 9112 5.2)"
    if fault := _octet_fault(line):
        return fault
    name, colon, _ = line.partition(b":")
    if not colon:
        return "no colon"
    if not name:
        return "no name"
    if name.endswith((b" ", b"\t")):
        return "white space before its colon (RFC 9112 5.1)"
    return "a character in its name that no field name has"
