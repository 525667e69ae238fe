"""Notices of network changes on macOS and other BSDs, by a routing socket: route(4)."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable

from px.system.network_change.notices import watch_socket

if sys.platform != "win32" and sys.platform != "linux":

    def open_notices(loop: asyncio.AbstractEventLoop, notify: Callable[[], None]) -> Callable[[], None]:
        """Call `notify` in the loop after each possible change; return the function that ends this.

        Raises:
            OSError: This system has no routing sockets.
        """
        return watch_socket(socket.socket(socket.AF_ROUTE, socket.SOCK_RAW, 0), loop, notify)
