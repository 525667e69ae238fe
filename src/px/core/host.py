"""Hosts as people write them: names, addresses, ``host:port``."""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address
from typing import Final

Address = IPv4Address | IPv6Address
MAX_PORT: Final = 65535
#: Of a computer name: a NetBIOS name has 16, of which the last says of what kind it is (RFC 1001 14.1).
MAX_COMPUTER_NAME_CHARS: Final = 15

_HOST_NAME = re.compile(r"[\w-]+(?:\.[\w-]+)*\.?")  # \w: names may be international, and "_" is in use
_MAX_HOST_NAME_CHARS = 253


def parse_host_port(text: str, shown: str) -> tuple[str, int | None]:
    """Split ``host``, ``host:port``, ``[IPv6]`` or ``[IPv6]:port``; no port is None.

    Args:
        text: The authority to read.
        shown: What the message of an error calls it (the text itself may hold a secret).

    Raises:
        ValueError: Host or port cannot be right.
    """
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or not _is_ipv6(host) or (rest and not rest.startswith(":")):
            raise ValueError(f"{shown}: not an IPv6 address in brackets, [address]:port")
        return host, _parse_port(rest[1:], shown) if rest else None
    if text.count(":") > 1:
        raise ValueError(f"{shown}: an IPv6 address stands in brackets, [address]:port")
    host, colon, port = text.partition(":")
    if not is_host(host):
        raise ValueError(f"{shown}: no valid host name or address")
    return host, _parse_port(port, shown) if colon else None


def _parse_port(text: str, shown: str) -> int:
    if text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_PORT:
        return int(text)
    raise ValueError(f"{shown}: no valid port; ports are 1 to {MAX_PORT}")


def is_host(text: str) -> bool:
    """Whether `text` can be a host name or an IPv4 address.

    A text whose last label is a number has to be an IPv4 address, whole and in range: ``10.1.2.300`` is
    a typing error, not a name.
    """
    if len(text) > _MAX_HOST_NAME_CHARS or not _HOST_NAME.fullmatch(text):
        return False
    last_label = text.rstrip(".").rpartition(".")[2]
    return not last_label.isdigit() or _is_ipv4(text)


def _is_ipv4(text: str) -> bool:
    try:
        IPv4Address(text)
    except AddressValueError:
        return False
    return True


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return True


def to_plain_address(address: Address) -> Address:
    """Return the IPv4 address inside an IPv4-mapped one, and an IPv6 address without its zone."""
    if isinstance(address, IPv4Address):
        return address
    return address.ipv4_mapped or (IPv6Address(int(address)) if address.scope_id else address)


def to_plain_name(host: str) -> str:
    """Return a host in the form that rules are compared in: lower case, ASCII, no brackets or last dot."""
    name = host.removeprefix("[").removesuffix("]").removesuffix(".").lower()
    if name.isascii():
        return name
    try:
        return name.encode("idna").decode("ascii")
    except UnicodeError:  # no international name either: it can only equal itself
        return name


def to_address(name: str) -> Address | None:
    """Return the address that a plain name is, or None."""
    if not name or (":" not in name and not name[-1].isdigit()):
        return None  # most names, cheaply
    try:
        return to_plain_address(ip_address(name))
    except ValueError:
        return None
