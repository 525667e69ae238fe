"""Notice that the network has changed: another Wi-Fi, a VPN, a cable.

The system says when something may have changed, and says so often: a lease is renewed, a container starts.
What counts is whether the addresses of this computer or its ways out are others than before.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable
from typing import Final

#: Changes come in bursts: an interface, its addresses, its routes. After this long without one all is said.
_QUIET_SECONDS: Final = 0.3
#: After this long the state is looked at though the burst goes on.
_LONGEST_BURST_SECONDS: Final = 2.0
#: Where the system does not say when.
_POLL_SECONDS: Final = 5.0

_LOGGER: Final = logging.getLogger("px.network")

if sys.platform == "linux":
    from px.system.network_change_linux import load_network, open_notices
elif sys.platform == "win32":
    from px.system.network_change_windows import open_notices
    from px.system.network_ways import load_network
else:
    from px.system.network_change_macos import open_notices
    from px.system.network_ways import load_network


class NetworkChanges:
    """Changes of the network since it was made; it is made in a running event loop.

    Making it reads the state of the network (1 ms; on Windows and macOS the first time 50 ms).
    """

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._noticed = asyncio.Event()
        self._close: Callable[[], None] | None = None
        try:
            self._close = open_notices(loop, self._noticed.set)
        except OSError as error:
            _LOGGER.info("changes of the network are looked for every %g s: %s", _POLL_SECONDS, error)
        self._network = _load()

    async def wait(self) -> None:
        """Return after a change, as soon as its burst is over.

        A change that comes while nobody waits is remembered. Not for several at once.
        """
        while True:
            await self._wait_for_notice()
            network = _load()
            # What cannot be read may have changed where somebody says so, else it would every few seconds.
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
            self._noticed.set()  # for who waits next
            raise

    def close(self) -> None:
        """Take no more notice. Safe to call again; who waits still, waits in vain."""
        if self._close is not None:
            self._close()
            self._close = _do_nothing

    def __repr__(self) -> str:
        how = "polls" if self._close is None else "listens"
        return f"<NetworkChanges {how}>"


def _load() -> object | None:
    """Return the state of the network; None where it cannot be read."""
    try:
        return load_network()
    except OSError as error:
        _LOGGER.debug("the state of the network cannot be read: %s", error)
        return None


def _do_nothing() -> None:
    pass
