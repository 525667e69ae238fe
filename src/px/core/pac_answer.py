"""What a PAC script answers: ``PROXY one:8080; SOCKS two; DIRECT``, the ways to try in order."""

from __future__ import annotations

import re
from typing import Final

from px.core.errors import PacError
from px.core.host import parse_host_port
from px.core.route import DEFAULT_PORTS, Direct, Route, UpstreamAddress, Via

#: First word of an entry -> scheme of the upstream.
_SCHEMES: Final = {
    "PROXY": "http",
    "HTTP": "http",
    "HTTPS": "https",
    "SOCKS": "socks5",
    "SOCKS5": "socks5",
    "SOCKS4": "socks4",
}
_MAX_SHOWN_CHARS = 200
#: More than can be tried before a client gives up; each costs time that other requests wait for.
MAX_ENTRIES: Final = 100


def parse_pac_answer(text: str) -> tuple[Route, ...]:
    """Return the routes that an answer names, in order, each once; at least one.

    As in browsers, an entry that cannot be read is left out, and an empty answer means `Direct`. So are those
    after the first `MAX_ENTRIES`.

    Raises:
        PacError: There are entries, and none can be read.
    """
    entries = [entry.strip() for entry in text.split(";", MAX_ENTRIES)[:MAX_ENTRIES]]
    if not any(entries):
        return (Direct("PAC"),)
    routes = dict.fromkeys(route for entry in entries if (route := _parse_entry(entry)) is not None)
    if not routes:
        raise PacError(f"its answer {_shorten(text)!r} names no proxy that can be used")
    return tuple(routes)


def _parse_entry(entry: str) -> Route | None:
    word, _, rest = " ".join(entry.split()).partition(" ")
    if word.upper() == "DIRECT" and not rest:
        return Direct("PAC")
    scheme = _SCHEMES.get(word.upper())
    if scheme is None:
        return None
    try:
        host, port = parse_host_port(rest, entry)
    except ValueError:
        return None
    return Via(UpstreamAddress(scheme, host, port or DEFAULT_PORTS[scheme], is_found=True))


def _shorten(text: str) -> str:
    text = re.sub(r"(?<![^\s;@])[^\s;@]+@", "…@", text)  # some scripts hand out passwords
    return text if len(text) <= _MAX_SHOWN_CHARS else text[:_MAX_SHOWN_CHARS] + "…"
