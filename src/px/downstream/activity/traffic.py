"""How many bytes and requests went through a worker in the last hour, in slots of ten seconds."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from px.core.report_limits import MAX_SLOTS
from px.io.io_loop import NEVER, IoLoop

SLOT_SECONDS: Final = 10


class Totals(NamedTuple):
    """What has gone through a worker so far.

    Attributes:
        up: Bytes from clients.
        down: Bytes to clients.
        requests: Requests, CONNECTs among them.
    """

    up: int
    down: int
    requests: int


class TrafficHistory:
    """Samples totals at the end of each slot in which there were connections.

    It has no timer of its own: the sweep of `IoLoop` runs while there are connections, and calls `expire`.
    A tunnel that carries bytes for hours so has its bytes in the right slots. Without connections nothing
    runs.

    Args:
        io_loop: Its sweep calls `expire`.
        count: Returns the totals so far.
        has_more: Whether the totals may still grow: there are connections.
        unix_now: Returns unix seconds. Slots begin at multiples of `SLOT_SECONDS`, so that those of
            different workers are the same.
    """

    def __init__(
        self,
        io_loop: IoLoop,
        count: Callable[[], Totals],
        has_more: Callable[[], bool],
        unix_now: Callable[[], float] = time.time,
    ) -> None:
        self._io_loop = io_loop
        self._count = count
        self._has_more = has_more
        self._unix_now = unix_now
        self._slot = 0  # the slot of the last sample
        self._last = Totals(0, 0, 0)
        self._slots: deque[tuple[int, Totals]] = deque(maxlen=MAX_SLOTS)  # those with traffic, in order
        #: Loop time of the end of the slot, while there are connections.
        self.deadline = NEVER

    def begin(self) -> None:
        """Sample from now on, until there are no connections. Safe to call again."""
        if self.deadline == NEVER:
            self._sample()
            self._io_loop.watch(self)
            self._set_deadline()

    def expire(self) -> None:
        """Take a sample: the slot has ended."""
        self._sample()
        if self._has_more():
            self._set_deadline()
        else:
            self._io_loop.unwatch(self)
            self.deadline = NEVER

    def _set_deadline(self) -> None:
        self.deadline = self._io_loop.now() + SLOT_SECONDS - self._unix_now() % SLOT_SECONDS

    def _sample(self) -> None:
        """Add what has gone through since the last sample to the slot of that sample."""
        last = (
            self._last
        )  # a total that goes back, since a request was for a page, waits until it is made up for
        total = Totals(*map(max, last, self._count()))
        if total != last:
            self._add(Totals(*(new - old for new, old in zip(total, last, strict=True))))
            self._last = total
        self._slot = max(self._slot, int(self._unix_now()) // SLOT_SECONDS)  # a clock may be set back

    def _add(self, amount: Totals) -> None:
        slots = self._slots
        if slots and slots[-1][0] == self._slot:
            _, before = slots.pop()
            amount = Totals(*(old + new for old, new in zip(before, amount, strict=True)))
        slots.append((self._slot, amount))

    def report(self) -> dict[str, object]:
        """Return the slots of the last hour from the first one with traffic, the newest last, as JSON.

        The newest slot has not ended yet: ``end`` is the unix time at which it will.
        """
        self._sample()
        oldest = self._slot - MAX_SLOTS + 1
        slots = {slot: amount for slot, amount in self._slots if slot >= oldest}
        amounts = [
            slots.get(slot, _NOTHING) for slot in range(min(slots, default=self._slot), self._slot + 1)
        ]
        return {
            "seconds": SLOT_SECONDS,
            "end": (self._slot + 1) * SLOT_SECONDS,
            "up": [amount.up for amount in amounts],
            "down": [amount.down for amount in amounts],
            "requests": [amount.requests for amount in amounts],
        }

    def __repr__(self) -> str:
        return f"<TrafficHistory slots={len(self._slots)}>"


_NOTHING: Final = Totals(0, 0, 0)
