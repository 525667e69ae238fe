"""Answers of Px itself: failures with cause and hint, and the answers that RFC 9110 wants of any hop."""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus

from px.core.errors import DIRECT, PxError, UnreachableError
from px.core.http.fields import Fields
from px.core.http.request_head import RequestHead
from px.core.http.target import TargetForm, hide_login

#: Fields that a TRACE must not show (RFC 9110 9.3.8): they likely hold secrets.
_SECRET_FIELDS = frozenset((b"authorization", b"proxy-authorization", b"cookie"))
_ALLOW = b"GET, HEAD, POST, PUT, DELETE, OPTIONS, TRACE, CONNECT, PATCH"

#: Of each page about an error: its texts may be of a web site, and it needs nothing but its style.
_PAGE_FIELDS = (
    (
        b"Content-Security-Policy",
        b"default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'",
    ),
    (b"X-Content-Type-Options", b"nosniff"),
)
#: Of the answers to requests for Px itself; the page about another host may be shown in a frame of its site.
_NO_FRAME = (b"X-Frame-Options", b"DENY")
_TO_PX_ITSELF = (TargetForm.ORIGIN, TargetForm.ASTERISK)

#: A longer reason phrase does not fit one line with what programs print before it.
MAX_REASON = 70
#: What a reason phrase may say of a hop: no control character, no user, no path.
_PLACE = re.compile(r"[A-Za-z0-9.:\[\]_-]+")
#: Why there is no connection, where RFC 9209 has a type for it.
_PHRASES_AT = {
    "dns_error": "no address found for {}",
    "tls_certificate_error": "certificate of {} is not trusted",
    "tls_protocol_error": "no TLS with {}",
    "connection_timeout": "cannot connect to {} in time",
    "proxy_loop_detected": "{} is Px itself",
}

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{status} {reason} - Px</title>
<meta name="viewport" content="width=device-width">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 42em; margin: 12vh auto; padding: 0 1.5em;
  color: #222; background: #fff }}
