"""Hosts as people write them: names, addresses, ``host:port``."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address
from typing import Final

Address = IPv4Address | IPv6Address
MAX_PORT: Final = 65535
#: The longest computer name: a NetBIOS name has 16 characters, the last of which is its type (RFC 1001 14.1).
MAX_COMPUTER_NAME_CHARS: Final = 15

_HOST_NAME = re.compile(r"[\w-]+(?:\.[\w-]+)*\.?")  # \w: names may be international, and "_" occurs
_MAX_HOST_NAME_CHARS = 253
#: Looks like IPv6: two colons in a row, or more groups than a host and a port have; perhaps with a zone.
_LIKE_IPV6 = re.compile(r"(?=.*::|(?:[0-9a-f]*:){4})[0-9a-f:.]+(?:%.*)?", re.IGNORECASE)


def parse_host_port(text: str, shown: str) -> tuple[str, int | None]:
    """Return host and port of ``host``, ``host:port``, ``[IPv6]`` or ``[IPv6]:port``; the port may be None.

    Args:
        text: The authority to parse.
        shown: The name of the text in error messages (the text itself may contain a secret).

    Raises:
        ValueError: The host or the port is not valid.
    """
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or not _is_ipv6(host) or (rest and not rest.startswith(":")):
            raise ValueError(f"{shown}: not an IPv6 address in brackets, [address]:port")
        return host, _parse_port(rest[1:], shown) if rest else None
    if text.count(":") > 1:
        form = "write an IPv6 address in brackets, [address]:port"
        raise ValueError(f"{shown}: {form if _LIKE_IPV6.fullmatch(text) else 'it has more than one colon'}")
    host, colon, port = text.partition(":")
    if not is_host(host):
        raise ValueError(f"{shown}: no valid host name or address")
    return host, _parse_port(port, shown) if colon else None


def _parse_port(text: str, shown: str) -> int:
    if text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_PORT:
        return int(text)
    raise ValueError(f"{shown}: no valid port; ports are 1 to {MAX_PORT}")


def is_host(text: str) -> bool:
    """Return whether `text` can be a host name or an IPv4 address.

    If the last label is a number, the text must be a complete, valid IPv4 address: ``10.1.2.300`` is a typing
    error, not a name.
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
    """Return a host in the form used to compare rules: lower case, ASCII, no brackets or final dot."""
    name = host.removeprefix("[").removesuffix("]").removesuffix(".").lower()
    if name.isascii():
        return name
    try:
        return name.encode("idna").decode("ascii")
    except UnicodeError:  # not an international name either: it matches only itself
        return name


# Called for each request, with the same few hosts; parsing an address takes 10 µs.
@lru_cache(maxsize=1024)
def is_local_target(host: str) -> bool:
    """Return whether a host is this computer or on its link-local network, which no upstream can reach.

    These are Chromium's implicit bypass rules: ``localhost`` and all names below it, loopback and link-local
    addresses.

    Args:
        host: A name, in any case, with or without a final dot; an IPv6 address may have brackets.
    """
    name = to_plain_name(host)
    if (address := to_address(name)) is not None:
        return address.is_loopback or address.is_link_local
    return name == "localhost" or name.endswith(".localhost")


def to_address(name: str) -> Address | None:
    """Return the address that a plain name spells, or None."""
    if not name or (":" not in name and not name[-1].isdigit()):
        return None  # decides most names without parsing
    try:
        return to_plain_address(ip_address(name))
    except ValueError:
        return None
