"""Waits until the network has changed: another Wi-Fi, a VPN, a cable.

The system reports often that something may have changed: a lease is renewed, a container starts. Px counts
it as a change only if the addresses or routes of this computer differ from before.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable
from typing import Final

#: Changes come in bursts: an interface, its addresses, its routes. After this pause the burst is over.
_QUIET_SECONDS: Final = 0.3
#: After this time Px reads the state even if the burst goes on.
_LONGEST_BURST_SECONDS: Final = 2.0
#: How often Px reads the state if the system reports nothing.
_POLL_SECONDS: Final = 5.0

_LOGGER: Final = logging.getLogger("px.network")

if sys.platform == "linux":
    from px.system.network_change.linux import load_network, open_notices
elif sys.platform == "win32":
    from px.system.network_change.interfaces import load_network
    from px.system.network_change.windows import open_notices
else:
    from px.system.network_change.interfaces import load_network
    from px.system.network_change.macos import open_notices


class NetworkChanges:
    """The changes of the network since this object was made; make it in a running event loop.

    The constructor reads the state of the network (1 ms; on Windows and macOS 50 ms the first time).
    """

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._noticed = asyncio.Event()
        self._close: Callable[[], None] | None = None
        try:
            self._close = open_notices(loop, self._noticed.set)
        except OSError as error:
            _LOGGER.info("Px looks for changes of the network every %g s: %s", _POLL_SECONDS, error)
        self._network = _load()

    async def wait(self) -> None:
        """Return after a change, as soon as its burst is over.

        A change that happens while no task waits counts for the next call. One task may wait at a time.
        """
        while True:
            await self._wait_for_notice()
            network = _load()
            # An unreadable state counts as changed only after a notice: polling would count it every time.
            if network != self._network or (network is None and self._close is not None):
                self._network = network
                _LOGGER.info("the network has changed")
                return

    async def _wait_for_notice(self) -> None:
        if self._close is None:
            await asyncio.sleep(_POLL_SECONDS)
            return
        await self._noticed.wait()
        latest = time.monotonic() + _LONGEST_BURST_SECONDS
        try:
            while self._noticed.is_set() and time.monotonic() < latest:
                self._noticed.clear()
                await asyncio.sleep(_QUIET_SECONDS)
        except asyncio.CancelledError:
            self._noticed.set()  # for the next call of `wait`
            raise

    def close(self) -> None:
        """Stop listening for notices. Safe to call again. A task that still waits is never woken."""
        if self._close is not None:
            self._close()
            self._close = _do_nothing

    def __repr__(self) -> str:
        how = "polls" if self._close is None else "listens"
        return f"<NetworkChanges {how}>"


def _load() -> object | None:
    """Return the state of the network; None if it cannot be read."""
    try:
        return load_network()
    except OSError as error:
        _LOGGER.debug("the state of the network cannot be read: %s", error)
        return None


def _do_nothing() -> None:
    pass
