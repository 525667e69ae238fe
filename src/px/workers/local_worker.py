"""A worker in this process: a `px.app.Px` on the running event loop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from px.workers.worker import Report, WorkOrder

if TYPE_CHECKING:
    from px.app import Px


#: How many objects more than before make it worth while to look for garbage in cycles; Px makes hardly any,
#: and with the 700 that are usual it looks for it thousands of times a second, in vain (a tenth of its time).
GARBAGE_THRESHOLD = 20_000


class LocalWorker:
    """Implements `px.workers.worker.Worker`.

    Args:
        order: What it has to know.
        sockets: That listen; it works with duplicates and leaves these alone.
    """

    def __init__(self, order: WorkOrder, sockets: Sequence[socket.socket]) -> None:
        self.number = order.number
        self.pid = os.getpid()
        self._order = order
        self._shared = sockets
        self._px: Px | None = None
        self._serving: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Serve. See `Worker.start`."""
        # A supervisor of other processes does without all of it.
        from px.access_log import open_sink  # noqa: PLC0415
        from px.app import Px  # noqa: PLC0415

        order = self._order
        access_sink = open_sink(order.settings.accesslog, Path.cwd(), order.state)
        with contextlib.ExitStack() as opened:
            sockets = [opened.enter_context(sock.dup()) for sock in self._shared]
            self._px = Px(order.settings, sockets, order.state, order.installation, access_sink)
            opened.pop_all()
        self._serving = asyncio.create_task(self._px.serve())
        gc.freeze()  # what is there now stays
        gc.set_threshold(GARBAGE_THRESHOLD, *gc.get_threshold()[1:])

    def drain(self, seconds: float | None) -> None:
        """End in time. See `Worker.drain`."""
        if self._ending is not None:
            self._ending.cancel()
        self._ending = asyncio.create_task(self._end(seconds))

    async def _end(self, seconds: float | None) -> None:
        if self._px is not None and self._serving is not None:
            await self._px.stop(seconds)
            self._serving.cancel()

    async def report(self) -> Report:
        """Return what it has done so far."""
        return self._px.report() if self._px is not None else {}

    async def wait_ended(self) -> str:
        """Return when it has ended; raise what broke it, which is a fault of Px."""
        if self._serving is not None:
            await asyncio.wait([self._serving])
            if not self._serving.cancelled():
                self._serving.result()
        return "it was told to"

    def __repr__(self) -> str:
        return f"<LocalWorker {self.number} {'draining' if self._ending else 'serving'}>"
