"""The addresses of this computer, and by which of them it goes out."""

from __future__ import annotations

import contextlib
import socket
from typing import Final

from px.core.host import Address
from px.system.interfaces import load_addresses

#: Addresses that only have to be somewhere else (RFC 5737, RFC 3849): nothing is sent to them.
_ELSEWHERE: Final = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
_DISCARD_PORT: Final = 9


def load_network() -> tuple[frozenset[Address], tuple[str, ...]]:
    """Return the state of the network: equal to another where nothing that counts has changed.

    Raises:
        OSError: It cannot be read.
    """
    addresses = (address for address in load_addresses() if not address.is_link_local)
    return frozenset(addresses), tuple(_own_end(family, there) for family, there in _ELSEWHERE)


def _own_end(family: socket.AddressFamily, there: str) -> str:
    """Return the address from which this computer would speak to another; empty: there is no way."""
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((there, _DISCARD_PORT))
        return str(probe.getsockname()[0])
    return ""
