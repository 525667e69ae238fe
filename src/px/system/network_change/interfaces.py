"""Reads the addresses of this computer's network interfaces, and from which of them it sends."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from typing import Final

from px.core.host import Address

#: For how long the addresses are used before they are read again: reading takes 0.2 ms, and a change counts
#: soon enough.
FRESH_SECONDS = 1.0

#: Addresses that no computer has (RFC 5737, RFC 3849). A computer with a default route has a route to them.
_ELSEWHERE: Final = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}
_DISCARD_PORT: Final = 9

_LOGGER = logging.getLogger("px.interfaces")


class OwnAddresses:
    """This computer's own addresses, read again at most once in `FRESH_SECONDS`.

    Args:
        now: Monotonic seconds.
        load: Reads the addresses.
    """

    def __init__(
        self, now: Callable[[], float], load: Callable[[], frozenset[Address]] | None = None
    ) -> None:
        self._now = now
        self._load = load or load_addresses
        self._addresses: frozenset[Address] = frozenset()
        self._fresh_until = float("-inf")

    def has(self, host: str) -> bool:
        """Whether an IP address is this computer's own; loopback always is.

        Args:
            host: An IPv4-mapped IPv6 address counts as IPv4. The zone (number of the link) counts, because
                another computer may have the same link-local address on another link. On Windows psutil
                reports no zones, so there any zone matches.

        Raises:
            ValueError: `host` is not an IP address.
        """
        address = ip_address(host)
        if isinstance(address, IPv6Address):
            address = address.ipv4_mapped or address
        if address.is_loopback:
            return True
        self._refresh()
        return bool(self._addresses & {address, type(address)(int(address))})

    def _refresh(self) -> None:
        if self._now() < self._fresh_until:
            return
        self._fresh_until = self._now() + FRESH_SECONDS
        try:
            addresses = self._load()
        except OSError as error:  # the old addresses may belong to other computers now
            _LOGGER.warning("the addresses of this computer cannot be read: %s", error)
            addresses = frozenset()
        if addresses != self._addresses:
            _LOGGER.info("own addresses: %s", ", ".join(sorted(map(str, addresses))) or "none")
        self._addresses = addresses

    def __repr__(self) -> str:
        return f"<OwnAddresses {len(self._addresses)}>"


def load_addresses() -> frozenset[Address]:
    """Return the addresses of all interfaces; link-local ones have the number of their link if it is known.

    Raises:
        OSError: The addresses cannot be read.
    """
    import psutil  # noqa: PLC0415 - takes 50 ms, and not every Px needs it

    entries = [entry for interface in psutil.net_if_addrs().values() for entry in interface]
    ip_families = {socket.AF_INET, socket.AF_INET6}  # the others are hardware addresses
    found: set[Address] = set()
    for entry in entries:
        if entry.family in ip_families:
            with contextlib.suppress(OSError):  # the interface has just gone
                found.add(_parse(entry.address))
    return frozenset(found)


def find_own_addresses() -> list[str]:
    """Return the addresses by which other computers reach this one, that of the default route first.

    Loopback and link-local addresses are left out. The list is empty without a network.
    """
    found = _find_source_addresses()
    with contextlib.suppress(OSError):
        found += sorted(str(address) for address in load_addresses())
    seen = [text for text in found if text and not _is_local(ip_address(text))]
    return list(dict.fromkeys(seen))


def load_network() -> tuple[frozenset[Address], tuple[str, ...]]:
    """Return the state of the network; two states are equal if nothing changed that matters to Px.

    Raises:
        OSError: The state cannot be read.
    """
    addresses = (address for address in load_addresses() if not address.is_link_local)
    return frozenset(addresses), tuple(_find_source_addresses())


def _find_source_addresses() -> list[str]:
    """Return for IPv4 and IPv6 the address from which this computer sends; empty if it has no route."""
    return [_find_source_address(family, target) for family, target in _ELSEWHERE.items()]


def _find_source_address(family: socket.AddressFamily, target: str) -> str:
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect((target, _DISCARD_PORT))  # sends nothing
            return str(sock.getsockname()[0])
    except OSError:
        return ""


def _is_local(address: Address) -> bool:
    return address.is_loopback or address.is_link_local or address.is_unspecified


def _parse(text: str) -> Address:
    """Parse an address, which may end with ``%`` and the name of its interface."""
    address, _, interface = text.partition("%")
    return ip_address(f"{address}%{socket.if_nametoindex(interface)}" if interface else address)
