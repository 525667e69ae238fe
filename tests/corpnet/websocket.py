"""A WebSocket (RFC 6455) that sends back every message."""

from __future__ import annotations

import base64
import hashlib
import itertools

from .http_connection import HttpConnection, Request

_MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CLOSE, _PING, _PONG = 0x8, 0x9, 0xA


def echo_messages(connection: HttpConnection, request: Request) -> None:
    """Shake hands, then send back frame after frame until the client closes."""
    key = request.header("sec-websocket-key") + _MAGIC
    accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
    upgrade = [("Upgrade", "websocket"), ("Connection", "Upgrade")]
    connection.send(connection.head(101, [*upgrade, ("Sec-WebSocket-Accept", accept)]))
    connection.keep_alive = False
    while _echo_frame(connection) != _CLOSE:
        pass


def _echo_frame(connection: HttpConnection) -> int:
    """Send one frame back as it comes in, however long it is; return its opcode."""
    first, second = b"".join(connection.read_exactly(2))
    length = second & 0x7F
    extended = {126: 2, 127: 8}.get(length, 0)
    length_bytes = b"".join(connection.read_exactly(extended))
    if extended:
        length = int.from_bytes(length_bytes, "big")
    mask = b"".join(connection.read_exactly(4)) if second & 0x80 else bytes(4)
    opcode = first & 0x0F
    if opcode == _PING:
        first = first & 0xF0 | _PONG
    unmasked = bytes([first, second & 0x7F]) + length_bytes
    position = 0
    connection.send(unmasked)
    for piece in connection.read_exactly(length):
        connection.send(_unmask(piece, mask, position))
        position += len(piece)
    return opcode


def _unmask(data: bytes, mask: bytes, position: int) -> bytes:
    stream = itertools.islice(itertools.cycle(mask), position % 4, position % 4 + 4)
    repeated = (bytes(stream) * (len(data) // 4 + 1))[: len(data)]
    mixed = int.from_bytes(data, "big") ^ int.from_bytes(repeated, "big")
    return mixed.to_bytes(len(data), "big")
