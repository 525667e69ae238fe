"""Heads of requests and responses: strict bytes in, the few facts that a proxy needs out.

One compiled pattern validates a whole head; a second finds the fields that Px must look at. All other fields
are never taken apart: a head keeps the block of its field lines as received, and `px.core.head_format` copies
it with only the hop-by-hop lines cut out. Targets are read by `px.core.target`, bodies by `px.core.framing`.

What is refused, and why it is: two parsers that understand one message differently let a request be smuggled
past the one that checks (RFC 9112 11.2). So nothing ambiguous is repaired in a request. In a response the
repairs that RFC 9112 tells a proxy to make are made (folded lines, white space before a colon, a repeated
equal Content-Length), and the block has them made.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from px.core.errors import BadRequestError, BadResponseError
from px.core.fields import FieldLine, Fields, find_notable_lines, group_values
from px.core.framing import NO_BODY, Framing, FramingKind, list_members, request_framing, response_framing
from px.core.grammar import FIELD_LINE, FIELD_VALUE, MAX_EMPTY_LINES, TOKEN
from px.core.head_fault import explain_noise, explain_request, explain_response
from px.core.target import Authority, TargetForm, parse_target

MAX_HEAD_BYTES = 64 * 1024
#: For a head that carries a Negotiate token: a Kerberos ticket with many groups fills 64 KiB alone.
MAX_HEAD_BYTES_WITH_TOKEN = 128 * 1024
MAX_FIELDS = 200

_BLOCK_AND_END = rb"\r\n((?:" + FIELD_LINE + rb")*+)\r\n"
_REQUEST = re.compile(
    rb"(?:\r\n){0,%d}+(" % MAX_EMPTY_LINES + TOKEN + rb") ([!-~]++) HTTP/1\.([01])" + _BLOCK_AND_END
)
# The space after the status is missing from real answers, and the reason too (RFC 9112 4 wants the space).
_RESPONSE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: (" + FIELD_VALUE + rb"))?" + _BLOCK_AND_END)

_EMPTY_LINES = re.compile(rb"(?:\r\n){0,%d}+" % MAX_EMPTY_LINES)
_REQUEST_BEGINNING = re.compile(rb"(?:\r\n)*+(?:\r?\Z|" + TOKEN + rb"(?: |\Z))")
_NEGOTIATE_TOKEN = re.compile(
    rb"\n(?i:(?:proxy-)?authorization|(?:www|proxy)-authenticate):[ \t]*+(?i:negotiate) ++[A-Za-z0-9+/]"
)
_SPACE_BEFORE_COLON = re.compile(rb"(?m)^(" + TOKEN + rb")[ \t]++:")
_FOLD = re.compile(rb"\r\n[ \t]++")
_CONTENT_LENGTH_LINE = re.compile(rb"(?im)^content-length:[^\r]*+\r\n")

_SWITCHING_PROTOCOLS = 101
_NO_CONTENT = 204
_NOT_MODIFIED = 304
_NO_OPTIONS: frozenset[bytes] = frozenset()
# Nearly all Connection fields there are, taken apart beforehand.
_USUAL_OPTIONS = {
    value: frozenset((value.lower(),))
    for value in (b"keep-alive", b"Keep-Alive", b"close", b"Close", b"Upgrade")
}


@dataclass(slots=True, repr=False, eq=False)
class RequestHead(Fields):
    """A request without its body.

    Attributes:
        method: As received; methods are case-sensitive.
        target: As received.
        minor_version: 0 or 1.
        form: Form of the target.
        scheme: Lower-case scheme of an absolute-form target; empty for the other forms.
        authority: Where the request goes: of the URL, of CONNECT's target, or of Host.
        origin_target: What to send to an origin: path and query, or ``*``; empty for CONNECT.
        framing: Of the body; a CONNECT has none.
        keep_alive: The client wants, and may have, its connection kept (RFC 9112 9.3).
        expects_continue: The client waits for a 100 before it sends its body (RFC 9110 10.1.1).
        upgrade: Value of Upgrade if Connection lists it (RFC 9110 7.8), else None.
    """

    method: bytes
    target: bytes
    minor_version: int
    form: TargetForm
    scheme: bytes
    authority: Authority
    origin_target: bytes
    framing: Framing
    keep_alive: bool
    expects_continue: bool
    upgrade: bytes | None

    def __repr__(self) -> str:
        """Without path, query and fields: they may hold secrets."""
        method, authority = self.method.decode("ascii"), self.authority.to_bytes().decode("ascii")
        return f"<RequestHead {method} {authority} HTTP/1.{self.minor_version} {self.framing.kind.value}>"


@dataclass(slots=True, repr=False, eq=False)
class ResponseHead(Fields):
    """A response without its body.

    Attributes:
        status: 100 to 999.
        reason: As received; often empty.
        minor_version: 0 or 1.
        framing: Of the body, for the method of the request.
        keep_alive: The connection can be used again after the body; never after a 101 or a CONNECT's 2xx.
        is_interim: It is 1xx but not 101: another response follows.
    """

    status: int
    reason: bytes
    minor_version: int
    framing: Framing
    keep_alive: bool
    is_interim: bool

    def __repr__(self) -> str:
        """Without the fields: they may hold secrets."""
        return f"<ResponseHead {self.status} HTTP/1.{self.minor_version} {self.framing.kind.value}>"


def find_head_end(buffer: bytes | bytearray, start: int = 0) -> int:
    """Find where a head ends.

    Empty lines before a request line belong to the head (RFC 9112 2.2). When the end is not there yet, call
    `check_head_size` or `check_response_head_size`, receive more, and call again with the same `start`.

    Args:
        buffer: What was received.
        start: Where in it the head begins.

    Returns:
        Index just after the head's empty line, or -1.
    """
    if buffer.startswith(b"\r\n", start):
        empty_lines = _EMPTY_LINES.match(buffer, start)
        start = empty_lines.end() if empty_lines else start
    end = buffer.find(b"\r\n\r\n", start)
    return end + 4 if end >= 0 else -1


def looks_like_noise(buffer: bytes | bytearray) -> bool:
    """Tell from the first few bytes, even one, that this will never be a request (TLS, SOCKS, binary)."""
    return _REQUEST_BEGINNING.match(buffer) is None


def check_head_size(received: bytes | bytearray) -> None:
    """Check a request head whose end was not found yet; each time something was received.

    Raises:
        BadRequestError: 400 noise, or a line that ends without CR; 414 or 431 beyond the limits.
    """
    if looks_like_noise(received):
        raise explain_noise(received.lstrip(b"\r\n"))
    if _ends_line_with_lf(received):
        raise BadRequestError("The request line has an LF without a CR before it.")
    _check_request_size(received)


def check_response_head_size(received: bytes | bytearray) -> None:
    """Check a response head whose end was not found yet; each time something was received.

    Raises:
        BadResponseError: beyond the limits, or not the beginning of HTTP.
    """
    if received[:5] != b"HTTP/"[: len(received)]:
        raise BadResponseError("The answer does not begin with an HTTP version.")
    if _ends_line_with_lf(received):
        raise BadResponseError("The status line has an LF without a CR before it.")
    _check_response_size(received)


def parse_request(head: bytes) -> RequestHead:
    """Parse a request head, the empty line included.

    Raises:
        BadRequestError: whatever RFC 9110 and 9112 forbid, or Px does not do; `status` is the answer's.
    """
    if len(head) > MAX_HEAD_BYTES:
        _check_request_size(head)
    match = _REQUEST.fullmatch(head)
    if match is None:
        raise explain_request(head)
    method, target, minor, block = match.groups()
    if block.count(b"\n") > MAX_FIELDS:
        raise BadRequestError(f"The request has more than {MAX_FIELDS} fields.", status=431)
    lines = find_notable_lines(head, match.start(4) - 1)
    found = group_values(lines)
    minor_version = int(minor)
    form, scheme, authority, origin_target = parse_target(method, target, _single_host(found, minor_version))
    framing = request_framing(method, found, minor_version)
    options = _options(found, b"connection")
    return RequestHead(
        block,
        lines,
        found,
        options,
        method,
        target,
        minor_version,
        form,
        scheme,
        authority,
        origin_target,
        framing,
        _is_kept_by_client(minor_version, options, _options(found, b"proxy-connection")),
        _expects_continue(found) and minor_version == 1 and framing is not NO_BODY,
        (b", ".join(found.get(b"upgrade", ())) or None) if minor_version and b"upgrade" in options else None,
    )


def parse_response(head: bytes, method: bytes) -> ResponseHead:
    """Parse a response head, the empty line included.

    Args:
        head: As received.
        method: Of the request that it answers; it decides about the body.

    Raises:
        BadResponseError: whatever makes it unclear where the body ends, or is not HTTP/1.
    """
    if len(head) > MAX_HEAD_BYTES:
        _check_response_size(head)
    match = _RESPONSE.fullmatch(head)
    if match is None:
        head = _repair_lines(head)
        match = _RESPONSE.fullmatch(head)
    if match is None:
        raise explain_response(head)
    minor, digits, reason, block = match.groups()
    if block.count(b"\n") > MAX_FIELDS:
        raise BadResponseError(f"The answer has more than {MAX_FIELDS} fields.")
    lines = find_notable_lines(head, match.start(4) - 1)
    found = group_values(lines)
    minor_version, status = int(minor), int(digits)
    begins_tunnel = status == _SWITCHING_PROTOCOLS or (method == b"CONNECT" and 200 <= status < 300)  # noqa: PLR2004
    if begins_tunnel or status < 200 or status == _NO_CONTENT:  # noqa: PLR2004 - 1xx
        framing = NO_BODY  # RFC 9112 6.3 rules 1 and 2: whatever the fields say
    else:
        block, lines = _merge_lengths(block, lines, found)
        framing = response_framing(found, minor_version)
        if method == b"HEAD" or status == _NOT_MODIFIED:
            framing = NO_BODY
    options = _options(found, b"connection")
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
        and _is_kept_by_hop(minor_version, options, _options(found, b"proxy-connection")),
        status < 200 and not begins_tunnel,  # noqa: PLR2004 - 1xx
    )


def _ends_line_with_lf(received: bytes | bytearray) -> bool:
    """Whoever ends lines so ends the first one so; the end of such a head would be waited for in vain."""
    end = received.find(b"\n")
    return end >= 0 and not received.endswith(b"\r", 0, end)


def _check_request_size(received: bytes | bytearray) -> None:
    if len(received) <= _size_limit(received):
        return
    if received.find(b"\r\n", 0, MAX_HEAD_BYTES) < 0:
        raise BadRequestError(f"The request line is longer than {MAX_HEAD_BYTES // 1024} KiB.", status=414)
    raise BadRequestError(
        f"The head of the request is longer than {_size_limit(received) // 1024} KiB.",
        "Clear the cookies of that site, or make the request's fields shorter.",
        status=431,
    )


def _check_response_size(received: bytes | bytearray) -> None:
    if len(received) > _size_limit(received):
        raise BadResponseError(f"The head of the answer is longer than {_size_limit(received) // 1024} KiB.")


def _size_limit(received: bytes | bytearray) -> int:
    if len(received) > MAX_HEAD_BYTES and _NEGOTIATE_TOKEN.search(received):
        return MAX_HEAD_BYTES_WITH_TOKEN
    return MAX_HEAD_BYTES


def _options(found: Mapping[bytes, list[bytes]], name: bytes) -> frozenset[bytes]:
    values = found.get(name)
    if values is None:
        return _NO_OPTIONS
    usual = _USUAL_OPTIONS.get(values[0]) if len(values) == 1 else None
    return frozenset(list_members(values)) if usual is None else usual


def _single_host(found: Mapping[bytes, list[bytes]], minor_version: int) -> bytes | None:
    """RFC 9112 3.2: exactly one Host; HTTP/1.0 may do without."""
    hosts = found.get(b"host")
    if hosts is None:
        if minor_version == 1:
            raise BadRequestError("The request has no Host field.")
        return None
    if len(hosts) > 1:
        raise BadRequestError("The request has more than one Host field.")
    return hosts[0]


def _is_kept_by_client(minor_version: int, options: frozenset[bytes], legacy: frozenset[bytes]) -> bool:
    """RFC 9112 9.3, and Proxy-Connection for the old clients that still say it (C.2.2).

    The ``Connection: keep-alive`` of an HTTP/1.0 client may come from a client behind an old proxy that
    passed it on blindly, so a proxy must not believe it; Proxy-Connection was made to be said to proxies.
    """
    if b"close" in options or b"close" in legacy:
        return False
    return minor_version == 1 or b"keep-alive" in legacy


def _is_kept_by_hop(minor_version: int, options: frozenset[bytes], legacy: frozenset[bytes]) -> bool:
    """As `_is_kept_by_client`; old proxies answer HTTP/1.0 with either field while they do NTLM."""
    if b"close" in options or b"close" in legacy:
        return False
    return minor_version == 1 or b"keep-alive" in options or b"keep-alive" in legacy


def _expects_continue(found: Mapping[bytes, list[bytes]]) -> bool:
    values = found.get(b"expect")
    if not values:
        return False
    expectations = list_members(values)
    if any(expectation != b"100-continue" for expectation in expectations):
        raise BadRequestError("The request expects something other than 100-continue.", status=417)
    return bool(expectations)


def _repair_lines(head: bytes) -> bytes:
    """Do what a proxy must do with the names (RFC 9112 5.1) and folded values (5.2) of a response.

    In this order: a name is never folded.
    """
    status_line, end, block = head.partition(b"\r\n")
    return status_line + end + _FOLD.sub(b" ", _SPACE_BEFORE_COLON.sub(rb"\1:", block))


def _merge_lengths(
    block: bytes, lines: list[FieldLine], found: dict[bytes, list[bytes]]
) -> tuple[bytes, list[FieldLine]]:
    """Make one Content-Length of several equal ones (RFC 9112 6.3 rule 5)."""
    values = found.get(b"content-length")
    if values is None or (len(values) == 1 and b"," not in values[0]):
        return block, lines
    lengths = list_members(values)
    if len(lengths) < 2 or len(set(lengths)) > 1:  # noqa: PLR2004 - nothing to merge
        return block, lines
    found[b"content-length"] = lengths[:1]
    block = _CONTENT_LENGTH_LINE.sub(b"", block) + b"Content-Length: %b\r\n" % lengths[0]
    return block, find_notable_lines(b"\n" + block)
