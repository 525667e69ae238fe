"""How many files and sockets this process may have open at once: as many as the system lets it have."""

from __future__ import annotations

import contextlib
import sys

#: Where the system names no limit, or more than anybody needs. macOS takes no more than 10,240 (OPEN_MAX of
#: <sys/syslimits.h>) from a process that asks for "unlimited".
MOST_OPEN_FILES = 10240 if sys.platform == "darwin" else 1 << 20
#: Windows has no limit for sockets but memory.
_WITHOUT_LIMIT = 1 << 20

if sys.platform == "win32":

    def raise_limit() -> int:
        """Return how many may be open."""
        return _WITHOUT_LIMIT
else:
    import resource

    def raise_limit() -> int:
        """Raise the soft limit to the hard one, for this process and those it starts; return what it is then.

        A tunnel takes two, so the usual 1,024 would be 500 tunnels.
        """
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft == resource.RLIM_INFINITY:
            return _WITHOUT_LIMIT
        wanted = MOST_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_OPEN_FILES)
        if soft >= wanted:
            return soft
        with contextlib.suppress(OSError, ValueError):  # a sandbox may forbid it
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            return wanted
        return soft
