"""The user of a program at the other end of a connection on this computer, as Linux tells it."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from pathlib import Path
from typing import Final

from px.core.host import Address, to_address

_NET: Final = Path("/proc/net")
#: Lines of /proc/net/tcp: number, local address, remote address, state, queues, timer, retransmits, user.
_LINE: Final = re.compile(
    r"\s*\d+: ([0-9A-F]+):([0-9A-F]{4}) ([0-9A-F]+):([0-9A-F]{4}) \S+ \S+ \S+ \S+ +(\d+)"
)
_ROOT: Final = 0

End = tuple[str, int]


def is_of_another_user(end: End, own_end: End) -> bool:
    """Return whether a client's program belongs to another user than this process; root counts as the same.

    False where the system does not tell. This reads tables of the whole system, which takes some
    milliseconds.

    Args:
        end: The IP address and port of the client's socket.
        own_end: Those of this process's end of the connection.
    """
    return sys.platform != "win32" and find_user(end, own_end) not in {None, _ROOT, os.getuid()}


def find_user(end: End, own_end: End, net: Path = _NET) -> int | None:
    """Return the number of the user whose program has the client's end of a connection; None: unknown."""
    wanted = (to_address(end[0]), end[1], to_address(own_end[0]), own_end[1])
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in (net / table).read_text("ascii").splitlines():
                found = _LINE.match(line)
                if found is None or (int(found[2], 16), int(found[4], 16)) != (end[1], own_end[1]):
                    continue
                if (_parse(found[1]), end[1], _parse(found[3]), own_end[1]) == wanted:
                    return int(found[5])
    return None


def _parse(text: str) -> Address | None:
    """Return an address of the table: words of 32 bits, each in the byte order of this computer."""
    data = bytes.fromhex(text)
    words = [int.from_bytes(data[at : at + 4], "big") for at in range(0, len(data), 4)]
    packed = b"".join(word.to_bytes(4, sys.byteorder) for word in words)
    if len(packed) == 4:  # noqa: PLR2004 - octets of IPv4
        return to_address(".".join(map(str, packed)))
    return to_address(":".join(packed[at : at + 2].hex() for at in range(0, len(packed), 2)))
