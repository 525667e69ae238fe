"""Parses the location of a PAC script: a path, or a ``file:``, ``http:``, ``https:`` or ``data:`` URL."""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple
from urllib.parse import unquote, urlsplit

from px.core.errors import PacError
from px.core.printable import escape_line, has_control

_MAX_SHOWN_CHARS: Final = 200
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")  # two letters at least: C:\proxy.pac is a path
_WINDOWS_DRIVE = re.compile(r"/?([A-Za-z])[:|](?=[/\\]|$)")


class PacLocation(NamedTuple):
    """The location of a PAC script.

    Attributes:
        kind: How to load the script.
        value: The path, or the URL.
    """

    kind: Literal["file", "http", "data"]
    value: str


def parse_pac_location(text: str, *, is_windows: bool) -> PacLocation:
    r"""Return the location that a text names.

    ``file:`` URLs may have the forms in use on Windows, too: ``file:///C:/proxy.pac``,
    ``file://C:\proxy.pac``, ``file://server/share/proxy.pac`` (RFC 8089 and its appendix E).

    Raises:
        PacError: Px does not know this kind of location, or it has control characters.
    """
    location = _parse(text.strip(), is_windows=is_windows)
    if has_control(text.strip()) or has_control(location.value):
        raise PacError(
            f"The PAC script {shorten_location(text)} cannot be loaded: its location has control characters.",
            "Write the path or the URL again, without what cannot be seen.",
        )
    return location


def _parse(location: str, *, is_windows: bool) -> PacLocation:
    found = _SCHEME.match(location)
    scheme = found[1].lower() if found else ""
    if not scheme:
        return PacLocation("file", location)
    if scheme in {"http", "https"}:
        return PacLocation("http", _check_url(location))
    if scheme == "data":
        return PacLocation("data", location)
    if scheme == "file":
        return PacLocation("file", _parse_file_url(location, is_windows=is_windows))
    raise PacError(
        f"The PAC script {shorten_location(location)} cannot be loaded: Px does not support {scheme}: URLs.",
        "Use a path, or a URL that begins with file:, http:, https: or data:.",
    )


def _check_url(location: str) -> str:
    problem = ""
    try:
        parts = urlsplit(location)
        if not parts.hostname:
            problem = "the URL names no host"
        elif parts.username is not None:
            problem = "the URL must not have a user name"
        _ = parts.port
    except ValueError as error:
        problem = f"the URL is not valid ({error})"
    if problem:
        raise PacError(
            f"The PAC script {shorten_location(location)} cannot be loaded: {problem}.",
            "Check the URL: http://host/path or https://host/path.",
        )
    return location


def _parse_file_url(location: str, *, is_windows: bool) -> str:
    rest = unquote(location.partition(":")[2])
    rest = rest.replace("\\", "/") if is_windows else rest
    if not rest.startswith("//"):
        return _to_windows_path("", rest) if is_windows else rest
    host, slash, path = rest[2:].partition("/")
    if is_windows:
        return _to_windows_path(host, slash + path)
    if host not in {"", "localhost", "127.0.0.1"}:
        raise PacError(
            f"The PAC script {shorten_location(location)} cannot be loaded: it is on the computer {host}.",
            "For a file on this computer write three slashes: file:///path.",
        )
    return slash + path


def _to_windows_path(host: str, path: str) -> str:
    if re.fullmatch("[A-Za-z][:|]", host):  # two slashes instead of three
        host, path = "", f"/{host}{path}"
    if host.lower() == "localhost":
        host = ""
    if host:
        path = f"//{host}{path}"
    elif re.match("//+[^/]", path):  # file:////server/share
        path = f"//{path.lstrip('/')}"
    else:
        path = _WINDOWS_DRIVE.sub(r"\1:", path, count=1)
    return path.replace("/", "\\")


def shorten_location(location: str) -> str:
    """Return a location that is safe to show: without a password or query, and never a whole script.

    Control characters are written as escapes.
    """
    text = escape_line(location.strip())
    if text.lower().startswith("data:"):
        return "in the data: URL"
    text = hide_query(re.sub(r"(?<=://)[^/?#]*@", "", text))
    return text if len(text) <= _MAX_SHOWN_CHARS else f"{text[:_MAX_SHOWN_CHARS]}..."


def hide_query(location: str) -> str:
    """Return a location with ``?...`` in place of its query and fragment, which may contain a token.

    A path is cut at a question mark, too, because it may be a URL without its scheme.
    """
    scheme = _SCHEME.match(location.strip())
    is_url = scheme is not None and scheme[1].lower() != "file"
    found = re.search("[?#]" if is_url else "[?]", location)
    return f"{location[: found.start()]}?..." if found else location
