"""A TCP relay in front of a server; a test can close it, mute it, and open it again at the same port."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from types import TracebackType
from typing import Self

_LOOPBACK = "127.0.0.1"
_PIECE = 262_144
_CUT_OFF = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset


class Gate:
    """Passes connections on to a port while it is open; its own port stays the same.

    Args:
        target_port: The port of the server behind it.

    Attributes:
        port: The port on which it listens.
        connections: The number of connections accepted so far.
        is_mute: Whether it accepts connections but forwards nothing.
    """

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listening: socket.socket | None = None
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self.connections = 0
        self.is_mute = False
        self.port = 0
        self.open()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shut()

    def open(self) -> None:
        """Listen at the same port as before."""
        listening = socket.create_server((_LOOPBACK, self.port), backlog=128)
        self.port = listening.getsockname()[1]
        self._listening = listening
        threading.Thread(target=self._accept, args=(listening,), daemon=True).start()

    def shut(self) -> None:
        """Refuse new connections and reset the open ones, like a machine that crashes."""
        if self._listening is None:
            return
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._listening = None
        with self._lock:
            sockets, self._sockets = self._sockets, set()
        for sock in sockets:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _CUT_OFF)
                sock.shutdown(socket.SHUT_RD)
            sock.close()

    def _accept(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listening.accept()
                self.connections += 1
                server = socket.create_connection((_LOOPBACK, self._target_port))
                with self._lock:
                    self._sockets |= {client, server}
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_PIECE):
                if not self.is_mute:
                    sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
