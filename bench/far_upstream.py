"""A relay that makes an upstream look far away."""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType
from typing import Self

_READ_BYTES = 65536


class FarRelay:
    """Delays all bytes on their way to an upstream and back; a context manager with a thread of its own.

    Args:
        port: Of the upstream, on 127.0.0.1.
        one_way_seconds: How long each byte and each end is on its way, in either direction.

    Attributes:
        port: Its own.
    """

    def __init__(self, port: int, one_way_seconds: float) -> None:
        self.port = 0
        self._upstream_port = port
        self._one_way_seconds = one_way_seconds
        self._is_ready = threading.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._is_ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._is_ready.set()
        self._loop.run_forever()
        server.close()
        self._loop.run_until_complete(self._end())
        self._loop.close()

    async def _end(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        running = asyncio.all_tasks() - {asyncio.current_task()}
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._upstream_port)
        self._writers |= {writer, back}
        await asyncio.gather(self._pass(reader, back), self._pass(there, writer), return_exceptions=True)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_READ_BYTES):
            self._loop.call_later(self._one_way_seconds, writer.write, data)
        self._loop.call_later(self._one_way_seconds, writer.close)
