"""The messages between a SOCKS5 client and Px (RFC 1928, RFC 1929): bytes in, values and bytes out.

===============  ==============================================  ====================================
the client       sends                                           Px answers
===============  ==============================================  ====================================
greets           5, how many methods, the methods                5, the method that Px chooses or 255
logs in          1, length, user name, length, password          1, 0 (right) or 1
asks             5, command, 0, kind of address, address, port   5, reply code, 0, address 0.0.0.0:0
===============  ==============================================  ====================================

The client logs in only if Px chooses that method. After the reply code 0 come the bytes of the tunnel; after
every other code Px closes the connection.
"""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from px.core.errors import BadRequestError, PxError, TargetError, UnreachableError
from px.core.host import to_address
from px.core.http.target import Authority, parse_authority

VERSION_5: Final = 5
VERSION_4: Final = 4
LOGIN_VERSION: Final = 1
NO_LOGIN: Final = 0
USER_AND_PASSWORD: Final = 2
#: The answer to a greeting without a method that Px accepts.
NO_METHOD_ANSWER: Final = b"\5\xff"
LOGIN_ACCEPTED: Final = b"\1\0"
LOGIN_REFUSED: Final = b"\1\1"
#: The answer to a SOCKS 4 client: the code 0x5B, rejected or failed.
REFUSAL_4: Final = b"\0\x5b" + bytes(6)
#: So many bytes of a request show how long it is: they end with the first byte of the address.
REQUEST_BEGINNING_BYTES: Final = 5

_CONNECT = 1
_COMMANDS: Final = {2: "BIND", 3: "UDP ASSOCIATE"}
_IPV4, _NAME, _IPV6 = 1, 3, 4
_PORT_BYTES = 2
#: Reply codes (RFC 1928 6).
_SUCCEEDED, _FAILED, _NOT_ALLOWED, _NETWORK_UNREACHABLE, _HOST_UNREACHABLE = range(5)
_CONNECTION_REFUSED, _TTL_EXPIRED, _COMMAND_UNKNOWN, _ADDRESS_UNKNOWN = range(5, 9)
_CODE_OF_STATUS: Final = {403: _NOT_ALLOWED, 407: _NOT_ALLOWED, 508: _NOT_ALLOWED, 504: _TTL_EXPIRED}
_CODE_OF_PROXY_STATUS: Final = {
    "connection_refused": _CONNECTION_REFUSED,
    "connection_timeout": _TTL_EXPIRED,
    "destination_ip_unroutable": _NETWORK_UNREACHABLE,
    "dns_error": _HOST_UNREACHABLE,
}


class SocksRequestError(BadRequestError):
    """A SOCKS client asks for something that Px does not do.

    Args:
        cause: As for `PxError`.
        reply: The reply code that the client gets.
    """

    status = 501

    def __init__(self, cause: str, reply: int) -> None:
        super().__init__(cause)
        self.reply = reply


def choose_method(offered: Collection[int], *, needs_login: bool) -> int | None:
    """Return the method that a client has to log in by; None: it offers none that Px accepts.

    Args:
        offered: The methods of the client's greeting.
        needs_login: Whether clients have to log in. Where they need not, Px accepts every user and password
            of a client that offers nothing else.
    """
    accepted = (USER_AND_PASSWORD,) if needs_login else (NO_LOGIN, USER_AND_PASSWORD)
    return next((method for method in accepted if method in offered), None)


def request_size(beginning: bytes) -> int:
    """Return the length of a request in bytes.

    Args:
        beginning: Its first `REQUEST_BEGINNING_BYTES`.

    Raises:
        BadRequestError: These bytes begin no request.
    """
    version, _, _, kind, first = beginning
    if version != VERSION_5:
        raise BadRequestError("The request of the SOCKS client does not begin with its version, 5.")
    sizes = {_IPV4: 4, _NAME: 1 + first, _IPV6: 16}
    if kind not in sizes:
        raise SocksRequestError(
            f"The SOCKS client names its target by an address of the unknown kind {kind}.", _ADDRESS_UNKNOWN
        )
    return REQUEST_BEGINNING_BYTES - 1 + sizes[kind] + _PORT_BYTES


def parse_target(request: bytes) -> Authority:
    """Return where a client wants to be connected to.

    Args:
        request: A request of the length that `request_size` returns.

    Raises:
        BadRequestError: The request is not for a connection, or the target is no host and port.
    """
    command, kind = request[1], request[3]
    if command != _CONNECT:
        name = _COMMANDS.get(command, f"the unknown command {command}")
        raise SocksRequestError(
            f"The SOCKS client asks for {name}, and Px does nothing but connect (CONNECT).", _COMMAND_UNKNOWN
        )
    address, port = request[REQUEST_BEGINNING_BYTES - 1 : -_PORT_BYTES], request[-_PORT_BYTES:]
    if kind == _NAME:
        host = _bracket(address[1:])
    elif kind == _IPV4:
        host = str(IPv4Address(address)).encode("ascii")
    else:
        host = b"[%b]" % str(IPv6Address(address)).encode("ascii")
    authority = b"%b:%d" % (host, int.from_bytes(port, "big"))
    return parse_authority(authority, None, "The target of the SOCKS client")


def _bracket(name: bytes) -> bytes:
    """Return a name; an IPv6 address, which some clients send as a name, with brackets."""
    is_ipv6 = b":" in name and to_address(name.decode("latin-1")) is not None
    return b"[%b]" % name if is_ipv6 else name


def format_success() -> bytes:
    """Return the reply to a client whose tunnel is open.

    The address in it is 0.0.0.0:0: behind an upstream, Px cannot know the address that the target sees.
    """
    return _format_reply(_SUCCEEDED)


def format_failure(error: PxError) -> bytes:
    """Return the reply to a client whose request failed."""
    return _format_reply(_code_of(error))


def _format_reply(code: int) -> bytes:
    return bytes((VERSION_5, code, 0, _IPV4, *bytes(4 + _PORT_BYTES)))


def _code_of(error: PxError) -> int:
    if isinstance(error, SocksRequestError):
        return error.reply
    if isinstance(error, UnreachableError) and error.is_upstream:
        return _FAILED  # the other codes would blame the target
    other = _HOST_UNREACHABLE if isinstance(error, TargetError) else _FAILED
    return _CODE_OF_STATUS.get(error.status) or _CODE_OF_PROXY_STATUS.get(error.proxy_status, other)
