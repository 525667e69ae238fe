"""What all streams of one event loop share: a coarse timer and a receive buffer.

A timer per read would cost more than the read. So whatever waits carries its deadline as a number,
and one sweep a quarter of a second looks for those that are past it.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from px.net.pipes import PipePool

SWEEP_SECONDS = 0.25
NEVER = float("inf")
RECEIVE_BUFFER_BYTES = 1024 * 1024


class Waiter(Protocol):
    """Something that waits, but not for ever."""

    @property
    def deadline(self) -> float:
        """Loop time after which it has waited too long; `NEVER` while it may wait."""

    def expire(self) -> None:
        """Stop waiting: called once the deadline has passed, again at each sweep while it stays so."""


class IoLoop:
    """The shared timer and buffer of one running event loop."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        #: Current loop time in seconds: what the loops of asyncio return, without asking them.
        self.now = time.monotonic
        #: What arrives lands here first: a read copies out what came, a relay sends straight from it.
        #: Its content is valid until control returns to the loop.
        self.receive_buffer = memoryview(bytearray(RECEIVE_BUFFER_BYTES))
        #: For what is carried without coming here.
        self.pipes = PipePool()
        self._waiters: set[Waiter] = set()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, waiter: Waiter) -> None:
        """Expire a waiter when its deadline passes, until it is unwatched."""
        self._waiters.add(waiter)
        if self._timer is None:
            self._timer = self.loop.call_later(SWEEP_SECONDS, self._sweep)

    def unwatch(self, waiter: Waiter) -> None:
        """Watch a waiter no longer."""
        self._waiters.discard(waiter)

    def _sweep(self) -> None:
        now = self.now()
        for waiter in [waiter for waiter in self._waiters if waiter.deadline <= now]:
            waiter.expire()
        self._timer = self.loop.call_later(SWEEP_SECONDS, self._sweep) if self._waiters else None

    def __repr__(self) -> str:
        return f"<IoLoop watching={len(self._waiters)}>"
