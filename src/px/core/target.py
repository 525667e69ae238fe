"""Request targets: where a request goes, and what of its target an origin is told.

The four forms of RFC 9112 3.2, read strictly: a host is a reg-name without percent-encoding or an IP address
in its one usual spelling, so that no rule about hosts is walked around by another spelling of the same host.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address
from typing import NamedTuple

from px.core.errors import BadRequestError

#: Ports of URI schemes that may leave theirs out (RFC 9110 4.2, RFC 1738 3.2.1, RFC 6455 3).
DEFAULT_PORTS = {b"http": 80, b"https": 443, b"ftp": 21, b"ws": 80, b"wss": 443}
#: Length of the longest name that DNS can look up (RFC 1035 2.3.4), in octets.
MAX_HOST_BYTES = 255
MAX_PORT = 65535

# reg-name without pct-encoded, or what may stand in brackets of RFC 3986 3.2.2; the port is checked apart.
_AUTHORITY = re.compile(rb"(?:([A-Za-z0-9\-._~!$&'()*+,;=]++)|\[([0-9A-Fa-f:.]++)\])(?::([0-9]*+))?")
_ABSOLUTE = re.compile(rb"([A-Za-z][A-Za-z0-9+.\-]*+)://([^/?]*+)([!-~]*+)")
_OCTET = rb"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = re.compile(_OCTET + rb"(?:\." + _OCTET + rb"){3}")
# Such a last label makes resolvers read the whole name as an IPv4 address: 127.1, 0x7f.1, 017700000001.
_NUMERIC_LABEL = re.compile(rb"(?:.*\.)?(?:[0-9]++|0[xX][0-9A-Fa-f]*+)\.?")


class TargetForm(Enum):
    """How a request names what it wants, RFC 9112 3.2."""

    ABSOLUTE = "absolute"
    AUTHORITY = "authority"
    ORIGIN = "origin"
    ASTERISK = "asterisk"


class Authority(NamedTuple):
    """A host and a port to connect to.

    Attributes:
        host: Lower-case reg-name, or an IP address in its shortest spelling, without brackets.
        port: 1 to 65535.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return self.to_bytes().decode("ascii")

    @lru_cache(maxsize=1024)  # noqa: B019 - an authority is two short values, and few are asked for
    def to_bytes(self) -> bytes:
        """``host:port``, as CONNECT wants it; an IPv6 address in brackets."""
        return b"%b:%d" % (self._host_to_bytes(), self.port)

    def to_host_field(self, scheme: bytes) -> bytes:
        """The value of Host (RFC 9110 7.2): the port is left out when it is the scheme's own."""
        return self._host_to_bytes() if self.port == DEFAULT_PORTS.get(scheme) else self.to_bytes()

    def _host_to_bytes(self) -> bytes:
        host = self.host.encode("ascii")
        return b"[%b]" % host if b":" in host else host


#: A request target, taken apart: the form, scheme, authority and origin_target of `px.core.head.RequestHead`.
#: A plain tuple: it is made for each request, and lives until it is unpacked.
Target = tuple[TargetForm, bytes, Authority, bytes]


def parse_target(method: bytes, target: bytes, host: bytes | None) -> Target:
    """Take a request target apart.

    Args:
        method: The request's method; it decides which forms are allowed.
        target: As received: one or more visible ASCII characters.
        host: Value of the Host field; None if there is none (HTTP/1.0).

    Raises:
        BadRequestError: 400, or 501 for a scheme whose port is not known.
    """
    if b"#" in target:
        raise BadRequestError("The request target has a fragment (#), which is never sent.")
    if method == b"CONNECT":
        authority = parse_authority(target, None, "The target of CONNECT")
        _check_host(host)
        return TargetForm.AUTHORITY, b"", authority, b""
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


# A function of its arguments alone, and clients ask for few hosts again and again. What it accepts is short,
# and a refusal is not remembered, so the memory is bounded.
@lru_cache(maxsize=1024)
def parse_authority(value: bytes, default_port: int | None, what: str) -> Authority:
    """Parse ``host[:port]``.

    Args:
        value: As received.
        default_port: Port when none is written; None: there must be one.
        what: Subject of the sentence that tells what is wrong.

    Raises:
        BadRequestError: 400, anything but a host and a port from 1 to 65535.
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


def _parse_absolute(method: bytes, scheme: bytes, authority: bytes, rest: bytes) -> Target:
    scheme = scheme.lower()
    default_port = DEFAULT_PORTS.get(scheme)
    parsed = parse_authority(authority, default_port or 0, "The URL")
    if not parsed.port:
        raise BadRequestError("The URL has a scheme whose port Px does not know, and no port.", status=501)
    if not rest and method == b"OPTIONS":
        rest = b"*"  # RFC 9112 3.2.4
    elif not rest.startswith(b"/"):
        rest = b"/" + rest  # RFC 9112 3.2.1: an empty path is sent as "/"
    return TargetForm.ABSOLUTE, scheme, parsed, rest


def _host_authority(host: bytes | None) -> Authority:
    """Where a request goes whose target names no host: only Host tells."""
    if not host:
        raise BadRequestError("The request names no host, neither in its target nor in a Host field.")
    return parse_authority(host, 80, "The Host field")


def _check_host(host: bytes | None) -> None:
    """A bad Host is refused (RFC 9112 3.2) though the target outranks it; an empty one is not bad."""
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
    # Five digits: a number with thousands of them is not even converted.
    port = int(digits) if len(digits) <= len(str(MAX_PORT)) else 0
    if not 0 < port <= MAX_PORT:
        raise BadRequestError(f"{what} has a port that is not between 1 and {MAX_PORT}.")
    return port


def _authority_fault(value: bytes) -> str:
    """What is wrong with a value that is not an authority, as the end of a sentence."""
    if b"@" in value:
        return "has a user name or password (user@host), which Px does not pass on"
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
