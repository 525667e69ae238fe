"""Where a Px with the default of --listen listens on the computer of the tests."""

from __future__ import annotations

import socket
from functools import lru_cache

from px.core.http.target import Authority


@lru_cache(maxsize=1)
def has_ipv6() -> bool:
    """Tell whether this computer has ::1."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


def loopback_hosts() -> list[str]:
    """Return the addresses, as Px shows them."""
    return ["127.0.0.1", "::1"] if has_ipv6() else ["127.0.0.1"]


def loopback_places(port: int) -> list[str]:
    """Return the addresses and the port, as Px shows them."""
    return [str(Authority(host, port)) for host in loopback_hosts()]
