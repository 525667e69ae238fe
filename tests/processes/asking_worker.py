"""A worker program that asks for the state of all workers, and writes the answer to a file.

tests/processes/test_supervisor.py makes `px.processes.handover` start it instead of Px.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

from px.processes import child
from px.processes.local_worker import LocalWorker


class AskingWorker(LocalWorker):
    """Asks as soon as all workers serve."""

    async def start(self) -> None:
        """Serve, and ask at the same time."""
        await super().start()
        self._asking = asyncio.create_task(self._ask())

    async def _ask(self) -> None:
        status = None
        while status is None or sum("open_tunnels" in worker for worker in status["workers"]) < 2:
            status = await self.ask_status()
            await asyncio.sleep(0.05)
        answer = self._order.state / f"answer-{os.getpid()}.json"
        answer.with_suffix(".new").write_text(json.dumps(status))
        answer.with_suffix(".new").rename(answer)


if __name__ == "__main__":
    vars(child)["LocalWorker"] = AskingWorker
    sys.exit(child.run_worker())
