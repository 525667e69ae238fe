"""Parses request targets: the destination of a request, and the target that an origin gets.

The four forms of RFC 9112 3.2 are parsed strictly: a host is a reg-name without percent-encoding or an IP
address in its usual spelling, so that no other spelling of a host evades a rule about it.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address
from typing import NamedTuple

from px.core.errors import BadRequestError
from px.core.host import MAX_PORT

#: The default ports of URI schemes (RFC 9110 4.2, RFC 1738 3.2.1, RFC 6455 3).
DEFAULT_PORTS = {b"http": 80, b"https": 443, b"ftp": 21, b"ws": 80, b"wss": 443}
#: The longest name that DNS can look up (RFC 1035 2.3.4), in octets.
MAX_HOST_BYTES = 255

# A reg-name without pct-encoded, or the characters in brackets of RFC 3986 3.2.2; the port is checked later.
_AUTHORITY = re.compile(rb"(?:([A-Za-z0-9\-._~!$&'()*+,;=]++)|\[([0-9A-Fa-f:.]++)\])(?::([0-9]*+))?")
_ABSOLUTE = re.compile(rb"([A-Za-z][A-Za-z0-9+.\-]*+)://([^/?]*+)([!-~]*+)")
_OCTET = rb"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = re.compile(_OCTET + rb"(?:\." + _OCTET + rb"){3}")
# RFC 3986 3.2.1: a login at an FTP site, which only the proxy that speaks FTP uses.
_FTP_LOGIN = re.compile(rb"[A-Za-z0-9\-._~!$&'()*+,;=:%]*+@")
# With such a last label, resolvers take the whole name for an IPv4 address: 127.1, 0x7f.1, 017700000001.
_NUMERIC_LABEL = re.compile(rb"(?:.*\.)?(?:[0-9]++|0[xX][0-9A-Fa-f]*+)\.?")


class TargetForm(Enum):
    """The form of a request target, RFC 9112 3.2."""

    ABSOLUTE = "absolute"
    AUTHORITY = "authority"
    ORIGIN = "origin"
    ASTERISK = "asterisk"


class Authority(NamedTuple):
    """A host and a port to connect to.

    Attributes:
        host: A lower-case reg-name, or an IP address in its shortest spelling, without brackets.
        port: 1 to 65535.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return self.to_bytes().decode("ascii")

    @lru_cache(maxsize=1024)  # noqa: B019 - an authority is two short values, and few are in use
    def to_bytes(self) -> bytes:
        """Return ``host:port``, as CONNECT wants it; an IPv6 address has brackets."""
        return b"%b:%d" % (self._host_to_bytes(), self.port)

    def to_host_field(self, scheme: bytes) -> bytes:
        """Return the value of Host (RFC 9110 7.2), without the scheme's default port."""
        return self._host_to_bytes() if self.port == DEFAULT_PORTS.get(scheme) else self.to_bytes()

    def _host_to_bytes(self) -> bytes:
        host = self.host.encode("ascii")
        return b"[%b]" % host if b":" in host else host


#: The parts of a request target: form, scheme, authority and origin_target of `RequestHead`. A plain tuple,
#: because each request makes one and unpacks it at once.
Target = tuple[TargetForm, bytes, Authority, bytes]


def parse_target(method: bytes, target: bytes, host: bytes | None) -> Target:
    """Return the parts of a request target.

    Args:
        method: The request's method, which decides the allowed forms.
        target: The target as received: one or more visible ASCII characters, without a fragment.
        host: The value of the Host field; None if there is none (HTTP/1.0). CONNECT ignores it.

    Raises:
        BadRequestError: 400, or 501 for a scheme whose port is not known.
    """
    if method == b"CONNECT":
        return TargetForm.AUTHORITY, b"", parse_authority(target, None, "The target of CONNECT"), b""
    if target.startswith(b"/"):
        return TargetForm.ORIGIN, b"", _host_authority(host), target
    if target == b"*":
        if method != b"OPTIONS":
            raise BadRequestError("The request target * is for OPTIONS only.")
        return TargetForm.ASTERISK, b"", _host_authority(host), target
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise BadRequestError("The request target is neither a URL such as http://host/path nor a path.")
    _check_host(host)
    return _parse_absolute(method, *absolute.groups())


