"""A worker in this process: a `px.app.px.Px` on the running event loop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from px.processes.notices import format_proxy_notice
from px.processes.worker import AskStatus, OnNotice, Report, WorkOrder

if TYPE_CHECKING:
    from px.app.px import Px
    from px.system.state.shared_right import SharedRight


#: After this many new objects Python looks for garbage in cycles. Px makes hardly any such garbage; with the
#: usual threshold of 700, Python would look for it thousands of times a second (a tenth of the time of Px).
GARBAGE_THRESHOLD = 20_000


class LocalWorker:
    """Implements `px.processes.worker.Worker`.

    Args:
        order: For this worker.
        sockets: Listening sockets; the worker uses duplicates and leaves these open.
        shared_right: The right that all workers share; it stays open.
        ask_status: Returns the state of all workers, for pages that Px itself serves.
        on_notice: Called with what the worker has to tell the user.
    """

    def __init__(
        self,
        order: WorkOrder,
        sockets: Sequence[socket.socket],
        shared_right: SharedRight,
        ask_status: AskStatus,
        on_notice: OnNotice,
    ) -> None:
        self.ask_status = ask_status
        self._on_notice = on_notice
        self.number = order.number
        self.pid = os.getpid()
        self._order = order
        self._shared = sockets
        self._shared_right = shared_right
        self._px: Px | None = None
        self._serving: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start to serve. See `Worker.start`."""
        # Imported here: a supervisor whose workers are other processes never needs these modules.
        from px.app.own_pages import PageQuestions  # noqa: PLC0415
        from px.app.px import Px  # noqa: PLC0415
        from px.logs.access_log import open_sink  # noqa: PLC0415
        from px.logs.log import working_directory  # noqa: PLC0415

        order = self._order
        accesslog, form = order.settings.accesslog, order.settings.accesslog_format
        access_sink = open_sink(accesslog, working_directory(), order.state, form)
        with contextlib.ExitStack() as opened:
            sockets = [opened.enter_context(sock.dup()) for sock in self._shared]
            shared_right = self._shared_right
            self._px = Px(
                order.settings,
                sockets,
                order.state,
                order.installation,
                access_sink,
                shared_right,
                page_questions=PageQuestions(self.ask_status, self._explain),
            )
            opened.pop_all()
        self._px.follow_proxy(lambda text: self._on_notice(format_proxy_notice(text)))
        self._serving = asyncio.create_task(self._px.serve())
        if gc.get_threshold()[0] == GARBAGE_THRESHOLD:  # an earlier worker, before a reload, has left garbage
            gc.unfreeze()
            gc.collect()
        gc.freeze()  # the objects of now live as long as the worker: never look at them again
        gc.set_threshold(GARBAGE_THRESHOLD, *gc.get_threshold()[1:])

    async def _explain(self, url: str, tell: Callable[[str, str], object]) -> bool:
        """Explain the route of a URL; see `px.checks.explain.explain`."""
        from px.checks.explain import explain  # noqa: PLC0415 - only once a page asks

        return await explain(self._order.settings, url, tell, "url")

    def drain(self, seconds: float | None) -> None:
        """Begin to end. See `Worker.drain`."""
        if self._ending is not None:
            self._ending.cancel()
        self._ending = asyncio.create_task(self._end(seconds))

    async def _end(self, seconds: float | None) -> None:
        if self._px is not None and self._serving is not None:
            await self._px.stop(seconds)
            self._serving.cancel()

    async def report(self) -> Report:
        """Return the state of the worker."""
        if self._px is None:
            return {}
        await self._px.find_programs()
        return self._px.report()

    async def wait_ended(self) -> str:
        """Return how the worker has ended; raise the exception that broke it, which is a fault of Px."""
        if self._serving is not None:
            await asyncio.wait([self._serving])
            if not self._serving.cancelled():
                self._serving.result()
        return "as it was told to"

    def __repr__(self) -> str:
        return f"<LocalWorker {self.number} {'draining' if self._ending else 'serving'}>"
