"""An origin that sends given bytes as its answers, even if they violate HTTP."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.e2e.peers import read_head

_SECONDS = 30.0
#: The origin answers this path only after a request for `/release`.
_HOLD, _RELEASE = b"/hold", b"/release"
_EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"


class BrokenOrigin:
    """Answers each path with its bytes and closes, since some clients need the close to see the end.

    Args:
        answers: The answers by path.
    """

    def __init__(self, answers: Mapping[bytes, bytes]) -> None:
        self._answers = answers
        self._released = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._connections: list[socket.socket] = []

    @property
    def url(self) -> str:
        """The URL of the root, without the slash."""
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    @contextmanager
    def serve(self) -> Iterator[BrokenOrigin]:
        """Serve until the block ends."""
        accepting = threading.Thread(target=self._accept)
        accepting.start()
        try:
            yield self
        finally:
            self._released.set()
            self._listening.shutdown(socket.SHUT_RDWR)
            accepting.join(_SECONDS)
            self._listening.close()

    def _accept(self) -> None:
        serving = []
        with contextlib.suppress(OSError):  # the test has shut the socket down
            while True:
                connection, _ = self._listening.accept()
                connection.settimeout(_SECONDS)
                self._connections.append(connection)
                serving.append(threading.Thread(target=self._serve_connection, args=(connection,)))
                serving[-1].start()
        for connection, thread in zip(self._connections, serving, strict=True):
            with contextlib.suppress(OSError):  # the client has closed the connection
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(_SECONDS)

    def _serve_connection(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            path = read_head(connection).split(b" ")[1].partition(b"?")[0]
            if path == _HOLD:
                self._released.wait(_SECONDS)
                self._released.clear()
            elif path == _RELEASE:
                self._released.set()
            connection.sendall(self._answers.get(path, _EMPTY))
