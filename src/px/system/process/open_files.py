"""Raises the number of files and sockets that this process may have open to what the system allows."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

#: The limit that Px sets if the system has none or a higher one. macOS accepts at most 10,240 (OPEN_MAX of
#: <sys/syslimits.h>), even if the hard limit is "unlimited".
MOST_OPEN_FILES = 10240 if sys.platform == "darwin" else 1 << 20
#: What `raise_limit` returns if the system sets no limit: on Windows only memory limits sockets.
_WITHOUT_LIMIT = 1 << 20

if sys.platform == "win32":

    def raise_limit() -> int:
        """Return how many sockets may be open."""
        return _WITHOUT_LIMIT

    def read_limits() -> tuple[int, int]:
        """Return the soft and the hard limit; Windows has none."""
        return _WITHOUT_LIMIT, _WITHOUT_LIMIT

    @contextlib.contextmanager
    def using_limits(_limits: tuple[int, int]) -> Iterator[None]:
        """Do nothing: Windows has no such limits."""
        yield
else:
    import resource

    def read_limits() -> tuple[int, int]:
        """Return the soft and the hard limit of this process."""
        return resource.getrlimit(resource.RLIMIT_NOFILE)

    @contextlib.contextmanager
    def using_limits(limits: tuple[int, int]) -> Iterator[None]:
        """Give processes that start in this context other limits than this process has.

        A raised limit is for Px alone: some programs close all descriptors that they may have, one by one.
        """
        own = read_limits()
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, own)

    def raise_limit() -> int:
        """Raise the soft limit to the hard one, for this process and its children; return the new limit.

        A tunnel needs two descriptors, so the usual limit of 1,024 would allow only 500 tunnels.
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