# A pure function, called for the same few hosts again and again. Accepted values are short, and errors are
# not cached, so the memory is bounded.
@lru_cache(maxsize=1024)
def parse_authority(value: bytes, default_port: int | None, what: str) -> Authority:
    """Return the authority in ``host[:port]``.

    Args:
        value: The text as received.
        default_port: The port if none is written; None if a port is required.
        what: The subject of the error's sentence.

    Raises:
        BadRequestError: 400 for anything but a host and a port from 1 to 65535.
    """
    match = _AUTHORITY.fullmatch(value)
    if match is None:
        raise BadRequestError(f"{what} {_authority_fault(value)}.")
    name, literal, digits = match.groups()
    host = _parse_ipv6(literal, what) if name is None else _parse_name(name, what)
    if digits:
        return Authority(host, _parse_port(digits, what))
    if default_port is None:
        raise BadRequestError(f"{what} has no port.")
    return Authority(host, default_port)


def hide_login(target: bytes) -> bytes:
    """Return a request-target that is safe to show: without the login in an FTP URL."""
    scheme, separator, rest = target.partition(b"://")
    if not separator or scheme.lower() != b"ftp":
        return target
    login = _FTP_LOGIN.match(rest)
    return target if login is None else scheme + separator + rest[login.end() :]


def _parse_absolute(method: bytes, scheme: bytes, authority: bytes, rest: bytes) -> Target:
    scheme = scheme.lower()
    default_port = DEFAULT_PORTS.get(scheme)
    if scheme == b"ftp" and (login := _FTP_LOGIN.match(authority)):
        authority = authority[login.end() :]
    parsed = parse_authority(authority, default_port or 0, "The URL")
    if not parsed.port:
        raise BadRequestError("The URL has a scheme whose port Px does not know, and no port.", status=501)
    if not rest and method == b"OPTIONS":
        rest = b"*"  # RFC 9112 3.2.4
    elif not rest.startswith(b"/"):
        rest = b"/" + rest  # RFC 9112 3.2.1: an empty path is sent as "/"
    return TargetForm.ABSOLUTE, scheme, parsed, rest


def _host_authority(host: bytes | None) -> Authority:
    """Return the authority of a request whose target names no host: that of Host."""
    if not host:
        raise BadRequestError("The request names no host, neither in its target nor in a Host field.")
    return parse_authority(host, 80, "The Host field")


def _check_host(host: bytes | None) -> None:
    """Raise an error for a bad Host (RFC 9112 3.2), although the target outranks it; empty is valid."""
    if host:
        parse_authority(host, 80, "The Host field")


def _parse_name(name: bytes, what: str) -> str:
    if len(name) > MAX_HOST_BYTES:
        raise BadRequestError(f"{what} has a host name of more than {MAX_HOST_BYTES} characters.")
    if _NUMERIC_LABEL.fullmatch(name) and not _IPV4.fullmatch(name):
        raise BadRequestError(f"{what} has an IPv4 address in another form than four decimal numbers.")
    return name.decode("ascii").lower()


def _parse_ipv6(literal: bytes, what: str) -> str:
    try:
        return str(IPv6Address(literal.decode("ascii")))
    except AddressValueError:
        raise BadRequestError(f"{what} has no valid IPv6 address in its brackets.") from None


def _parse_port(digits: bytes, what: str) -> int:
    # At most five digits: converting thousands of digits would be slow.
    port = int(digits) if len(digits) <= len(str(MAX_PORT)) else 0
    if not 0 < port <= MAX_PORT:
        raise BadRequestError(f"{what} has a port that is not between 1 and {MAX_PORT}.")
    return port


def _authority_fault(value: bytes) -> str:
    """Return the fault of a value that is not an authority, as the end of a sentence."""
    if b"@" in value:
        return "has a user name or password (user@host), which Px does not forward"
    if not value or (value.startswith(b":") and value.count(b":") == 1):
        return "has no host"
    if b"%" in value:
        return "has a zone id or a percent-encoded character in its host"
    if value.startswith(b"["):
        return "has no valid IPv6 address in its brackets"
    host = value.rpartition(b":")[0] or value
    if not re.fullmatch(rb"[0-9A-Fa-f:.]*", host) and not _AUTHORITY.fullmatch(host):
        return "has a character that no host name has"
    if b":" in host:
        return "has more than one colon; an IPv6 address needs brackets"
    return "has a port that is not a number"
