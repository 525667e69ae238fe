"""Parses answers of PAC scripts: ``PROXY one:8080; SOCKS two; DIRECT``, the routes to try in order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from px.core.errors import PacError
from px.core.host import parse_host_port
from px.core.rules.route import DEFAULT_PORTS, Direct, Route, UpstreamAddress, Via

#: First word of an entry -> the schemes of the upstream, in the order to try. ``SOCKS`` names no version:
#: browsers mean version 4, macOS version 5. A server without version 5 says so at once.
_SCHEMES: Final = {
    "PROXY": ("http",),
    "HTTP": ("http",),
    "HTTPS": ("https",),
    "SOCKS": ("socks5", "socks4"),
    "SOCKS5": ("socks5",),
    "SOCKS4": ("socks4",),
}
_MAX_SHOWN_CHARS = 200
#: More entries than Px can try before a client gives up. Each costs time that delays other requests.
MAX_ENTRIES: Final = 100


def parse_pac_answer(text: str) -> tuple[Route, ...]:
    """Return the routes that an answer names, in order, each once; at least one.

    As in browsers, unreadable entries are skipped, and an empty answer means `Direct`. Entries after the
    first `MAX_ENTRIES` are skipped, too.

    Raises:
        PacError: The answer has entries, and none can be read.
    """
    entries = list(_split_entries(text))
    if not entries:
        return (Direct("PAC"),)
    routes = dict.fromkeys(route for entry in entries for route in _parse_entry(entry))
    if not routes:
        raise PacError(f"its answer {_shorten(text)!r} names no usable proxy")
    return tuple(routes)


def find_unusable(text: str) -> tuple[str, ...]:
    """Return the entries of an answer that `parse_pac_answer` skips, safe to show."""
    return tuple(_shorten(entry) for entry in _split_entries(text) if not _parse_entry(entry))


def _split_entries(text: str) -> Iterator[str]:
    for entry in text.split(";", MAX_ENTRIES)[:MAX_ENTRIES]:
        if stripped := entry.strip():
            yield stripped


def _parse_entry(entry: str) -> tuple[Route, ...]:
    """Return the routes of an entry; empty if the entry cannot be read."""
    word, _, rest = " ".join(entry.split()).partition(" ")
    if word.upper() == "DIRECT" and not rest:
        return (Direct("PAC"),)
    schemes = _SCHEMES.get(word.upper(), ())
    try:
        host, port = parse_host_port(_tidy_port(rest), entry)
    except ValueError:
        return ()
    return tuple(
        Via(UpstreamAddress(scheme, host, port or DEFAULT_PORTS[scheme], is_found=True)) for scheme in schemes
    )


def _tidy_port(authority: str) -> str:
    """Return ``host:port`` without spaces around the colon, and without a colon that has no port."""
    host, colon, port = authority.rpartition(":")
    if not colon or "]" in port:
        return authority
    host, port = host.rstrip(), port.lstrip()
    return f"{host}:{port}" if port else host


def _shorten(text: str) -> str:
    text = re.sub(r"(?<![^\s;@])[^\s;@]+@", "...@", text)  # some scripts contain passwords
    return text if len(text) <= _MAX_SHOWN_CHARS else text[:_MAX_SHOWN_CHARS] + "..."
