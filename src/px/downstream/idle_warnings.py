"""Warns that Px closed a silent tunnel, so that nobody suspects the site."""

from __future__ import annotations

import logging

from px.core.http.target import Authority

#: Most hosts that Px remembers.
MAX_HOSTS = 1000

_LOGGER = logging.getLogger("px.tunnel")


class IdleWarnings:
    """One warning for each host."""

    def __init__(self) -> None:
        self._warned: dict[str, None] = {}  # the oldest first

    def note_closed(self, target: Authority, idle_seconds: float) -> None:
        """Warn that a tunnel to a target was closed, unless there was a warning about the host before.

        Args:
            target: Where the tunnel led.
            idle_seconds: How long the tunnel was silent.
        """
        if target.host in self._warned:
            return
        if len(self._warned) >= MAX_HOSTS:
            del self._warned[next(iter(self._warned))]
        self._warned[target.host] = None
        _LOGGER.warning(
            "The tunnel to %s was silent for %g s and was closed. If a program needs longer pauses, raise"
            " --idle (0: no limit).",
            target,
            idle_seconds,
        )

    def __repr__(self) -> str:
        return f"<IdleWarnings hosts={len(self._warned)}>"
