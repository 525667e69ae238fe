"""Finds the programs that use Px, each time somebody asks for the state of Px."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable
from typing import Final

from px.downstream.client import Client
from px.io.thread_lane import ThreadLane
from px.system.process.socket_programs import Connection, find_programs

#: Less than a worker has for its report. A system that takes longer is not asked again for `PAUSE_SECONDS`.
TIMEOUT_SECONDS: Final = 1.0
PAUSE_SECONDS: Final = 60.0
#: After a look-up none follows for this many times as long: a page asks every two seconds, and some systems
#: have tables of many thousands of open files.
PAUSE_FACTOR: Final = 20

_LOGGER = logging.getLogger("px.programs")


class ClientPrograms:
    """Fills `Client.program`, once for each connection.

    Args:
        now: Monotonic seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._lane = ThreadLane("px-programs", 1, TIMEOUT_SECONDS)
        self._paused_until = float("-inf")
        self._has_warned = False

    async def find(self, clients: Iterable[Client]) -> None:
        """Find the programs of clients whose program is not known yet."""
        began = self._now()
        if began < self._paused_until:
            return
        new: dict[Connection, Client] = {}
        for each in clients:
            if each.program is None and each.is_from_here:
                with contextlib.suppress(OSError):  # its connection has been reset
                    new[each.end, each.own_end] = each
        if not new:
            return
        try:
            names = await self._lane.run(find_programs, new.keys())
        except Exception as error:  # noqa: BLE001 - nobody needs these names so much
            self._pause(error)
            return
        self._paused_until = self._now() + PAUSE_FACTOR * (self._now() - began)
        for connection, client in new.items():
            client.program = names.get(connection, "")

    def _pause(self, error: Exception) -> None:
        self._paused_until = self._now() + PAUSE_SECONDS
        if not (self._has_warned or isinstance(error, TimeoutError)):
            self._has_warned = True
            text = "The programs that use Px are not shown: %s: %s"
            _LOGGER.warning(text, type(error).__name__, error, extra={"is_quiet": True})

    def __repr__(self) -> str:
        return f"<ClientPrograms paused_until={self._paused_until:g}>"
