"""A port that neither accepts nor refuses."""

from __future__ import annotations

import socket
from typing import Self


class Silent:
    """A port of 127.0.0.2 whose queue is full: connecting to it neither succeeds nor fails.

    Args:
        port: The port; 0: a free one.
    """

    def __init__(self, port: int = 0) -> None:
        self._listening = socket.create_server(("127.0.0.2", port), backlog=0)
        self.port = int(self._listening.getsockname()[1])
        self._waiting = []
        for _ in range(3):
            waiting = socket.socket()
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.2", self.port))
            self._waiting.append(waiting)

    @property
    def authority(self) -> str:
        """``host:port``."""
        return f"127.0.0.2:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for sock in (self._listening, *self._waiting):
            sock.close()
