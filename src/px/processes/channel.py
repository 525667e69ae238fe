"""The connection between the supervisor and the process of a worker, and questions over it.

Each message is a JSON object. A worker's messages have a key ``is``, the supervisor's a key ``do``:

===================================  =================================================================
worker: ``ready``                    it serves
worker: ``failed``                   it cannot serve; ``message`` and ``exit_code`` say why
worker: ``report``                   its ``report``: an answer, or its last words
worker: ``question``                 it wants the state of all workers
worker: ``problem``                  a `px.core.problems.Problem` to tell the user, for `px.processes.notices`
worker: ``proxy``                    the ``text`` about the proxy that was found, likewise
supervisor: ``report``               send a report
supervisor: ``drain``                end within ``seconds``
supervisor: ``receive_status``       the ``status`` of all workers: an answer
===================================  =================================================================
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections import deque
from collections.abc import Mapping
from typing import Any, Self

from px.core.message_line import MAX_LINE_BYTES, format_line, parse_line

#: How long the supervisor waits for the report of a worker.
REPORT_SECONDS = 2.0
#: How long a worker waits for the state of all workers: the supervisor first waits for their reports, and may
#: be busy before and after.
STATUS_SECONDS = REPORT_SECONDS + 3.0

_LOGGER = logging.getLogger("px.channel")


class Channel:
    """Carries messages both ways until one side closes it or ends."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, sock: socket.socket) -> Self:
        """Return the channel over this side's socket of a pair."""
        return cls(*await asyncio.open_connection(sock=sock, limit=MAX_LINE_BYTES))

    async def receive(self) -> dict[str, Any] | None:
        """Return the next message; None when the other side has closed the channel.

        What is no message, or too long, is dropped: it says nothing of the other side's health.
        """
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                try:
                    return parse_line(await self._read_line())
                except ValueError as error:
                    _LOGGER.warning("A message of another process of Px was dropped: %s.", error)
        return None

    async def _read_line(self) -> bytes:
        is_cut = False
        while True:
            try:
                line = await self._reader.readuntil(b"\n")
            except asyncio.LimitOverrunError as error:
                await self._reader.readexactly(error.consumed)
                is_cut = True
                continue
            if is_cut:
                raise ValueError("it is too long")
            return line

    def post(self, message: Mapping[str, object]) -> bool:
        """Send a message without waiting; it is lost if the other side has closed the channel.

        Returns:
            Whether it could be sent: not if it is too long.
        """
        line = format_line(message)
        if len(line) > MAX_LINE_BYTES:
            _LOGGER.warning("A message to another process of Px is too long: %d bytes.", len(line))
            return False
        if not self._writer.is_closing():
            self._writer.write(line)
        return True

    async def close(self) -> None:
        """Close the channel once everything has been sent."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


class Questions:
    """Asks the other side the same question, any number of times; the answers come in the same order.

    Args:
        channel: To the other side.
        message: The question.
    """

    def __init__(self, channel: Channel, message: Mapping[str, object]) -> None:
        self._channel = channel
        self._message = message
        self._unanswered: deque[asyncio.Future[dict[str, Any] | None]] = deque()

    async def ask(self, timeout_seconds: float) -> dict[str, Any] | None:
        """Return the answer; None when it does not come in time, or the other side closes the channel."""
        answer: asyncio.Future[dict[str, Any] | None] = asyncio.get_running_loop().create_future()
        self._unanswered.append(answer)
        self._channel.post(self._message)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                return await answer
        return None

    def receive(self, answer: dict[str, Any] | None) -> None:
        """Answer the oldest question, which may have timed out."""
        if self._unanswered and not (oldest := self._unanswered.popleft()).done():
            oldest.set_result(answer)

    def give_up(self) -> None:
        """Answer None to all questions: the other side has closed the channel."""
        while self._unanswered:
            self.receive(None)
