"""The control channel: who may steer a Px, and that nobody else gets a word out of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from px.admin import control
from px.admin.control import Control, ask

TOKEN = "the-token"
_SECONDS = 10.0


class Steered:
    """A `Control`, and what it was told."""

    def __init__(self) -> None:
        self.requests: list[Mapping[str, object]] = []
        self.control = Control(TOKEN, self.obey)
        self.port = 0

    async def obey(self, request: Mapping[str, object]) -> Mapping[str, object]:
        if "do" not in request:
            raise ValueError("unknown command")
        self.requests.append(request)
        return {"done": request["do"]}

    async def say(self, data: bytes) -> bytes:
        """Return all that comes for some bytes; the connection being reset is nothing, too."""
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
async def steered() -> AsyncIterator[Steered]:
    running = Steered()
    running.port = await running.control.open()
    try:
        yield running
    finally:
        running.control.close()


async def test_who_knows_the_token_is_obeyed():
    async with steered() as px:
        answer = await asyncio.to_thread(ask, px.port, TOKEN, {"do": "status"}, _SECONDS)
        assert answer == {"done": "status"}
        assert px.requests == [{"do": "status"}]  # and the token goes no further


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
async def test_nobody_else_gets_a_word(data):
    async with steered() as px:
        assert await px.say(data) == b""
        assert px.requests == []


async def test_an_unknown_command_gets_no_answer():
    async with steered() as px:
        assert await px.say(json.dumps({"token": TOKEN}).encode() + b"\n") == b""


async def test_who_does_not_show_the_token_in_time_is_cut_off(monkeypatch):
    monkeypatch.setattr(control, "STRANGER_SECONDS", 0.05)
    async with steered() as px:
        assert await px.say(b'{"do":') == b""


async def test_strangers_cannot_keep_the_owner_out(monkeypatch):
    monkeypatch.setattr(control, "STRANGER_SECONDS", 0.3)
    async with steered() as px:
        strangers = [await asyncio.open_connection("127.0.0.1", px.port) for _ in range(40)]
        assert await strangers[-1][0].read() == b""  # cut off unheard: the first ones have all the places
        assert await strangers[0][0].read() == b""  # and lose them soon
        answer = await asyncio.to_thread(ask, px.port, TOKEN, {"do": "status"}, _SECONDS)
        assert answer == {"done": "status"}
        for _, writer in strangers:
            writer.close()


async def test_an_answer_of_somebody_else_is_no_answer():
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ValueError):
            await asyncio.to_thread(ask, port, TOKEN, {"do": "status"}, _SECONDS)


def test_the_token_is_not_shown():
    assert TOKEN not in repr(Control(TOKEN, Steered().obey))
