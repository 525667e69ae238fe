"""The web server behind the proxies; a program of its own.

`python -m tests.corpnet.origin PORTS_FILE CERTIFICATE KEY` listens on free
loopback ports and writes them to the file as JSON. It serves every connection in
a thread with blocking calls: simple, and fast with huge bodies and TLS, too.
"""

from __future__ import annotations

import collections
import contextlib
import hashlib
import itertools
import select
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from . import ntlm_messages
from .http_connection import HttpConnection, ProtocolError, Request
from .payload import payload
from .ports import LOOPBACK, publish_ports
from .websocket import echo_messages

_BACKLOG = 1024
_STACK_SIZE = 262_144
_RESERVE = 4  # threads
_LOG_LENGTH = 200_000
_LINGER_SECONDS = 5
_GOODBYE_SECONDS = 1


class Origin:
    """The state that all connections share: their numbers and the log of requests."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self.log: collections.deque[dict[str, object]] = collections.deque(maxlen=_LOG_LENGTH)

    def serve(self, connection: socket.socket, tls: ssl.SSLContext | None) -> None:
        """Serve one client until its connection ends."""
        with contextlib.suppress(OSError, ProtocolError, ValueError), connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls is None:
                _Client(self, connection, next(self._numbers)).serve()
            else:
                with tls.wrap_socket(connection, server_side=True) as encrypted:
                    _Client(self, encrypted, next(self._numbers)).serve()
                    encrypted.settimeout(_GOODBYE_SECONDS)
                    encrypted.unwrap()


class _Listener:
    """A listening socket, and threads that wait for its connections.

    Some threads are always in reserve: starting one for a new connection would
    delay the answer by a millisecond.
    """

    def __init__(self, origin: Origin, listening: socket.socket, tls: ssl.SSLContext | None) -> None:
        self._origin = origin
        self._socket = listening
        self._tls = tls
        self._idle = 0
        self._lock = threading.Lock()
        for _ in range(_RESERVE):
            self._start_thread()

    def _start_thread(self) -> None:
        threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        while True:
            self._count_idle(1)
            connection, _ = self._socket.accept()
            if self._count_idle(-1) < _RESERVE:
                self._start_thread()
            self._origin.serve(connection, self._tls)

    def _count_idle(self, change: int) -> int:
        with self._lock:
            self._idle += change
            return self._idle


class _Client:
    """One connection."""

    def __init__(self, origin: Origin, connection: socket.socket, number: int) -> None:
        self._origin = origin
        self._http = HttpConnection(connection)
        self._number = number
        self._requests = 0
        self._challenged = False
        self._user = ""

    def serve(self) -> None:
        """Answer requests until the connection ends."""
        while self._http.keep_alive and (request := self._http.read_request()):
            self._requests += 1
            _, name, *rest = request.path.split("?")[0].split("/")
            if name != "log":
                self._origin.log.append(
                    {"method": request.method, "path": request.path, "connection": self._number}
                )
            self._endpoint(name)(request, rest[0] if rest else "")

    def _endpoint(self, name: str) -> Callable[[Request, str], None]:
        """Return the function that answers a path; its argument is the next part of the path."""
        endpoints = {
            "": self._root,
            "bytes": self._bytes,
            "chunked": self._chunked,
            "close": self._until_close,
            "upload": self._upload,
            "reject": self._reject,
            "echo-headers": self._echo_headers,
            "status": self._status,
            "slow": self._slow,
            "early-hints": self._early_hints,
            "ws": self._websocket,
            "ntlm-login": self._ntlm_login,
            "counter": self._counter,
            "log": self._log,
        }
        return endpoints.get(name, self._not_found)

    def _skip_body(self, request: Request) -> None:
        for _ in self._http.read_body(request):
            pass

    def _root(self, request: Request, _: str) -> None:
        self._skip_body(request)
        self._http.respond(request, 200, b"origin\n")

    def _not_found(self, request: Request, _: str) -> None:
        self._skip_body(request)
        self._http.respond(request, 404, b"no such path\n")

    def _bytes(self, request: Request, length: str) -> None:
        self._send_payload(request, int(length), ("Content-Length", length))

    def _until_close(self, request: Request, length: str) -> None:
        self._http.keep_alive = False
        self._send_payload(request, int(length))

    def _send_payload(self, request: Request, length: int, *headers: tuple[str, str]) -> None:
        self._http.send(self._http.head(200, headers))
        if request.method != "HEAD":
            for piece in payload(length):
                self._http.send(piece)

    def _chunked(self, request: Request, length: str) -> None:
        headers = [("Transfer-Encoding", "chunked"), ("Trailer", "X-Checksum")]
        self._http.send(self._http.head(200, headers))
        if request.method == "HEAD":
            return
        digest = hashlib.sha256()
        for piece in payload(int(length)):
            digest.update(piece)
            self._http.send(b"%x\r\n" % len(piece))
            self._http.send(piece)
            self._http.send(b"\r\n")
        self._http.send(f"0\r\nX-Checksum: {digest.hexdigest()}\r\n\r\n".encode())

    def _upload(self, request: Request, _: str) -> None:
        digest = hashlib.sha256()
        length = 0
        for piece in self._http.read_body(request):
            digest.update(piece)
            length += len(piece)
        self._http.respond_json(
            request,
            {
                "method": request.method,
                "length": length,
                "sha256": digest.hexdigest(),
                "headers": request.headers,
                "trailers": self._http.trailers,
            },
        )

    def _reject(self, request: Request, _: str) -> None:
        """Answer without reading the body; close once the client does, or after a while."""
        self._http.keep_alive = False
        self._http.respond(request, 413, b"too much\n")
        if not isinstance(self._http.socket, ssl.SSLSocket):
            self._http.socket.shutdown(socket.SHUT_WR)
        poll = select.poll()
        poll.register(self._http.socket, select.POLLRDHUP)
        poll.poll(_LINGER_SECONDS * 1000)

    def _echo_headers(self, request: Request, _: str) -> None:
        self._skip_body(request)
        self._http.respond_json(request, {"request": request.line, "headers": request.headers})

    def _status(self, request: Request, status: str) -> None:
        self._skip_body(request)
        self._http.respond(request, int(status), f"status {status}\n".encode())

    def _slow(self, request: Request, seconds: str) -> None:
        self._skip_body(request)
        time.sleep(float(seconds))
        self._http.respond(request, 200, b"at last\n")

    def _early_hints(self, request: Request, _: str) -> None:
        self._skip_body(request)
        self._http.send(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")
        self._http.respond(request, 200, b"after the hints\n")

    def _websocket(self, request: Request, _: str) -> None:
        echo_messages(self._http, request)

    def _ntlm_login(self, request: Request, _: str) -> None:
        """Answer with the name of the user who has logged in on this connection."""
        self._skip_body(request)
        sent = request.header("authorization")
        number = ntlm_messages.message_type(sent)
        if number == 3 and self._challenged:
            self._user, self._challenged = ntlm_messages.user_name(sent), False
        elif number or not self._user:
            self._challenged = number == 1
            offer = ntlm_messages.challenge_message() if self._challenged else "NTLM"
            self._http.respond(request, 401, b"log in\n", [("WWW-Authenticate", offer)])
            return
        self._http.respond_json(request, {"user": self._user, "connection": self._number})

    def _counter(self, request: Request, _: str) -> None:
        self._skip_body(request)
        self._http.respond_json(request, {"connection": self._number, "requests": self._requests})

    def _log(self, request: Request, _: str) -> None:
        self._skip_body(request)
        self._http.respond_json(request, {"requests": list(self._origin.log)})


def _listen(family: socket.AddressFamily, address: str) -> socket.socket:
    return socket.create_server((address, 0), family=family, backlog=_BACKLOG)


def main(ports_file: str, certificate: str, key: str) -> None:
    """Listen, publish the ports, and serve until the process is ended."""
    threading.stack_size(_STACK_SIZE)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    listeners = {
        "port": _listen(socket.AF_INET, LOOPBACK),
        "tls_port": _listen(socket.AF_INET, LOOPBACK),
    }
    with contextlib.suppress(OSError):  # no IPv6 here
        listeners["ipv6_port"] = _listen(socket.AF_INET6, "::1")
    origin = Origin()
    for name, listener in listeners.items():
        context = tls if name == "tls_port" else None
        _Listener(origin, listener, context)
    ports = {name: listener.getsockname()[1] for name, listener in listeners.items()}
    publish_ports(Path(ports_file), ports)
    threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
