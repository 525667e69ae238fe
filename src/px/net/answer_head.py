"""The head of an answer, as a client of Px gets it."""

from __future__ import annotations

from collections.abc import Sequence

from px.core.connection_login import offers_connection_login
from px.core.head import ResponseHead
from px.core.head_format import format_response
from px.net.service import Service

_UNAUTHORIZED = 401
_NOTHING: frozenset[bytes] = frozenset()
_DECODED = frozenset((b"transfer-encoding", b"trailer"))
_SUPPORTS_LOGIN = (b"Proxy-Support", b"Session-Based-Authentication")  # RFC 4559 6


def format_answer(
    head: ResponseHead,
    service: Service,
    fields: Sequence[tuple[bytes, bytes]],
    *,
    keep: bool,
    minor_version: int,
) -> bytes:
    """Format the head of an answer.

    Args:
        head: As the next hop sent it.
        service: Knows who this Px is.
        fields: To be set besides.
        keep: Whether the client's connection stays open.
        minor_version: Of the client's HTTP/1.
    """
    if head.status == _UNAUTHORIZED and offers_connection_login(head):
        fields = (*fields, _SUPPORTS_LOGIN)
    return format_response(
        head,
        via=service.format_via(head.minor_version),
        connection=b"close" if not keep else b"keep-alive" if minor_version == 0 else b"",
        drop=_NOTHING if minor_version else _DECODED,
        set_fields=fields,
        keep_proxy_authenticate=not service.logs_in,
    )
