"""An HTTP client whose test controls the connections: one `Client` is one connection to Px.

`http.client` hides what these tests check: whether a connection was kept, which interim answers arrived,
how a tunnel ended. Bodies are streamed and only their checksum is kept, so that two gigabytes cost
nothing here.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import ssl
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, BinaryIO, Self

from tests.corpnet.payload import payload

TIMEOUT_SECONDS = 30.0
#: The number of bytes of a body that are kept for the test.
MAX_KEPT_BYTES = 1 << 20

_PIECE = 262_144
_MAX_LINE = 65_536
_BODILESS = (204, 304)

Headers = list[tuple[str, str]]


@dataclass
class Body:
    """A request's body: the pattern of `tests.corpnet.payload`, of a length known beforehand or chunked."""

    length: int
    chunked: bool = False

    def fields(self) -> Headers:
        """Return the header fields that announce the body."""
        if self.chunked:
            return [("Transfer-Encoding", "chunked")]
        return [("Content-Length", str(self.length))]

    def wire(self) -> Iterator[bytes | memoryview]:
        """Yield the body as it goes over the wire."""
        for piece in payload(self.length):
            if self.chunked:
                yield b"%x\r\n" % len(piece)
            yield piece
            if self.chunked:
                yield b"\r\n"
        if self.chunked:
            yield b"0\r\n\r\n"


@dataclass
class Head:
    """The first part of an answer."""

    status: int
    reason: str
    headers: Headers

    def header(self, name: str) -> str:
        """Return all values of a field, in order, joined by a comma; empty when there is none."""
        return ", ".join(value for key, value in self.headers if key.lower() == name.lower())


@dataclass
class Answer(Head):
    """A final answer, its body read."""

    body: bytes = b""
    length: int = 0
    sha256: str = ""
    trailers: Headers = field(default_factory=list)
    interim: list[Head] = field(default_factory=list)

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()


class Client:
    """One connection to Px, or through it: after `connect` the same object talks to the other end.

    Args:
        port: The port of Px.
        timeout: The timeout in seconds of a single read or write.
    """

    def __init__(self, port: int, timeout: float = TIMEOUT_SECONDS) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader: BinaryIO = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self.reader.close()
        self._socket.close()

    def shut_down_writing(self) -> None:
        """Close the sending direction."""
        self._socket.shutdown(socket.SHUT_WR)

    def send(self, data: bytes | memoryview) -> None:
        """Send all bytes."""
        self._socket.sendall(data)

    def read_to_end(self) -> bytes:
        """Return everything until the other side ends."""
        return self.reader.read()

    def is_closed_by_peer(self) -> bool:
        """Wait until the peer sends or closes; return whether the peer closed."""
        try:
            return not self.reader.read(1)
        except ConnectionResetError:
            return True

    def request(
        self, method: str, target: str, body: Body | None = None, headers: Iterable[tuple[str, str]] = ()
    ) -> Answer:
        """Send a request and return the answer to it."""
        self.send_head(method, target, [*headers, *(body.fields() if body else [])])
        # The peer may answer and close before the whole body is sent.
        with contextlib.suppress(ConnectionError):
            for piece in body.wire() if body else ():
                self.send(piece)
        return self.read_answer(method)

    def send_head(self, method: str, target: str, headers: Iterable[tuple[str, str]] = ()) -> None:
        """Send the head of a request; without a given Host, Host names the target."""
        fields = list(headers)
        if not any(name.lower() == "host" for name, _ in fields):
            authority = target.partition("://")[2] or target
            authority = authority.partition("/")[0]
            fields.insert(0, ("Host", authority))
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def get(self, target: str, headers: Iterable[tuple[str, str]] = ()) -> Answer:
        """Send a GET request."""
        return self.request("GET", target, headers=headers)

    def connect(self, authority: str, headers: Iterable[tuple[str, str]] = ()) -> Answer:
        """Ask for a tunnel; after a 200, this object talks to the other end of the tunnel."""
        return self.request("CONNECT", authority, headers=headers)

    def start_tls(self, ca_file: str, host: str) -> None:
        """Speak TLS from here on, to the host at the other end of the tunnel."""
        context = ssl.create_default_context(cafile=ca_file)
        self.reader.close()
        self._socket = context.wrap_socket(self._socket, server_hostname=host)
        self.reader = self._socket.makefile("rb")

    def read_answer(self, method: str) -> Answer:
        """Read interim answers and the final one with its body."""
        interim = []
        while (head := self.read_head()).status < 200 and head.status != 101:
            interim.append(head)
        answer = Answer(head.status, head.reason, head.headers, interim=interim)
        is_tunnel = head.status == 101 or (method == "CONNECT" and head.status == 200)
        if not is_tunnel and method != "HEAD" and head.status not in _BODILESS:
            self._read_body(answer)
        return answer

    def read_head(self) -> Head:
        """Read one head."""
        line = self._line()
        version, status, reason = (*line.split(" ", 2), "")[:3]
        if version not in ("HTTP/1.1", "HTTP/1.0"):
            raise ConnectionError(f"no HTTP answer but {line!r}")
        return Head(int(status), reason, self._fields())

    def _fields(self) -> Headers:
        fields = []
        while line := self._line():
            name, _, value = line.partition(":")
            fields.append((name, value.strip()))
        return fields

    def _line(self) -> str:
        line = self.reader.readline(_MAX_LINE)
        if not line.endswith(b"\n"):
            raise ConnectionError(f"the connection ended after {line!r}")
        return line.decode("latin-1").rstrip("\r\n")

    def _read_body(self, answer: Answer) -> None:
        digest = hashlib.sha256()
        kept = bytearray()
        for piece in self._body_pieces(answer):
            digest.update(piece)
            answer.length += len(piece)
            if len(kept) < MAX_KEPT_BYTES:
                kept += piece
        answer.body, answer.sha256 = bytes(kept), digest.hexdigest()

    def _body_pieces(self, answer: Answer) -> Iterator[memoryview]:
        if answer.header("transfer-encoding"):
            while size := int(self._line().partition(";")[0], 16):
                yield from self._exactly(size)
                if self._line():
                    raise ConnectionError("a chunk is longer than announced")
            answer.trailers = self._fields()
        elif length := answer.header("content-length"):
            yield from self._exactly(int(length))
        else:
            while piece := self.reader.read(_PIECE):
                yield memoryview(piece)

    def _exactly(self, length: int) -> Iterator[memoryview]:
        buffer = memoryview(bytearray(min(length, _PIECE)))
        while length:
            count = self.reader.readinto(buffer[: min(length, _PIECE)])  # type: ignore[attr-defined]
            if not count:
                raise ConnectionError(f"the body ended {length} bytes too early")
            yield buffer[:count]
            length -= count
