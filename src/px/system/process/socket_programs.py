"""The programs at the other ends of connections on this computer, as the system tells them."""

from __future__ import annotations

import contextlib
from collections.abc import Collection

from px.core.host import Address, to_address


def find_programs(ends: Collection[tuple[str, int]]) -> dict[tuple[str, int], str]:
    """Return the name of the program at each end of a connection; ends are missing that the system hides.

    Linux tells this of a user's own programs, and Windows of all. macOS tells it only to root. This reads
    the tables of the whole system, which takes some milliseconds.

    Args:
        ends: The IP addresses and ports of the programs' sockets.
    """
    import psutil  # noqa: PLC0415 - only once somebody asks

    wanted: dict[tuple[Address | None, int], tuple[str, int]] = {
        (to_address(host), port): (host, port) for host, port in ends
    }
    found = {}
    with contextlib.suppress(OSError, psutil.Error):
        for connection in psutil.net_connections("tcp"):
            local = connection.laddr
            if not (local and connection.raddr and connection.pid):
                continue
            end = wanted.get((to_address(local.ip), local.port))
            if end is not None:
                with contextlib.suppress(OSError, psutil.Error):  # it has ended, or is another user's
                    found[end] = psutil.Process(connection.pid).name()
    return found
