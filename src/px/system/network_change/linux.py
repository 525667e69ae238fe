"""Notices of network changes on Linux, and the state of the network: rtnetlink(7).

The kernel sends a message for each change, and also for events that change nothing for Px: an address gets
a longer lifetime, a container gets a link. So after a message Px reads the kernel's tables and compares only
what can change which hosts Px reaches, and how:

- addresses whose scope is wider than a link, and whether they can be used yet;
- unicast routes that were configured (not those that the kernel learned about a single destination);
- whether the links that these addresses and routes use are up.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from px.system.network_change.notices import watch_socket

# linux/netlink.h, linux/rtnetlink.h, linux/if_addr.h, linux/if_link.h
_HEAD: Final = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_ATTRIBUTE: Final = struct.Struct("=HH")  # rtattr: length, type
_LINK: Final = struct.Struct("=BxHiII")  # ifinfomsg: family, type, index, flags, change
_ADDRESS: Final = struct.Struct("=BBBBI")  # ifaddrmsg: family, prefix length, flags, scope, index
_ROUTE: Final = struct.Struct(
    "=BBBBBBBBI"
)  # rtmsg: family, lengths, tos, table, protocol, scope, type, flags

_GET_LINK: Final = 18
_GET_ADDRESS: Final = 22
_GET_ROUTE: Final = 26
_REQUEST_DUMP: Final = 0x1 | 0x300
_ERROR: Final = 2
_DONE: Final = 3

_GROUPS: Final = (
    0x1 | 0x10 | 0x40 | 0x100 | 0x400
)  # RTMGRP_: LINK, IPV4_IFADDR, IPV4_ROUTE, and those of IPV6
_LINK_IS_UP: Final = 0x1 | 0x40 | 0x10000  # IFF_UP, IFF_RUNNING, IFF_LOWER_UP
_ADDRESS_IS_UNFIT: Final = 0x8 | 0x20 | 0x40  # IFA_F_DADFAILED, _DEPRECATED, _TENTATIVE
_ROUTE_IS_DEAD: Final = 0x1 | 0x10  # RTNH_F_DEAD, RTNH_F_LINKDOWN
_ROUTE_IS_LEARNED: Final = 0x200  # RTM_F_CLONED
_SCOPE_LINK: Final = 253
_UNICAST: Final = 1  # RTN_UNICAST
_DESTINATION: Final = 1  # RTA_DST
_OUT_INTERFACE: Final = 4  # RTA_OIF
#: Destination, link, gateway, priority, source, multipath, table, gateway of another family, next hop.
_ROUTE_ATTRIBUTES: Final = {_DESTINATION, _OUT_INTERFACE, 5, 6, 7, 9, 15, 18, 30}
_ADDRESS_ATTRIBUTES: Final = {1, 2}  # IFA_ADDRESS, IFA_LOCAL

_TIMEOUT_SECONDS: Final = 1.0
_DUMP_BYTES: Final = 1 << 18


@dataclass(frozen=True, slots=True)
class Entry:
    """An address, a route or a link; two entries are equal if nothing differs that matters to Px.

    Attributes:
        link: Index of its link; 0 for several or none.
        facts: The fields of the fixed part of the message that matter.
        attributes: Numbers and values of the attributes that matter.
    """

    link: int
    facts: tuple[int, ...]
    attributes: tuple[tuple[int, bytes], ...] = ()


if sys.platform == "linux":

    def open_notices(loop: asyncio.AbstractEventLoop, notify: Callable[[], None]) -> Callable[[], None]:
        """Call `notify` in the loop after each possible change; return the function that ends this.

        Raises:
            OSError: This system has no netlink.
        """
        notices = _open_netlink()
        try:
            notices.bind((0, _GROUPS))
            return watch_socket(notices, loop, notify)
        except OSError:
            notices.close()
            raise

    def load_network() -> frozenset[Entry]:
        """Return the state of the network; two states are equal if nothing changed that matters to Px.

        Raises:
            OSError: The kernel does not answer, or refuses.
        """
        with _open_netlink() as kernel:
            kernel.settimeout(_TIMEOUT_SECONDS)
            addresses = set(read_addresses(_dump(kernel, _GET_ADDRESS)))
            routes = set(read_routes(_dump(kernel, _GET_ROUTE)))
            used = {entry.link for entry in addresses | routes}
            links = {entry for entry in read_links(_dump(kernel, _GET_LINK)) if entry.link in used}
        return frozenset(addresses | routes | links)

    def _open_netlink() -> socket.socket:
        return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)

    def _dump(kernel: socket.socket, kind: int) -> Iterator[bytes]:
        """Ask for all entries of a table; yield each without its netlink header."""
        kernel.send(_HEAD.pack(_HEAD.size + 4, kind, _REQUEST_DUMP, kind, 0) + bytes(4))
        while True:
            for answer, body in split_messages(kernel.recv(_DUMP_BYTES)):
                if answer == _DONE:
                    return
                if answer == _ERROR:
                    raise OSError(-struct.unpack_from("=i", body)[0], "netlink")
                yield body


def split_messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the type and the body of each message."""
    while len(data) >= _HEAD.size:
        length, kind, *_ = _HEAD.unpack_from(data)
        yield kind, data[_HEAD.size : length]
        data = data[_aligned(max(length, _HEAD.size)) :]


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        yield kind, data[_ATTRIBUTE.size : length]
        data = data[_aligned(max(length, _ATTRIBUTE.size)) :]


def _aligned(length: int) -> int:
    return (length + 3) & ~3


def read_links(bodies: Iterator[bytes]) -> Iterator[Entry]:
    """Yield each link, with the flags that say whether it is up."""
    for body in bodies:
        _, _, index, flags, _ = _LINK.unpack_from(body)
        yield Entry(index, (flags & _LINK_IS_UP,))


def read_addresses(bodies: Iterator[bytes]) -> Iterator[Entry]:
    """Yield the addresses whose scope is wider than a link."""
    for body in bodies:
        family, prefix, flags, scope, index = _ADDRESS.unpack_from(body)
        if scope < _SCOPE_LINK:
            kept = _keep(body[_ADDRESS.size :], _ADDRESS_ATTRIBUTES)
            yield Entry(index, (family, prefix, flags & _ADDRESS_IS_UNFIT), kept)


def read_routes(bodies: Iterator[bytes]) -> Iterator[Entry]:
    """Yield the configured unicast routes that lead beyond a link."""
    for body in bodies:
        family, length, _, _, table, _, scope, kind, flags = _ROUTE.unpack_from(body)
        kept = _keep(body[_ROUTE.size :], _ROUTE_ATTRIBUTES)
        named = dict(kept)
        if (
            kind == _UNICAST
            and not flags & _ROUTE_IS_LEARNED
            and not _is_of_link(named.get(_DESTINATION, b""))
        ):
            index = int.from_bytes(named.get(_OUT_INTERFACE, b""), sys.byteorder)
            yield Entry(index, (family, length, table, scope, flags & _ROUTE_IS_DEAD), kept)


def _keep(data: bytes, wanted: set[int]) -> tuple[tuple[int, bytes], ...]:
    return tuple(sorted((kind, value) for kind, value in _attributes(data) if kind in wanted))


def _is_of_link(destination: bytes) -> bool:
    """Whether a route leads to link-local or multicast addresses of IPv6, as on every link (RFC 4291 2.4)."""
    return len(destination) == 16 and (  # noqa: PLR2004 - bytes of an IPv6 address
        destination[0] == 0xFF or (destination[0] == 0xFE and destination[1] & 0xC0 == 0x80)  # noqa: PLR2004
    )
