"""HTTP/1.1 on the server's side of one connection, for the origin."""

from __future__ import annotations

import http
import json
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_PIECE = 262_144
_MAX_LINE = 65_536


class ProtocolError(Exception):
    """The client has sent something that is not HTTP."""


@dataclass
class Request:
    """The head of a request, with its fields as received."""

    line: str
    method: str
    target: str
    headers: list[tuple[str, str]]

    @property
    def path(self) -> str:
        """Return the target without its scheme and host, if any."""
        if "://" not in self.target:
            return self.target
        return "/" + self.target.split("://", 1)[1].partition("/")[2]

    def header(self, name: str) -> str:
        """Return the first header of this name, or nothing."""
        return next((value for key, value in self.headers if key.lower() == name), "")


class HttpConnection:
    """Reads requests from and writes responses to one connected socket."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._reader = connection.makefile("rb")
        self.keep_alive = True
        self.trailers: list[tuple[str, str]] = []

    def read_request(self) -> Request | None:
        """Read the head of the next request; None when there is none."""
        line = self._line()
        if not line:
            return None
        words = line.split(" ")
        if len(words) != 3:
            raise ProtocolError(line)
        request = Request(line, words[0], words[1], self._headers())
        connection = request.header("connection").lower()
        self.keep_alive = "close" not in connection and words[2] != "HTTP/1.0"
        return request

    def read_body(self, request: Request) -> Iterator[bytes]:
        """Read the request's body, piece by piece; ask for it first if the client waits."""
        if request.header("expect").lower() == "100-continue":
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        if "chunked" in request.header("transfer-encoding").lower():
            while size := int(self._line().partition(";")[0], 16):
                yield from self.read_exactly(size)
                self._line()
            self.trailers = self._headers()
        else:
            yield from self.read_exactly(int(request.header("content-length") or 0))

    def read_exactly(self, length: int) -> Iterator[bytes]:
        """Read this many bytes, piece by piece."""
        while length:
            piece = self._reader.read1(min(length, _PIECE))
            if not piece:
                raise ProtocolError("the body has ended too early")
            length -= len(piece)
            yield piece

    def respond(
        self,
        request: Request,
        status: int,
        body: bytes = b"",
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        """Send a whole response in one go."""
        bodiless = status < 200 or status in (204, 304)
        length = [] if bodiless else [("Content-Length", str(len(body)))]
        head = self.head(status, [*length, *headers])
        self.send(head if bodiless or request.method == "HEAD" else head + body)

    def respond_json(self, request: Request, content: object) -> None:
        """Send a response with this content as JSON."""
        body = json.dumps(content).encode() + b"\n"
        self.respond(request, 200, body, [("Content-Type", "application/json")])

    def head(self, status: int, headers: Iterable[tuple[str, str]]) -> bytes:
        """Return the head of a response."""
        try:
            reason = http.HTTPStatus(status).phrase
        except ValueError:
            reason = "Unknown"
        lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers)]
        if not self.keep_alive:
            lines.append("Connection: close")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def send(self, data: bytes | memoryview) -> None:
        """Send all of this."""
        self.socket.sendall(data)

    def _headers(self) -> list[tuple[str, str]]:
        headers = []
        while line := self._line():
            name, _, value = line.partition(":")
            headers.append((name, value.strip()))
        return headers

    def _line(self) -> str:
        return self._reader.readline(_MAX_LINE).decode("latin-1").rstrip("\r\n")
