"""Watches a socket to which the system sends notices; their content does not matter."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from typing import Final

_MESSAGE_BYTES: Final = 65536
#: The kernel dropped notices because the buffer was full, so there were some.
_OVERFLOW: Final = errno.ENOBUFS

_LOGGER: Final = logging.getLogger("px.network")


def watch_socket(
    notices: socket.socket, loop: asyncio.AbstractEventLoop, notify: Callable[[], None]
) -> Callable[[], None]:
    """Call `notify` after each notice; return the function that ends this and closes the socket."""
    notices.setblocking(False)

    def receive() -> None:
        try:
            while _has_received(notices):
                pass
        except BlockingIOError:
            pass
        except OSError as error:  # or else the loop would call this without end
            loop.remove_reader(notices)
            _LOGGER.warning("the system no longer reports changes of the network: %s", error)
        notify()

    def close() -> None:
        loop.remove_reader(notices)
        notices.close()

    loop.add_reader(notices, receive)
    return close


def _has_received(notices: socket.socket) -> bool:
    try:
        return bool(notices.recv(_MESSAGE_BYTES))
    except OSError as error:
        if error.errno == _OVERFLOW:
            return True
        raise
