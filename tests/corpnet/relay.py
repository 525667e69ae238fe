"""A relay in front of a proxy that closes the client's connection after every 407.

Some real proxies do this although they announce keep-alive. It breaks a login
that is bound to its connection (NTLM); every other login must survive it.

`python -m tests.corpnet.relay PORTS_FILE PROXY_PORT` listens on a free loopback
port and writes it to the file as JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import sys
from pathlib import Path

from .ports import LOOPBACK, publish_ports

_PIECE = 262_144
_LOGIN_REQUIRED = re.compile(rb"HTTP/1\.[01] 407 ")
_CONTENT_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


class _Requests:
    """Follows the requests on one connection and notes whether the last one was a HEAD."""

    is_head = False


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, requests: _Requests) -> None:
    while data := await reader.read(_PIECE):
        requests.is_head = data.startswith(b"HEAD ")
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


async def _copy_until_407(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, requests: _Requests
) -> None:
    """Copy responses; end after a 407. Squid sends the head of an answer in one piece."""
    while data := await reader.read(_PIECE):
        if _LOGIN_REQUIRED.match(data):
            await _refuse(writer, data if requests.is_head else data + await _rest_of_response(reader, data))
            return
        writer.write(data)
        await writer.drain()


async def _refuse(writer: asyncio.StreamWriter, response: bytes) -> None:
    """Send the last answer together with the close, so that the client does not use the connection again."""
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    writer.write(response)
    writer.write_eof()
    await writer.drain()


async def _rest_of_response(reader: asyncio.StreamReader, start: bytes) -> bytes:
    head, _, body = start.partition(b"\r\n\r\n")
    length = _CONTENT_LENGTH.search(head)
    missing = int(length[1]) - len(body) if length else 0
    return await reader.readexactly(max(0, missing))


async def _relay(
    client_reader: asyncio.StreamReader, client_writer: asyncio.StreamWriter, proxy_port: int
) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError), contextlib.closing(client_writer):
        proxy_reader, proxy_writer = await asyncio.open_connection(LOOPBACK, proxy_port)
        with contextlib.closing(proxy_writer):
            requests = _Requests()
            upwards = asyncio.create_task(_copy(client_reader, proxy_writer, requests))
            await _copy_until_407(proxy_reader, client_writer, requests)
            upwards.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await upwards


async def main(ports_file: str, proxy_port: str) -> None:
    """Listen, publish the port, and relay until the process is ended."""
    server = await asyncio.start_server(
        lambda reader, writer: _relay(reader, writer, int(proxy_port)), LOOPBACK, 0
    )
    publish_ports(Path(ports_file), {"port": server.sockets[0].getsockname()[1]})
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
