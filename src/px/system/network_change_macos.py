"""Changes of the network as macOS tells them, and other BSDs: a routing socket, route(4)."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable

from px.system.network_notices import watch_socket

if sys.platform != "win32" and sys.platform != "linux":

    def open_notices(loop: asyncio.AbstractEventLoop, notify: Callable[[], None]) -> Callable[[], None]:
        """Have `notify` called in the loop whenever something may have changed; return what ends that.

        Raises:
            OSError: There are no routing sockets here.
        """
        return watch_socket(socket.socket(socket.AF_ROUTE, socket.SOCK_RAW, 0), loop, notify)
