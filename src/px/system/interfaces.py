"""The addresses of this computer's network interfaces."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from typing import Final

from px.core.host import Address

#: How long what was read is taken for true. Who asks more often costs nothing, a change is noticed in time.
FRESH_SECONDS = 1.0

#: Addresses that are nobody's (RFC 5737, RFC 3849): whatever has a default route has one to them.
_ELSEWHERE: Final = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}

_LOGGER = logging.getLogger("px.interfaces")


class OwnAddresses:
    """This computer's own addresses, read anew when asked after `FRESH_SECONDS`: 0.2 ms a second at most.

    Args:
        now: Monotonic seconds.
        load: Reads them.
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
            host: IPv4-mapped IPv6 addresses count as IPv4. A zone, the number of a link, counts: the same
                link-local address is somebody else's on another link. (psutil tells none on Windows: there
                any will do.)

        Raises:
            ValueError: It is no IP address.
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
        except OSError as error:  # rather nobody than somebody whose address it no longer is
            _LOGGER.warning("the addresses of this computer cannot be read: %s", error)
            addresses = frozenset()
        if addresses != self._addresses:
            _LOGGER.info("own addresses: %s", ", ".join(sorted(map(str, addresses))) or "none")
        self._addresses = addresses

    def __repr__(self) -> str:
        return f"<OwnAddresses {len(self._addresses)}>"


def load_addresses() -> frozenset[Address]:
    """Return the addresses of all interfaces, link-local ones with the number of their link where it is told.

    Raises:
        OSError: They cannot be read.
    """
    import psutil  # noqa: PLC0415 - 50 ms that only --hostonly and --gateway need

    entries = [entry for interface in psutil.net_if_addrs().values() for entry in interface]
    is_ip = {socket.AF_INET, socket.AF_INET6}  # the others are hardware addresses
    found: set[Address] = set()
    for entry in entries:
        if entry.family in is_ip:
            with contextlib.suppress(OSError):  # the interface has just gone
                found.add(_parse(entry.address))
    return frozenset(found)


def find_own_addresses() -> list[str]:
    """Return this computer's addresses as others see them, the one that the default route leads from first.

    Empty where there is no network; loopback and link-local addresses are none that others see.
    """
    found = [_source_of(family, elsewhere) for family, elsewhere in _ELSEWHERE.items()]
    with contextlib.suppress(OSError):
        found += sorted(str(address) for address in load_addresses())
    seen = [text for text in found if text and not _is_local(ip_address(text))]
    return list(dict.fromkeys(seen))


def _source_of(family: socket.AddressFamily, elsewhere: str) -> str:
    """Return the address from which this computer would send to somewhere; empty: it could not."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect((elsewhere, 9))  # which sends nothing
            return str(sock.getsockname()[0])
    except OSError:
        return ""


def _is_local(address: Address) -> bool:
    return address.is_loopback or address.is_link_local or address.is_unspecified


def _parse(text: str) -> Address:
    """Read an address, with the name of its interface after a ``%`` or without."""
    address, _, interface = text.partition("%")
    return ip_address(f"{address}%{socket.if_nametoindex(interface)}" if interface else address)
