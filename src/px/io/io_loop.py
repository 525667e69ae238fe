"""The parts that all streams of one event loop share: a coarse timer, a receive buffer, pipes.

A timer for each read would cost more than the read. So each waiter carries its deadline as a number, and a
sweep four times a second looks for deadlines that have passed.
"""

from __future__ import annotations

import asyncio
import mmap
import time
from typing import Protocol

from px.io.pipes import PipePool

SWEEP_SECONDS = 0.25
NEVER = float("inf")
RECEIVE_BUFFER_BYTES = 1024 * 1024


class Waiter(Protocol):
    """Something that waits until a deadline."""

    @property
    def deadline(self) -> float:
        """The loop time after which the wait is too long; `NEVER` for no limit."""

    def expire(self) -> None:
        """Stop waiting. Called at each sweep while the deadline has passed."""


class IoLoop:
    """The shared timer and buffer of one running event loop."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        #: Returns the loop time in seconds: the clock of asyncio's loops, without a call to the loop.
        self.now = time.monotonic
        #: Sockets receive into this buffer: a read copies its bytes out, a relay sends straight from it.
        #: Its content is valid until control returns to the loop. The system gives memory for those pages
        #: only that something has been received into.
        self.receive_buffer = memoryview(mmap.mmap(-1, RECEIVE_BUFFER_BYTES))
        #: Pipes for bytes that go from socket to socket inside the kernel.
        self.pipes = PipePool()
        self._waiters: set[Waiter] = set()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, waiter: Waiter) -> None:
        """Expire a waiter when its deadline passes, until it is unwatched."""
        self._waiters.add(waiter)
        if self._timer is None:
            self._timer = self.loop.call_later(SWEEP_SECONDS, self._sweep)

    def unwatch(self, waiter: Waiter) -> None:
        """Stop watching a waiter."""
        self._waiters.discard(waiter)

    def _sweep(self) -> None:
        now = self.now()
        for waiter in [waiter for waiter in self._waiters if waiter.deadline <= now]:
            waiter.expire()
        self._timer = self.loop.call_later(SWEEP_SECONDS, self._sweep) if self._waiters else None

    def __repr__(self) -> str:
        return f"<IoLoop watching={len(self._waiters)}>"
