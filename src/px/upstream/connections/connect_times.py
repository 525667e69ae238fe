"""How long it takes to connect to each upstream."""

from __future__ import annotations

from collections import deque
from typing import Final

#: The connects whose median counts: one slow connect does not show, a slow network does.
REMEMBERED: Final = 5
#: A PAC script may name any number of upstreams.
MAX_UPSTREAMS: Final = 64


class ConnectTimes:
    """The times of the last connects to upstreams, TLS included."""

    def __init__(self) -> None:
        self._seconds: dict[str, deque[float]] = {}  # the oldest upstream first

    def note(self, upstream: str, seconds: float) -> None:
        """Note how long a connect to an upstream took."""
        times = self._seconds.get(upstream)
        if times is None:
            if len(self._seconds) >= MAX_UPSTREAMS:
                del self._seconds[next(iter(self._seconds))]
            times = self._seconds[upstream] = deque(maxlen=REMEMBERED)
        times.append(seconds)

    def median_ms(self, upstream: str) -> float | None:
        """Return the median of the last times in milliseconds; None: Px has not connected there."""
        from statistics import median  # noqa: PLC0415 - 0.5 MB, only for a status

        times = self._seconds.get(upstream)
        return round(median(times) * 1000, 1) if times else None

    def __repr__(self) -> str:
        return f"<ConnectTimes {list(self._seconds)}>"
