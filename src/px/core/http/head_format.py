"""Heads as Px forwards them: the sender's head without the parts meant for Px alone.

The order, case, repetition and spelling of fields stay. Px removes the hop-by-hop fields (RFC 9110 7.6.1) and
the logins at the proxy before it. A field of Px's own takes the place of the field it replaces, or comes
last. Px speaks HTTP/1.1 on both sides, whatever version it received (RFC 9112 2.3, RFC 9110 6.2).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from px.core.http.fields import NOTABLE_FIELDS, Fields
from px.core.http.framing import NO_BODY
from px.core.http.grammar import OWS
from px.core.http.request_head import RequestHead
from px.core.http.response_head import ResponseHead

#: Fields for one connection only, lower-case. Transfer-Encoding is one of them, but stays: bodies are
#: forwarded in the coding in which they arrive, unless the caller decodes them.
HOP_BY_HOP = frozenset((b"connection", b"proxy-connection", b"keep-alive", b"te", b"upgrade"))
#: Logins at a proxy and the answers to them, meant for the proxy before Px or for Px (RFC 9110 11.7).
PROXY_LOGIN = frozenset((b"proxy-authorization", b"proxy-authenticate", b"proxy-authentication-info"))

# Fields that Connection cannot remove, even if it lists them: "a sender MUST NOT send a connection option
# corresponding to a field intended for all recipients" (RFC 9110 7.6.1). Otherwise a client could remove the
# fields by which the next hop decides: host, length, login, the sender's address.
_END_TO_END = frozenset(
    b"accept accept-charset accept-encoding accept-language accept-ranges age allow authorization"
    b" cache-control content-disposition content-encoding content-language content-length content-location"
    b" content-range content-security-policy content-type cookie date etag expect expires forwarded from host"
    b" if-match if-modified-since if-none-match if-range if-unmodified-since last-modified location"
    b" max-forwards origin pragma range referer retry-after server set-cookie strict-transport-security"
    b" trailer transfer-encoding user-agent vary via www-authenticate x-forwarded-for x-forwarded-host"
    b" x-forwarded-proto x-real-ip".split()
)
_NOT_LISTED = _END_TO_END | HOP_BY_HOP | PROXY_LOGIN | {b"close"}

_HOP_AND_LOGIN = HOP_BY_HOP | PROXY_LOGIN
_NONE: frozenset[bytes] = frozenset()
_OF_A_BODY = frozenset((b"content-length", b"transfer-encoding"))

_UPGRADE = frozenset((b"upgrade",))
# RFC 9110 10.1.1: the expectation of an HTTP/1.0 client is ignored, so Px does not forward it as one of
# HTTP/1.1. An expectation without a body is not allowed: some proxies close after a 407 to it, because a body
# may follow.
_EXPECT = frozenset((b"expect",))

#: A member of Proxy-Status (RFC 9209 2) that names Px: a token, or a string.
_OF_PX = re.compile(rb"""(?i)(?:^|,)[ \t]*"?px"?[ \t]*(?:[;,]|$)""")
_PROXY_STATUS = frozenset((b"proxy-status",))

_UPGRADE_STATUSES = (101, 426)  # RFC 9110 15.2.2, 15.5.22
_NO_CONTENT = 204

#: The fields to put in, by lower-case name: the name to write, and the value.
_Put = dict[bytes, tuple[bytes, bytes]]


def format_request(  # noqa: PLR0913 - a request line in words; all but two are options
    head: RequestHead,
    target: bytes,
    *,
    host: bytes,
    via: bytes | None = None,
    connection: bytes = b"",
    drop: frozenset[bytes] = _NONE,
    set_fields: Sequence[tuple[bytes, bytes]] = (),
    keep_proxy_authorization: bool = False,
) -> bytes:
    """Return a request for the next hop, the empty line included.

    ``TE: trailers`` and an Upgrade that the client listed in Connection are forwarded with their connection
    options (RFC 9110 10.1.4, 7.8). TE, Upgrade and Expect of an HTTP/1.0 client are not forwarded, nor is an
    Expect without a body.

    Args:
        head: The client's head.
        target: The target in the form that the next hop wants (RFC 9112 3.2).
        host: The value of Host, in place of the client's (RFC 9112 3.2.2); the first field if it sent none.
        via: The value of a Via line to append, such as ``1.1 px-ab12cd`` (RFC 9110 7.6.3).
        connection: A connection option to add, ``close`` or ``keep-alive``.
        drop: More fields to remove, lower-case; ``upgrade`` to prevent the upgrade, ``expect``...
        set_fields: Names and values, each name once. Each replaces the client's field of that name in place,
            or is appended: User-Agent, Max-Forwards, Expect, Proxy-Authorization...
        keep_proxy_authorization: Whether the client itself logs in at the next hop.
    """
    put: _Put = {name.lower(): (name, value) for name, value in set_fields}
    put[b"host"] = (b"Host", host)
    dropped = drop | (HOP_BY_HOP if keep_proxy_authorization else _HOP_AND_LOGIN)
    options = [connection] if connection else []
    if b"expect" in head.notable and (head.minor_version == 0 or head.framing is NO_BODY):
        dropped |= _EXPECT
    if head.minor_version:
        dropped = _put_te_and_upgrade(head, drop, dropped, put, options)
    if options:
        put[b"connection"] = (b"Connection", b", ".join(options))
    text = _edit(b"%b %b HTTP/1.1\r\n%b" % (head.method, target, head.block), head, dropped, put)
    if b"host" in put:  # the client sent none; Host comes first (RFC 9110 7.2)
        del put[b"host"]
        text = text.replace(b"\r\n", b"\r\nHost: %b\r\n" % host, 1)
    return b"%b%b\r\n" % (text, _format_appended(put, via))


def format_response(
    head: ResponseHead,
    *,
    via: bytes | None = None,
    connection: bytes = b"",
    drop: frozenset[bytes] = _NONE,
    set_fields: Sequence[tuple[bytes, bytes]] = (),
    keep_proxy_authenticate: bool = False,
) -> bytes:
    """Return a response for the client, the empty line included.

    A 101 and a 426 keep their Upgrade. A 1xx and a 204 lose Content-Length and Transfer-Encoding, which they
    must not have (RFC 9110 8.6, RFC 9112 6.1); the caller drops them from a 2xx answer to CONNECT. An answer
    of another hop loses a Proxy-Status that names Px, so that only Px's own answers have one.

    Args:
        head: The next hop's head.
        via: The value of a Via line to append, such as ``1.1 px-ab12cd``.
        connection: A connection option to add, ``close`` or ``keep-alive``.
        drop: More fields to remove, lower-case; ``transfer-encoding`` and ``trailer`` for a decoded body.
        set_fields: Names and values, each name once. Each replaces the field of that name in place, or is
            appended.
        keep_proxy_authenticate: Whether the client itself logs in at the next hop.
    """
    put: _Put = {name.lower(): (name, value) for name, value in set_fields}
    dropped = drop | (HOP_BY_HOP if keep_proxy_authenticate else _HOP_AND_LOGIN)
    options = [connection] if connection else []
    status = head.status
    if status < 200 or status == _NO_CONTENT:  # noqa: PLR2004 - 1xx
        dropped |= _OF_A_BODY
    if any(map(_OF_PX.search, head.notable.get(b"proxy-status", ()))):
        dropped |= _PROXY_STATUS
    if status in _UPGRADE_STATUSES and b"upgrade" in head.notable and b"upgrade" not in drop:
        dropped -= _UPGRADE
        options.append(b"Upgrade")
    if options:
        put[b"connection"] = (b"Connection", b", ".join(options))
    text = _edit(b"HTTP/1.1 %d %b\r\n%b" % (status, head.reason, head.block), head, dropped, put)
    return b"%b%b\r\n" % (text, _format_appended(put, via))


def _put_te_and_upgrade(
    head: RequestHead, drop: frozenset[bytes], dropped: frozenset[bytes], put: _Put, options: list[bytes]
) -> frozenset[bytes]:
    """Keep the two hop-by-hop fields that Px can serve, and add their connection options."""
    if head.upgrade is not None and b"upgrade" not in drop:
        dropped -= _UPGRADE
        options.append(b"Upgrade")
    if b"te" in head.notable and b"te" not in drop and b"trailers" in head.tokens(b"te"):
        put[b"te"] = (b"TE", b"trailers")
        options.append(b"TE")
    return dropped


def _edit(text: bytes, head: Fields, dropped: frozenset[bytes], put: _Put) -> bytes:
    """Return `text`, a first line and the block, without dropped lines; take the fields placed from `put`."""
    dropped = dropped.union(put, head.connection_options - _NOT_LISTED)
    pieces = []
    copied_to = searched_to = 0
    for name, value in head.lines if dropped <= NOTABLE_FIELDS else head.all_lines():
        lower_name = name.lower()
        if lower_name not in dropped:
            continue
        # The next line with this name is this line: an earlier one would have come earlier in the loop.
        start = text.index(b"\n%b:" % name, searched_to) + 1
        searched_to = start + len(name) + 1 + len(value)
        new = put.pop(lower_name, None) if lower_name in put else None
        if new is None:
            pieces.append(text[copied_to:start])
        elif new[1] == value.strip(OWS):
            continue
        else:
            pieces += (text[copied_to : start + len(name)], b": ", new[1], b"\r\n")
        copied_to = searched_to + 2
    pieces.append(text[copied_to:])
    return b"".join(pieces)


def _format_appended(put: _Put, via: bytes | None) -> bytes:
    appended = b"".join([b"%b: %b\r\n" % field for field in put.values()])
    return appended if via is None else b"%bVia: %b\r\n" % (appended, via)
