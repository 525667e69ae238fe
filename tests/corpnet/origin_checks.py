"""Every endpoint of the origin, asked directly."""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from typing import Any

from . import ntlm_messages
from .checks import Check, curl
from .network import CorporateNetwork
from .payload import payload_bytes, payload_sha256
from .ports import LOOPBACK

_LENGTH = 1_000_003
_UPLOAD = payload_bytes(_LENGTH)
_TIMEOUT = 20
_WEBSOCKET_KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # from RFC 6455, section 1.3, with the required answer below
_WEBSOCKET_ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


class OriginChecks:
    """Makes the checks of the origin."""

    def __init__(self, network: CorporateNetwork) -> None:
        self._origin = network.origin
        self._ca_file = str(network.ca_file)

    def all(self) -> Iterator[Check]:
        """Yield all checks that can run at the same time."""
        checksum = payload_sha256(_LENGTH)
        for path in ("/bytes", "/chunked", "/close"):
            yield Check(path, checksum, partial(self._download, self._connect, path))
        yield Check("/close over TLS", checksum, partial(self._download, self._connect_tls, "/close"))
        yield Check("/chunked, trailer", True, self._trailer)
        yield Check("/upload", checksum, partial(self._upload, chunked=False))
        yield Check("/upload, chunked", checksum, partial(self._upload, chunked=True))
        yield Check("/upload, expected", [b"100 Continue", b"200 OK"], self._expect_continue)
        yield Check("/reject", [b"413 Request Entity Too Large"], self._reject)
        yield Check("/early-hints", [b"103 Early Hints", b"200 OK"], self._early_hints)
        yield Check("/status", "418", partial(curl, self._origin.url("/status/418")))
        yield Check("/slow", "200", partial(curl, self._origin.url("/slow/0.05")))
        yield Check("/echo-headers", ["x-Test", "a"], self._echo_headers)
        yield Check("/ws", b"hello", self._websocket)
        yield Check("/counter", [1, 2], self._counter)
        yield Check("/log", 1, self._log)
        yield Check("/ntlm-login", ["bob", "bob", None], self._ntlm_login)
        by_curl = partial(curl, self._origin.url("/ntlm-login"), "--ntlm", "-u", "bob:secret")
        yield Check("/ntlm-login by curl", "200", by_curl)
        yield Check("TLS", "200", partial(curl, self._origin.tls_url(), "--cacert", self._ca_file))
        if self._origin.ipv6_port:
            yield Check("IPv6", "200", partial(curl, f"http://[::1]:{self._origin.ipv6_port}/"))

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(LOOPBACK, self._origin.port, timeout=_TIMEOUT)

    def _connect_tls(self) -> http.client.HTTPConnection:
        trust = ssl.create_default_context(cafile=self._ca_file)
        return http.client.HTTPSConnection(
            "localhost", self._origin.tls_port, timeout=_TIMEOUT, context=trust
        )

    def _download(self, connect: Any, path: str) -> str:
        with closing(connect()) as connection:
            connection.request("GET", f"{path}/{_LENGTH}")
            return hashlib.sha256(connection.getresponse().read()).hexdigest()

    def _trailer(self) -> bool:
        expected = f"X-Checksum: {payload_sha256(10)}\r\n\r\n".encode()
        return self._exchange(_request("GET /chunked/10")).endswith(expected)

    def _upload(self, *, chunked: bool) -> Any:
        body = (_UPLOAD[start : start + 100_000] for start in range(0, _LENGTH, 100_000))
        with closing(self._connect()) as connection:
            connection.request("PUT", "/upload", body if chunked else _UPLOAD, encode_chunked=chunked)
            return json.load(connection.getresponse())["sha256"]

    def _expect_continue(self) -> list[bytes]:
        request = _request("POST /upload", "Content-Length: 3", "Expect: 100-continue")
        return _status_lines(self._exchange(request + b"abc"))

    def _reject(self) -> list[bytes]:
        return _status_lines(self._exchange(_request("POST /reject", "Content-Length: 1000000")))

    def _early_hints(self) -> list[bytes]:
        return _status_lines(self._exchange(_request("GET /early-hints")))

    def _echo_headers(self) -> Any:
        answer = self._exchange(_request("GET /echo-headers", "x-Test: a", "x-Test: b"))
        return json.loads(answer.partition(b"\r\n\r\n")[2])["headers"][1]

    def _websocket(self) -> bytes:
        """Shake hands and return the echo of a masked message."""
        handshake = _request("GET /ws", "Upgrade: websocket", f"Sec-WebSocket-Key: {_WEBSOCKET_KEY}")
        mask = bytes([1, 2, 3, 4])
        masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(b"hello"))
        message, close = b"\x81\x85" + mask + masked, b"\x88\x80" + mask
        answer = self._exchange(handshake + message + close)
        head, _, frames = answer.partition(b"\r\n\r\n")
        return frames[2:7] if _WEBSOCKET_ACCEPT in head and frames.endswith(b"\x88\0") else answer

    def _counter(self) -> list[Any]:
        with closing(self._connect()) as connection:
            return [_get_json(connection, "/counter")["requests"] for _ in range(2)]

    def _log(self) -> int:
        with closing(self._connect()) as connection:
            _get_json(connection, "/counter?seen-once")
            requests = _get_json(connection, "/log")["requests"]
        return sum(request["path"] == "/counter?seen-once" for request in requests)

    def _ntlm_login(self) -> list[Any]:
        """Log in on one connection; return its user twice, and the user of another connection."""
        names = []
        with closing(self._connect()) as connection, closing(self._connect()) as other:
            _get_json(connection, "/ntlm-login", ntlm_messages.negotiate_message())
            names.append(_get_json(connection, "/ntlm-login", ntlm_messages.authenticate_message("bob")))
            names.append(_get_json(connection, "/ntlm-login"))
            names.append(_get_json(other, "/ntlm-login"))
        return [name.get("user") for name in names]

    def _exchange(self, request: bytes) -> bytes:
        """Send a request and return all bytes until the connection ends."""
        with socket.create_connection((LOOPBACK, self._origin.port), timeout=_TIMEOUT) as connection:
            connection.sendall(request)
            return b"".join(iter(partial(connection.recv, 65536), b""))


def _request(method_and_path: str, *headers: str) -> bytes:
    lines = [f"{method_and_path} HTTP/1.1", "Host: origin", *headers, "Connection: close", "", ""]
    return "\r\n".join(lines).encode()


def _status_lines(answer: bytes) -> list[bytes]:
    prefix = b"HTTP/1.1 "
    return [line.removeprefix(prefix) for line in answer.split(b"\r\n") if line.startswith(prefix)]


def _get_json(connection: http.client.HTTPConnection, path: str, authorization: str = "") -> Any:
    """Return the JSON of the answer; an empty value if the origin refuses."""
    connection.request("GET", path, headers={"Authorization": authorization} if authorization else {})
    response = connection.getresponse()
    body = response.read()
    return json.loads(body) if response.status == 200 else {}
