"""Formats a request for a hop, in each of its forms (`px.core.http.message_form`)."""

from __future__ import annotations

from dataclasses import replace

from px.core.http.head_format import format_request
from px.core.http.message_form import MessageForm
from px.upstream.connections.connection import Connection
from px.upstream.message import Request

_EXPECT = frozenset((b"expect",))
_OF_A_LONG_BODY = _EXPECT | {b"transfer-encoding", b"trailer"}
_OF_A_BODY = _OF_A_LONG_BODY | {b"content-length"}


def method_of(request: Request, form: MessageForm) -> bytes:
    """Return the method of a message."""
    return b"GET" if form is MessageForm.GET else request.head.method


def carries_body(request: Request, form: MessageForm) -> bool:
    """Return whether a message is the request itself and has a body, so that an origin may act on it."""
    return not request.body.is_empty and form.is_whole_request


def format_message(
    request: Request,
    connection: Connection,
    form: MessageForm,
    credentials: bytes | None,
    *,
    is_bound: bool,
    in_handshake: bool,
) -> bytes:
    """Format the head of a message, the empty line included.

    Args:
        request: Of the client.
        connection: To the hop that gets the message.
        form: Of the message.
        credentials: Of Px, for Proxy-Authorization; None: none.
        is_bound: Whether the connection belongs to this client alone.
        in_handshake: Whether only the hop can answer, by a challenge: a client's Expect is cut out, as its
            body is here and goes along.
    """
    head, hop, drop = request.head, connection.hop, frozenset[bytes]()
    set_fields = [*request.set_fields]
    if _wants_kept(request, connection, is_bound=is_bound):
        set_fields.append((b"Proxy-Connection", b"keep-alive"))
    if credentials is not None:
        set_fields.append((b"Proxy-Authorization", credentials))
    if form is MessageForm.EXPECTING:
        set_fields.append((b"Expect", b"100-continue"))
    elif form is MessageForm.EMPTY:
        drop = _OF_A_LONG_BODY
        set_fields.append((b"Content-Length", b"0"))
    elif form is MessageForm.GET:
        head, drop = replace(head, method=b"GET"), _OF_A_BODY
    elif in_handshake and head.expects_continue:
        drop = _EXPECT
    return format_request(
        head,
        request.target_at(hop),
        host=request.head.authority.to_host_field(request.head.scheme),
        via=request.via,
        drop=drop,
        set_fields=set_fields,
        keep_proxy_authorization=hop.is_upstream and hop.login is None,
    )


def _wants_kept(request: Request, connection: Connection, *, is_bound: bool) -> bool:
    """Whether to ask an upstream of HTTP/1.0 to keep the connection, for a login that is bound to it.

    No other hop is asked: RFC 9112 C.2.2 has the reasons. Where clients log in themselves (auth=NONE), Px
    asks on their behalf.
    """
    hop = connection.hop
    if not hop.is_upstream:
        return False
    if hop.login is None:
        return is_bound or b"proxy-authorization" in request.head.notable
    return connection.logged_in_by is not None or hop.login.may_bind_connection
