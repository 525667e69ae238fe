"""Parses request heads strictly, and finds the few facts that a proxy needs; see `px.core.http.head`.

If two parsers understand a message differently, a request can be smuggled past the one that checks (RFC 9112
11.2). So Px refuses a request with two readings. A request with one reading, but without the spelling of
RFC 9112, is repaired: see `px.core.http.request_repair` and `px.core.http.framing_repair`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from px.core.errors import BadRequestError
from px.core.http.fields import Fields, find_notable_lines, group_values, parse_options
from px.core.http.framing import NO_BODY, Framing, FramingKind, list_members, request_framing
from px.core.http.framing_repair import drop_identity, merge_lengths, space_coding
from px.core.http.grammar import MAX_EMPTY_LINES, TOKEN
from px.core.http.head import BLOCK_AND_END, MAX_FIELDS, MAX_HEAD_BYTES, HeadReader, size_limit
from px.core.http.head_fault import explain_noise, explain_request
from px.core.http.request_repair import drop_fragment, has_bare_lines, repair_request
from px.core.http.target import Authority, TargetForm, parse_target

_REQUEST = re.compile(
    rb"(?:\r\n){0,%d}+(" % MAX_EMPTY_LINES + TOKEN + rb") ([!-~]++) HTTP/1\.([01])" + BLOCK_AND_END
)
_REQUEST_BEGINNING = re.compile(rb"(?:\r?\n)*+(?:\r?\Z|" + TOKEN + rb"(?: |\Z))")
# Octets that suffice to tell noise from a request; looking at more would cost more with each octet.
_BEGINNING_BYTES = 64


@dataclass(slots=True, repr=False, eq=False)
class RequestHead(Fields):
    """A request without its body.

    Attributes:
        method: The method as received; methods are case-sensitive.
        target: The target as received, but without a fragment, and in ASCII.
        minor_version: 0 or 1.
        form: The form of the target.
        scheme: The lower-case scheme of an absolute-form target; empty for the other forms.
        authority: The destination of the request: that of the URL, of CONNECT's target, or of Host.
        origin_target: The target to send to an origin: path and query, or ``*``; empty for CONNECT.
        framing: The framing of the body; a CONNECT has none.
        keep_alive: Whether the client wants, and may have, its connection kept (RFC 9112 9.3).
        expects_continue: Whether the client waits for a 100 before it sends its body (RFC 9110 10.1.1).
        upgrade: The value of Upgrade if Connection lists it (RFC 9110 7.8), else None.
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

    @property
    def needs_http_proxy(self) -> bool:
        """Whether only an upstream can serve the request: Px does not speak the scheme of the URL."""
        return self.method != b"CONNECT" and self.scheme != b"http"

    def __repr__(self) -> str:
        """Return a text without path, query and fields, which may contain secrets."""
        method, authority = self.method.decode("ascii"), self.authority.to_bytes().decode("ascii")
        return f"<RequestHead {method} {authority} HTTP/1.{self.minor_version} {self.framing.kind.value}>"


def looks_like_noise(buffer: bytes | bytearray) -> bool:
    """Return whether the first bytes, even one, can never become a request (TLS, SOCKS, binary)."""
    return _REQUEST_BEGINNING.match(buffer, 0, _BEGINNING_BYTES) is None


def check_request_beginning(reader: HeadReader) -> None:
    """Check an incomplete request head, each time more bytes have come.

    Raises:
        BadRequestError: 400 for noise or mixed line ends; 414 or 431 beyond the limits.
    """
    if looks_like_noise(reader.received):
        raise explain_noise(reader.received.lstrip(b"\r\n"))
    if reader.has_odd_line_end:
        raise BadRequestError("The lines of the request do not all end with CRLF.")
    if reader.is_too_long:
        raise _explain_length(reader.received)


def parse_request(head: bytes) -> RequestHead:
    """Return a parsed request head, given with its empty line.

    Raises:
        BadRequestError: RFC 9110 or 9112 forbids the request, or Px does not support it; `status` is the
            answer's.
    """
    if len(head) > MAX_HEAD_BYTES and len(head) > size_limit(head):
        raise _explain_length(head)
    match = _REQUEST.fullmatch(head)
    if match is None:
        return _parse_repaired(head)
    method, target, minor, block = match.groups()
    if block.count(b"\n") > MAX_FIELDS:
        raise BadRequestError(f"The request has more than {MAX_FIELDS} fields.", status=431)
    lines = find_notable_lines(head, match.start(4) - 1)
    found = group_values(lines)
    minor_version = int(minor)
    if b"#" in target:
        target = drop_fragment(target)
    host = _single_host(method, found, minor_version)
    form, scheme, authority, origin_target = parse_target(method, target, host)
    lengths = found.get(b"content-length")
    if lengths and (len(lengths) > 1 or b"," in lengths[0] or b"transfer-encoding" in found):
        block, lines = merge_lengths(*drop_identity(block, lines, found), found)
    framing = request_framing(method, found, minor_version)
    if framing.kind is FramingKind.CHUNKED:
        block, lines = space_coding(block, lines, found)
    options = parse_options(found, b"connection")
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
        _is_kept_by_client(minor_version, options, parse_options(found, b"proxy-connection")),
        b"expect" in found
        and _expects_continue(found[b"expect"])
        and minor_version == 1
        and framing is not NO_BODY,
        (b", ".join(found.get(b"upgrade", ())) or None) if minor_version and b"upgrade" in options else None,
    )


def _parse_repaired(head: bytes) -> RequestHead:
    repaired = repair_request(head)
    if _REQUEST.fullmatch(repaired) is None:
        raise explain_request(repaired)
    request = parse_request(repaired)
    if has_bare_lines(head) and request.framing is not NO_BODY:
        raise BadRequestError("The lines of the request end with a bare LF, and it has a body.")
    return request


def _explain_length(received: bytes | bytearray) -> BadRequestError:
    if received.find(b"\n", 0, MAX_HEAD_BYTES) < 0:
        return BadRequestError(f"The request line is longer than {MAX_HEAD_BYTES // 1024} KiB.", status=414)
    return BadRequestError(
        f"The head of the request is longer than {size_limit(received) // 1024} KiB.",
        "Clear the cookies of that site, or make the request's fields shorter.",
        status=431,
    )


def _single_host(method: bytes, found: Mapping[bytes, list[bytes]], minor_version: int) -> bytes | None:
    """Return the Host field, exactly one (RFC 9112 3.2); HTTP/1.0 and CONNECT may do without it."""
    hosts = found.get(b"host")
    if hosts is None:
        if minor_version == 1 and method != b"CONNECT":
            raise BadRequestError("The request has no Host field.")
        return None
    if len(hosts) > 1:
        raise BadRequestError("The request has more than one Host field.")
    return hosts[0]


def _is_kept_by_client(minor_version: int, options: frozenset[bytes], legacy: frozenset[bytes]) -> bool:
    """Return whether to keep the connection: RFC 9112 9.3, and Proxy-Connection for old clients (C.2.2).

    A proxy must not trust the ``Connection: keep-alive`` of an HTTP/1.0 client, which an old proxy may have
    forwarded blindly. Proxy-Connection is meant for proxies.
    """
    if b"close" in options or b"close" in legacy:
        return False
    return minor_version == 1 or b"keep-alive" in legacy


def _expects_continue(values: list[bytes]) -> bool:
    expectations = list_members(values)
    if any(expectation != b"100-continue" for expectation in expectations):
        raise BadRequestError("The request expects something other than 100-continue.", status=417)
    return bool(expectations)
