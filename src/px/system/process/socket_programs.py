"""The programs at the other ends of connections on this computer, as the system tells them."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Collection
from typing import Final

from px.core.host import Address, to_address

#: The IP addresses and ports of the program's socket and of the other end: systems let connections to
#: different ends share one port.
Connection = tuple[tuple[str, int], tuple[str, int]]
_End = tuple[Address | None, int]
#: Windows is not asked: under Wine a look-up took so long that the status came too late.
_IS_ASKED: Final = sys.platform != "win32"


def find_programs(connections: Collection[Connection]) -> dict[Connection, str]:
    """Return the name of the program of each connection; those are missing that the system hides.

    Linux tells this of a user's own programs, macOS only to root, and Px does not ask Windows. This reads
    the tables of the whole system, which takes some milliseconds, and longer with many open files.
    """
    if not _IS_ASKED:
        return {}
    import psutil  # noqa: PLC0415 - only once somebody asks

    wanted = {(_plain(*local), _plain(*remote)): (local, remote) for local, remote in connections}
    found = {}
    with contextlib.suppress(OSError, psutil.Error):
        for open_now in psutil.net_connections("tcp"):
            local, remote = open_now.laddr, open_now.raddr
            if not (local and remote and open_now.pid):
                continue
            connection = wanted.get((_plain(local.ip, local.port), _plain(remote.ip, remote.port)))
            if connection is not None:
                with contextlib.suppress(OSError, psutil.Error):  # it has ended, or is another user's
                    found[connection] = psutil.Process(open_now.pid).name()
    return found


def _plain(host: str, port: int) -> _End:
    return to_address(host), port