h1 {{ font-size: 1.3em; margin: 0 0 .6em }} h1 span {{ color: #b3261e }}
.hint {{ border-left: 3px solid #2962a8; padding-left: .9em }}
footer {{ margin-top: 3em; font-size: .85em; color: #767676 }}
@media (prefers-color-scheme: dark) {{
  body {{ color: #ddd; background: #1b1b1b }} h1 span {{ color: #ff8a80 }}
}}
</style></head><body>
<h1><span>{status}</span> {reason}</h1>
<p>{cause}</p>
{hint}<footer>Px, the local proxy on this computer. The web site did not send this page.</footer>
</body></html>
"""


def format_error(error: PxError, head: RequestHead | None, *, keep_alive: bool) -> bytes:
    """Return the whole answer to a request that failed.

    Args:
        error: The failure.
        head: The head of the request; None if it could not be read.
        keep_alive: Whether the client's connection stays open.
    """
    is_page = head is not None and b"text/html" in (head.value(b"accept") or b"")
    body = _format_page(error) if is_page else _format_text(error)
    fields = [*error.fields, (b"Proxy-Status", _format_proxy_status(error))]
    if is_page:
        fields += _PAGE_FIELDS
    if head is not None and head.form in _TO_PX_ITSELF:
        fields.append(_NO_FRAME)
    if error.retry_after is not None:
        fields.append((b"Retry-After", b"%d" % error.retry_after))
    content_type = b"text/html; charset=utf-8" if is_page else b"text/plain; charset=utf-8"
    is_head = head is not None and head.method == b"HEAD"
    answer = format_own(
        error.status, body, content_type, reason=format_reason(error), fields=fields, keep_alive=keep_alive
    )
    return answer[: -len(body)] if is_head else answer


def format_reason(error: PxError) -> str:
    """Return the reason phrase of an error: at most `MAX_REASON` safe characters, without a secret.

    It names the hop if there is room. For the origin that is its name as the client wrote it.
    """
    place = error.target if error.hop == DIRECT else error.hop.rpartition("://")[2]
    phrase_at = _PHRASES_AT.get(error.proxy_status, "") if isinstance(error, UnreachableError) else ""
    if _PLACE.fullmatch(place) and error.phrase_at:
        reason = f"Px: {(phrase_at or error.phrase_at).format(place)}"
        if len(reason) <= MAX_REASON:
            return reason
    return f"Px: {error.phrase}"


def format_own(
    status: int,
    body: bytes,
    content_type: bytes,
    *,
    reason: str = "",
    fields: list[tuple[bytes, bytes]],
    keep_alive: bool,
) -> bytes:
    """Return an answer of Px itself, head and body."""
    fields = [(b"Content-Length", b"%d" % len(body)), *fields]
    return _format_head(status, content_type, fields, reason=reason, keep_alive=keep_alive) + body


def format_endless(status: int, content_type: bytes, *, fields: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return the head of an answer of Px itself whose body ends with the connection."""
    return _format_head(status, content_type, fields, keep_alive=False)


def _format_head(
    status: int,
    content_type: bytes,
    fields: Sequence[tuple[bytes, bytes]],
    *,
    reason: str = "",
    keep_alive: bool,
) -> bytes:
    lines = [
        b"HTTP/1.1 %d %b" % (status, (reason or _reason(status)).encode("ascii")),
        b"Content-Type: " + content_type,
        b"Cache-Control: no-store",
        *(name + b": " + value for name, value in fields),
        b"Connection: " + (b"keep-alive" if keep_alive else b"close"),
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def format_established(fields: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return the answer to a CONNECT whose tunnel is open (RFC 9110 9.3.6)."""
    lines = b"".join(b"%b: %b\r\n" % field for field in fields)
    return b"HTTP/1.1 200 Connection established\r\n%b\r\n" % lines


def format_trace(head: RequestHead, *, keep_alive: bool) -> bytes:
    """Return the last hop's answer to TRACE: the request as received, without secrets (RFC 9110 9.3.8)."""
    shown = [name + b": " + value for name, value in head.pairs() if name.lower() not in _SECRET_FIELDS]
    line = b"%b %b HTTP/1.%d" % (head.method, hide_login(head.target), head.minor_version)
    body = b"\r\n".join([line, *shown]) + b"\r\n\r\n"
    return format_own(200, body, b"message/http", fields=[], keep_alive=keep_alive)


def format_options(*, keep_alive: bool) -> bytes:
    """Return the answer of the last hop to OPTIONS (RFC 9110 9.3.7)."""
    return format_own(200, b"", b"text/plain", fields=[(b"Allow", _ALLOW)], keep_alive=keep_alive)


def max_forwards(head: Fields) -> int | None:
    """Return how many hops may still forward a TRACE or OPTIONS (RFC 9110 7.6.2); None: no limit."""
    value = head.value(b"max-forwards")
    return int(value) if value is not None and value.isdigit() and len(value) < 10 else None  # noqa: PLR2004


def _format_page(error: PxError) -> bytes:
    from html import escape  # noqa: PLC0415 - 0.5 MB, only for an error

    hint = f'<p class="hint">{escape(error.hint)}</p>\n' if error.hint else ""
    page = _PAGE.format(
        status=error.status, reason=escape(_reason(error.status)), cause=escape(error.cause), hint=hint
    )
    return _encode(page)


def _format_text(error: PxError) -> bytes:
    lines = [f"Px: {error.status} {_reason(error.status)}", error.cause, error.hint]
    return _encode("\n".join(line for line in lines if line)) + b"\n"


def _encode(text: str) -> bytes:
    r"""Encode any text, even invalid text like ``\ud800`` from a PAC script or an environment variable."""
    return text.encode("utf-8", "backslashreplace")


def _format_proxy_status(error: PxError) -> bytes:
    """Return ``px; error=TYPE; details="..."`` (RFC 9209 2) with details in printable ASCII (RFC 8941)."""
    printable = "".join(char if " " <= char <= "~" else "?" for char in error.cause)
    details = printable.replace("\\", r"\\").replace('"', r"\"")
    return f'px; error={error.proxy_status}; details="{details}"'.encode("ascii")


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
