"""The relay before a far upstream delays the data that it forwards, and loses none of it."""

from __future__ import annotations

import socket
import threading
import time

from bench.far_upstream import FarRelay


def test_bytes_and_ends_come_late_and_whole() -> None:
    text = b"x" * 300_000

    def echo(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            while data := connection.recv(65536):
                connection.sendall(data)

    with socket.create_server(("127.0.0.1", 0)) as upstream:
        echoing = threading.Thread(target=echo, args=(upstream,))
        echoing.start()
        with (
            FarRelay(upstream.getsockname()[1], 0.05) as relay,
            socket.create_connection(("127.0.0.1", relay.port), 10) as client,
        ):
            began = time.monotonic()
            threading.Thread(target=client.sendall, args=(text,)).start()
            received = client.recv(65536)
            assert time.monotonic() - began >= 0.1
            while len(received) < len(text):
                received += client.recv(65536)
            assert received == text
            client.close()
            echoing.join(10)
            assert not echoing.is_alive()
