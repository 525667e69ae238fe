"""The URLs that a person gives on the command line, as the requests that a client would send for them."""

from __future__ import annotations

from typing import Final, NamedTuple

from px.core.errors import PxError
from px.core.http.request_head import RequestHead, parse_request
from px.core.rules.pac_location import shorten_location
from px.core.startup_errors import ConfigError

#: A site that any proxy lets through, and that answers by http and https (RFC 2606 3).
DEFAULT_URL: Final = "http://www.example.com/"

_TUNNEL_SCHEMES: Final = frozenset(("https", "wss"))
_SCHEMES: Final = _TUNNEL_SCHEMES | {"http", "ws", "ftp"}


class SiteRequests(NamedTuple):
    """The two requests of a test, one of each kind that programs send.

    Attributes:
        get: For a page by http.
        connect: For a tunnel, as https needs it.
    """

    get: RequestHead
    connect: RequestHead


def parse_url(text: str, option: str) -> RequestHead:
    """Return the request that a client would send for a URL; a URL without a scheme means https.

    Args:
        text: A URL or host.
        option: The name of the option that has it, for the error.

    Raises:
        ConfigError: No client would send a request for this URL to a proxy.
    """
    scheme, found, rest = text.partition("://")
    if not found:
        scheme, rest = "https", text
    scheme, authority = scheme.lower(), _authority_of(rest)
    if scheme == "ftp":
        authority = authority.rpartition("@")[2]
    if scheme not in _SCHEMES:
        raise ConfigError(f"{option}: {shorten_location(text)} is no URL of http, https or ftp")
    is_tunnel = scheme in _TUNNEL_SCHEMES
    method, target = ("CONNECT", _with_port(authority)) if is_tunnel else ("GET", text)
    try:
        return _make_request(method, target, authority)
    except PxError as error:
        raise ConfigError(
            f"{option}={shorten_location(text)}: {error} Valid is: an http:, https: or ftp: URL, or a host."
        ) from None


def parse_test_url(text: str, option: str) -> SiteRequests:
    """Return the requests that test a login with the site of a URL; an empty URL means `DEFAULT_URL`.

    Both requests are for the host of the URL. A port in the URL counts for the request of its own scheme, and
    for the tunnel; else they use the ports of http and https.

    Args:
        text: A URL of http or https, or a host.
        option: The name of the option that has it, for the error.

    Raises:
        ConfigError: No client would send a request for this URL to a proxy.
    """
    text = text or DEFAULT_URL
    head = parse_url(text, option)
    authority = _authority_of(text.partition("://")[2] or text)
    if head.method == b"CONNECT":
        return SiteRequests(parse_url(f"http://{_without_port(authority)}/", option), head)
    if head.scheme != b"http":
        raise ConfigError(f"{option}: {shorten_location(text)} is no URL of http or https")
    return SiteRequests(head, _make_request("CONNECT", _with_port(authority), authority))


def _make_request(method: str, target: str, authority: str) -> RequestHead:
    head = f"{method} {target} HTTP/1.1\r\nHost: {authority}\r\n\r\n"
    return parse_request(head.encode("utf-8", "surrogatepass"))


def _authority_of(rest: str) -> str:
    """Return the authority at the beginning of what follows ``://`` in a URL."""
    return rest.partition("/")[0].partition("?")[0].partition("#")[0]


def _has_port(authority: str) -> bool:
    return ":" in authority.rpartition("]")[2]


def _with_port(authority: str) -> str:
    return authority if _has_port(authority) else f"{authority}:443"


def _without_port(authority: str) -> str:
    return authority.rpartition(":")[0] if _has_port(authority) else authority
