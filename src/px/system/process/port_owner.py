"""The program that listens on a port, as Linux tells it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
#: Lines of /proc/net/tcp: number, local address, remote address, state (0A: listening), ... inode.
_LISTENING: Final = re.compile(r"\s*\d+: [0-9A-F]+:([0-9A-F]{4}) \S+ 0A(?: +\S+){5} +(\d+)")


def find_port_owner(port: int, proc: Path = _PROC) -> str:
    """Return ``NAME, pid N`` of a program that listens on a TCP port; empty if the system does not tell.

    Linux tells this of a user's own programs, and of all programs to root. Other systems are not asked.

    Args:
        port: The port.
        proc: The directory of the process information.
    """
    sockets = {f"socket:[{inode}]" for inode in _find_inodes(port, proc)}
    if not sockets:
        return ""
    for directory in proc.glob("[0-9]*"):
        with contextlib.suppress(OSError):  # another user's process, or it has just ended
            for descriptor in (directory / "fd").iterdir():
                if str(descriptor.readlink()) in sockets:
                    name = (directory / "comm").read_text("utf-8", "replace").strip()
                    return f"{name}, pid {directory.name}"
    return ""


def _find_inodes(port: int, proc: Path) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in (proc / "net" / table).read_text("ascii").splitlines():
                found = _LISTENING.match(line)
                if found and int(found[1], 16) == port:
                    yield found[2]
