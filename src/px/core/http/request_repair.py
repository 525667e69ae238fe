"""Rewrites request heads that have one meaning, but not the spelling of RFC 9112.

Px forwards the rewritten head, so the next reader sees only the usual spelling. A head that two readers may
take for different requests is not rewritten, and `px.core.http.request_head` refuses it.
"""

from __future__ import annotations

import re

_REQUEST_LINE = re.compile(rb"([^ \r\n]*+ )([!-~\x80-\xff]++)( HTTP/1\.)([0-9])\r\n")
# Scheme and host are not changed: a host name beyond ASCII can be read in several ways.
_BEFORE_PATH = re.compile(rb"[A-Za-z][A-Za-z0-9+.\-]*+://[^/?#\x80-\xff]*+(?=[/?#])|(?=/)")
_PERCENT_ENCODED = {octet: f"%{octet:02X}" for octet in range(0x80, 0x100)}
_FOLD = re.compile(rb"\r\n[ \t]++")
# Folds that some readers misread: a line of white space alone as the end of the head, and a continuation that
# looks like one of these fields as that field. These fields themselves must not be folded either.
_UNSAFE_FOLD = re.compile(
    rb"\r\n[ \t]++\r\n"
    rb"|(?i:\n(?:host|content-length|transfer-encoding)[ \t]*+:)[^\r\n]*+\r\n[ \t]"
    rb"|\n[ \t]++(?i:host|content-length|transfer-encoding)[ \t]*+:"
)


def has_bare_lines(head: bytes) -> bool:
    """Return whether all lines of a head end with a bare LF."""
    return b"\r" not in head


def repair_request(head: bytes) -> bytes:
    """Return a request head in the spelling of RFC 9112.

    If all lines end with a bare LF, they get CRLF. Octets beyond ASCII in a path or query are
    percent-encoded. Minor versions above 1 become 1 (RFC 9110 2.5). Folded lines are unfolded (RFC 9112 5.2).
    Nothing else changes.
    """
    if has_bare_lines(head):
        head = head.replace(b"\n", b"\r\n")
    begin = len(head) - len(head.lstrip(b"\r\n"))
    line = _REQUEST_LINE.match(head, begin)
    if line is None:
        return head
    method, target, version, minor = line.groups()
    block = head[line.end() :]
    if not block.startswith((b" ", b"\t")) and not _UNSAFE_FOLD.search(b"\n" + block):
        block = _FOLD.sub(b" ", block)
    return b"%b%b%b%b%b\r\n%b" % (
        head[:begin],
        method,
        encode_target(target),
        version,
        minor if minor == b"0" else b"1",
        block,
    )


def encode_target(target: bytes) -> bytes:
    """Return a request-target with percent-encoded non-ASCII octets in path and query (RFC 3986 2.1)."""
    before_path = _BEFORE_PATH.match(target)
    if before_path is None:
        return target
    path = target[before_path.end() :].decode("latin-1").translate(_PERCENT_ENCODED)
    return before_path[0] + path.encode("ascii")


def drop_fragment(target: bytes) -> bytes:
    """Return a request-target without its fragment, which is never sent (RFC 9110 7.1).

    Two kinds of targets keep their fragment, and are refused for it: those of CONNECT, and those with a ``@``
    in a fragment right after the host, where some readers look for the host:
    ``http://a.example#@b.example/``.
    """
    kept, _, fragment = target.partition(b"#")
    authority = kept.partition(b"://")[2]
    is_after_host = not kept.startswith(b"/") and b"/" not in authority and b"?" not in authority
    return target if is_after_host and (b"@" in fragment or not authority) else kept
