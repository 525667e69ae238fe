"""An origin for many connections at once, and the clients that reach it through Px."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from tests.e2e.peers import read_all, read_head
from tests.px_process import PxProcess

_SECONDS = 20.0
HELD_BYTES = 300_000


class Origin:
    """Answers ``ok``; answers ``/held`` with a body that pauses half-way until `release`; echoes in tunnels.

    Attributes:
        port: The port on which it listens.
        heads: The heads of all requests.
    """

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening
        self._released = threading.Event()
        self.port: int = listening.getsockname()[1]
        self.heads: list[bytes] = []

    def release(self) -> None:
        """Let the paused answers continue."""
        self._released.set()

    def accept(self) -> None:
        """Serve until the listening socket is shut down."""
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                connection.settimeout(_SECONDS)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while True:
                if connection.recv(4, socket.MSG_PEEK) == b"ECHO":
                    self._echo(connection)
                    return
                head = read_head(connection)
                self.heads.append(head)
                self._answer(connection, is_held=b"/held" in head.split(b"\r\n")[0])

    def _answer(self, connection: socket.socket, *, is_held: bool) -> None:
        if not is_held:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            return
        half = HELD_BYTES // 2
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % HELD_BYTES + b"1" * half)
        assert self._released.wait(_SECONDS)
        connection.sendall(b"2" * (HELD_BYTES - half))

    def _echo(self, connection: socket.socket) -> None:
        while data := connection.recv(65_536):
            connection.sendall(data)


@contextmanager
def running_origin() -> Iterator[Origin]:
    """Run an origin for the block."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listening:
        origin = Origin(listening)
        accepting = threading.Thread(target=origin.accept, daemon=True)
        accepting.start()
        try:
            yield origin
        finally:
            origin.release()
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)


class Client:
    """One connection to Px; a context manager.

    Args:
        port: The port of Px.
        origin: The origin of the requests.
        host: The address of Px.
    """

    def __init__(self, port: int, origin: Origin, host: str = "127.0.0.1") -> None:
        self._origin = origin
        self.sock = socket.create_connection((host, port), _SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def ask(self, path: str = "/") -> None:
        """Send a GET."""
        host = f"127.0.0.1:{self._origin.port}"
        self.sock.sendall(f"GET http://{host}{path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())

    def read(self) -> tuple[bytes, bytes]:
        """Return an answer's head and body."""
        head = read_head(self.sock)
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:"))
        body = b""
        while len(body) < length:
            piece = self.sock.recv(min(65_536, length - len(body)))
            assert piece, f"the body ended after {len(body)} of {length} bytes"
            body += piece
        return head, body

    def get(self, path: str = "/") -> bytes:
        """Return the body of an answer."""
        self.ask(path)
        return self.read()[1]

    def has_ended(self) -> bool:
        """Wait for the end of the connection; return whether Px has closed it."""
        return read_all(self.sock) == b""

    def open_tunnel(self) -> None:
        """Turn the connection into a tunnel to the origin."""
        host = f"127.0.0.1:{self._origin.port}"
        self.sock.sendall(f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert read_head(self.sock).startswith(b"HTTP/1.1 200 ")
        self.echo(b"ECHO")

    def echo(self, data: bytes) -> None:
        """Send bytes through the tunnel, and wait until they come back."""
        self.sock.sendall(data)
        received = b""
        while len(received) < len(data):
            piece = self.sock.recv(65_536)
            assert piece, "the tunnel has ended"
            received += piece
        assert received == data


def get(px: PxProcess, origin: Origin, host: str = "127.0.0.1") -> bytes:
    """Send a GET over a new connection to an address of Px; return the body of the answer."""
    with Client(px.port, origin, host) as client:
        return client.get()
