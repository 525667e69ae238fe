"""Notices that a system sends to a socket: what they say is not read, only that they came."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from typing import Final

_MESSAGE_BYTES: Final = 65536
#: More came than fits. Then there is something to notice, surely.
_OVERFLOW: Final = errno.ENOBUFS

_LOGGER: Final = logging.getLogger("px.network")


def watch_socket(
    notices: socket.socket, loop: asyncio.AbstractEventLoop, notify: Callable[[], None]
) -> Callable[[], None]:
    """Have `notify` called whenever a notice comes; return what ends that and closes the socket."""
    notices.setblocking(False)

    def receive() -> None:
        try:
            while _has_received(notices):
                pass
        except BlockingIOError:
            pass
        except OSError as error:  # else the loop would do nothing but call this again
            loop.remove_reader(notices)
            _LOGGER.warning("the system gives no more notice of changes of the network: %s", error)
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
