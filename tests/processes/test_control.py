"""The control port obeys callers with the token and sends no data to any other caller."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import pytest

from px.processes import control
from px.processes.control import Control, ask
from tests.scripted_upstream import until

TOKEN = "the-token"
_SECONDS = 10.0
#: For SO_LINGER: closing resets the connection.
_RESET = struct.pack("HH" if sys.platform == "win32" else "ii", 1, 0)


class Controlled:
    """A `Control`, and the commands that it received."""

    def __init__(self) -> None:
        self.requests: list[Mapping[str, object]] = []
        self.may_command = True
        self.wait: Callable[[], Awaitable[object]] = lambda: asyncio.sleep(0)
        self.control = Control(TOKEN, self.obey, lambda _: self.may_command)
        self.port = 0

    async def open(self) -> None:
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        self.port = sock.getsockname()[1]
        await self.control.open(sock)

    def ask(self) -> Mapping[str, object]:
        """Send a command as the owner."""
        return ask(socket.create_connection(("127.0.0.1", self.port), _SECONDS), TOKEN, {"do": "status"})

    async def obey(self, request: Mapping[str, object]) -> Mapping[str, object]:
        if "do" not in request:
            raise ValueError("unknown command")
        self.requests.append(request)
        await self.wait()
        return {"done": request["do"]}

    async def say(self, data: bytes) -> bytes:
        """Send some bytes; return all bytes that come back, none after a reset."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            async with asyncio.timeout(_SECONDS):
                return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()


@asynccontextmanager
async def controlled() -> AsyncIterator[Controlled]:
    running = Controlled()
    await running.open()
    try:
        yield running
    finally:
        running.control.close()


async def test_control_obeys_a_caller_with_the_token():
    async with controlled() as px:
        assert await asyncio.to_thread(px.ask) == {"done": "status"}
        assert px.requests == [{"do": "status"}]  # Control does not pass the token on


@pytest.mark.parametrize(
    "data",
    [
        b'{"do":"quit"}\n',
        b'{"do":"quit","token":""}\n',
        b'{"do":"quit","token":null}\n',
        b'{"do":"quit","token":"the-tokeN"}\n',
        b'{"do":"quit","token":"\\ud800"}\n',
        b'{"do":"quit","token":["the-token"]}\n',
        b"\n",
        b"quit\n",
        b"[" * 4000 + b"\n",
        b"x" * 100_000,
        b'POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n{"do":"quit","token":"the-token"}\n',
    ],
)
async def test_a_caller_without_the_token_gets_no_byte(data):
    async with controlled() as px:
        assert await px.say(data) == b""
        assert px.requests == []


async def test_an_unknown_command_gets_no_answer():
    async with controlled() as px:
        assert await px.say(json.dumps({"token": TOKEN}).encode() + b"\n") == b""


async def test_a_caller_that_does_not_send_the_token_in_time_is_cut_off(monkeypatch):
    monkeypatch.setattr(control, "UNAUTHENTICATED_SECONDS", 0.05)
    async with controlled() as px:
        assert await px.say(b'{"do":') == b""


async def test_control_closes_the_oldest_unauthenticated_caller_for_a_new_one(monkeypatch):
    monkeypatch.setattr(control, "UNAUTHENTICATED_SECONDS", 1000.0)
    monkeypatch.setattr(control, "MAX_UNAUTHENTICATED", 3)
    async with controlled() as px:
        callers = [await asyncio.open_connection("127.0.0.1", px.port) for _ in range(5)]
        async with asyncio.timeout(_SECONDS):
            for reader, _ in callers[:2]:
                assert await reader.read() == b""
        assert "unauthenticated=3" in repr(px.control)
        assert await asyncio.to_thread(px.ask) == {"done": "status"}
        assert "unauthenticated=2" in repr(px.control)  # the owner took the place of the third caller
        for _, writer in callers:
            writer.close()


async def test_a_flood_of_unauthenticated_callers_does_not_keep_the_owner_out(monkeypatch):
    monkeypatch.setattr(control, "UNAUTHENTICATED_SECONDS", 1000.0)
    ends = threading.Event()

    def flood(port: int) -> None:
        kept: list[socket.socket] = []
        while not ends.is_set():
            with contextlib.suppress(OSError):
                kept.append(socket.create_connection(("127.0.0.1", port), _SECONDS))
            if len(kept) > 2 * control.MAX_UNAUTHENTICATED:
                kept.pop(0).close()
        for sock in kept:
            sock.close()

    async with controlled() as px:
        flooding = [asyncio.create_task(asyncio.to_thread(flood, px.port)) for _ in range(3)]
        try:
            await until(lambda: f"unauthenticated={control.MAX_UNAUTHENTICATED}" in repr(px.control))
            for _ in range(20):
                assert await asyncio.to_thread(px.ask) == {"done": "status"}
        finally:
            ends.set()
            await asyncio.gather(*flooding)


async def test_a_client_that_leaves_before_it_is_accepted_does_not_end_control():
    async with controlled() as px:
        for _ in range(3):
            for _ in range(20):  # all of this happens before the event loop runs again
                leaving = socket.create_connection(("127.0.0.1", px.port), _SECONDS)
                leaving.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                leaving.close()
            assert await asyncio.to_thread(px.ask) == {"done": "status"}


async def test_control_accepts_no_caller_after_its_end():
    async with controlled() as px:
        px.control.close()
        await until(lambda: _is_refused(px.port))


def _is_refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), _SECONDS).close()
    except OSError:
        return True
    return False


async def test_a_command_under_way_gets_its_answer_after_the_end():
    async with controlled() as px:
        may_answer = asyncio.Event()
        px.wait = may_answer.wait
        asking = asyncio.create_task(asyncio.to_thread(px.ask))
        await until(lambda: px.requests)
        px.control.close()
        await until(lambda: _is_refused(px.port))
        may_answer.set()
        assert await asking == {"done": "status"}


async def test_a_half_closed_caller_gets_its_answer():
    async with controlled() as px:
        reader, writer = await asyncio.open_connection("127.0.0.1", px.port)
        writer.write(json.dumps({"do": "status", "token": TOKEN}).encode() + b"\nmore")
        writer.write_eof()
        assert json.loads(await reader.read()) == {"done": "status"}
        writer.close()


async def test_control_ignores_another_user_even_with_the_token():
    async with controlled() as px:
        px.may_command = False
        with pytest.raises((ValueError, OSError)):
            await asyncio.to_thread(px.ask)
        assert px.requests == []


async def test_the_client_ignores_the_answer_of_another_program():
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        connection = await asyncio.to_thread(socket.create_connection, ("127.0.0.1", port), _SECONDS)
        with pytest.raises(ValueError):
            await asyncio.to_thread(ask, connection, TOKEN, {"do": "status"})


def test_the_repr_does_not_show_the_token():
    assert TOKEN not in repr(Controlled().control)
