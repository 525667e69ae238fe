"""The control port of a running Px: a caller that knows the token sends a command and gets an answer.

Command and answer are one line of JSON each. Px listens on a Unix socket of its user
(`px.system.state.control_socket`), or on a loopback port, which other users of this computer and pages in the
user's browser can reach, too. So Px sends nothing before a caller has sent the token, and closes the
connection of a caller that does not send the token at once. When there are too many unauthenticated callers,
Px closes the oldest connection, so that a new caller always gets in.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import socket
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from px.core.message_line import MAX_LINE_BYTES, format_line, parse_line
from px.io.acceptor import accepting

#: How long a caller has to send the token.
UNAUTHENTICATED_SECONDS = 2.0
#: How many unauthenticated callers may be connected. The event loop reads the line of a new caller within
#: five iterations, and accepts too few callers in five iterations to displace this one.
MAX_UNAUTHENTICATED = 128
_ACCEPTED_AT_ONCE = 16
MAX_REQUEST_BYTES = 4096
#: How many connections may wait to be accepted: Windows refuses more.
_BACKLOG = 1024

#: Carries out a command and returns the answer.
Obey = Callable[[Mapping[str, object]], Awaitable[Mapping[str, object]]]
#: Whether the user at the other end of a connection may give commands.
MayCommand = Callable[[socket.socket], bool]

_LOGGER = logging.getLogger("px.control")


class Control:
    """Receives commands.

    Args:
        token: Callers have to send this token.
        obey: Called with each command that came with the token.
        may_command: Called with each connection.
    """

    def __init__(self, token: str, obey: Obey, may_command: MayCommand) -> None:
        self._token = token.encode("ascii")
        self._obey = obey
        self._may_command = may_command
        #: A dictionary, because it keeps the order of arrival.
        self._unauthenticated: dict[_Caller, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._accepting: asyncio.Task[None] | None = None

    async def open(self, sock: socket.socket) -> None:
        """Start to listen on a bound socket.

        Raises:
            OSError: The socket cannot listen.
        """
        sock.setblocking(False)
        sock.listen(_BACKLOG)
        self._accepting = asyncio.get_running_loop().create_task(self._accept(sock))
        self._accepting.add_done_callback(lambda _: sock.close())

    async def _accept(self, listening: socket.socket) -> None:
        async with accepting(listening) as accept:
            while True:
                connection, _ = await accept()
                self._begin(self._connect(connection))  # a task: the next caller need not wait
                with contextlib.suppress(OSError):  # no caller is waiting; `accept` reports other errors
                    for _ in range(_ACCEPTED_AT_ONCE - 1):  # shorten a queue that others may have filled
                        self._begin(self._connect(listening.accept()[0]))

    async def _connect(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: _Caller(self), connection)
        except OSError:  # the caller has left already
            connection.close()

    def close(self) -> None:
        """Stop listening and close unauthenticated connections; commands under way get their answers."""
        if self._accepting is not None:
            self._accepting.cancel()
        for caller in list(self._unauthenticated):
            caller.cut()

    def _begin(self, doing: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(doing)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def receive(self, caller: _Caller, connection: socket.socket) -> bool:
        """Register a new caller; return whether its user may give commands."""
        if not self._may_command(connection):
            _LOGGER.warning("another user tried to give a command")
            return False
        if len(self._unauthenticated) >= MAX_UNAUTHENTICATED:
            next(iter(self._unauthenticated)).cut()
        self._unauthenticated[caller] = None
        return True

    def forget(self, caller: _Caller) -> None:
        """Stop counting a caller as unauthenticated: it has sent the token, or its connection is closed."""
        self._unauthenticated.pop(caller, None)

    def hear(self, caller: _Caller, line: bytes) -> None:
        """Carry out the command in a line, if the line has the token.

        Raises:
            ValueError: The line has no token or a wrong one.
        """
        request = parse_line(line)
        if not hmac.compare_digest(str(request.pop("token", "")).encode(), self._token):
            _LOGGER.warning("a caller without the token tried to give a command")
            raise ValueError("wrong token")
        self.forget(caller)
        self._begin(self._answer(caller, request))

    async def _answer(self, caller: _Caller, request: Mapping[str, object]) -> None:
        answer = b""
        try:
            with contextlib.suppress(OSError, ValueError):
                answer = format_line(await self._obey(request))
        finally:
            caller.end(answer)

    def __repr__(self) -> str:
        return f"<Control unauthenticated={len(self._unauthenticated)}>"


class _Caller(asyncio.Protocol):
    """One connection: unauthenticated until its first line has brought the token.

    Args:
        control: Receives the line of the caller.
    """

    def __init__(self, control: Control) -> None:
        self._control = control
        self._received = bytearray()
        self._is_heard = False
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the line, but only for `UNAUTHENTICATED_SECONDS`."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - it is a connection
        self._transport = transport
        if self._control.receive(self, transport.get_extra_info("socket")):
            self._timer = asyncio.get_running_loop().call_later(UNAUTHENTICATED_SECONDS, self.cut)
        else:
            self.cut()

    def data_received(self, data: bytes) -> None:
        """Take the first line; later data is ignored."""
        if self._is_heard:
            return
        self._received += data
        line, end, _ = bytes(self._received).partition(b"\n")
        if not end and len(line) < MAX_REQUEST_BYTES:
            return
        self._is_heard = True
        self._stop_timer()
        try:
            self._control.hear(self, line + end)
        except ValueError:
            self.cut()

    def eof_received(self) -> bool:
        """Return whether to keep the connection open: a caller whose line arrived still gets an answer."""
        return self._is_heard

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - of `asyncio.Protocol`
        """Forget the connection: the caller or Px has closed it."""
        self._stop_timer()
        self._control.forget(self)

    def end(self, answer: bytes) -> None:
        """Send the answer and close the connection."""
        assert self._transport is not None  # noqa: S101 - its line has arrived
        self._transport.write(answer)
        self._transport.close()

    def cut(self) -> None:
        """Close the connection without an answer."""
        self._control.forget(self)
        if self._transport is not None:
            self._transport.abort()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def ask(connection: socket.socket, token: str, request: Mapping[str, object]) -> dict[str, object]:
    """Send a command to the Px at the other end of a connection; return its answer.

    Raises:
        OSError: No answer came in time.
        ValueError: The answer is not one of a Px that knows the token.
    """
    with connection:
        connection.sendall(format_line({**request, "token": token}))
        with connection.makefile("rb") as stream:
            return parse_line(stream.readline(MAX_LINE_BYTES))
