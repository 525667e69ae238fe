"""The URL of a proxy as variables and settings of programs write it."""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from px.core.http.target import Authority
from px.core.rules.route import DEFAULT_PORTS

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


class SplitUrl(NamedTuple):
    """The parts of the URL of a proxy.

    Attributes:
        scheme: With ``://``; empty if none is written.
        login: User and password, as they are written; empty if there are none.
        place: The rest: host and port.
    """

    scheme: str
    login: str
    place: str


def split_login(value: str) -> SplitUrl:
    """Return the parts of a value; the login ends at the last ``@``, whatever stands in the password."""
    found = _SCHEME.match(value)
    scheme = found[0] if found else ""
    login, _, place = value.removeprefix(scheme).rpartition("@")
    return SplitUrl(scheme, login, place)


def read_proxy(value: str) -> tuple[str, Authority | None]:
    """Return the scheme and the address of a proxy; no address if the value names none."""
    scheme, _, place = split_login(value.strip())
    try:
        url = urlsplit((scheme or "http://") + place)
        port = url.port or DEFAULT_PORTS.get(url.scheme.removesuffix("h"), 0)
    except ValueError:
        return "", None
    return url.scheme, Authority(url.hostname, port) if url.hostname else None
