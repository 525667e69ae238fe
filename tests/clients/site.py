"""A web server with files and Git repositories for the clients.

It runs in threads of the test's own process, so that a test sees each request.
"""

from __future__ import annotations

import ssl
import threading
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.clients.git_backend import run_git_backend
from tests.corpnet.certificates import Certificates
from tests.corpnet.ports import LOOPBACK

HOST = "origin.test"  # only the Squids can resolve this name

_HOLD_SECONDS = 30.0
_READ_SECONDS = 30.0
_TYPES = {".html": "text/html", ".json": "application/json", ".js": "text/javascript"}


@dataclass(frozen=True)
class Seen:
    """A request that the site has received.

    Attributes:
        method: As sent.
        path: The path with its query.
        headers: Names in lower case; of several fields the last.
        length: The length of the decoded body.
    """

    method: str
    path: str
    headers: dict[str, str]
    length: int


class Site:
    """Serves a directory over HTTP and HTTPS; `/git/...` from the repositories in its `git`.

    `/hold` answers once a client has requested `/release`; a page that contains `/hold` is incomplete before.
    """

    def __init__(self, directory: Path, certificates: Certificates) -> None:
        self.directory = directory
        self.seen: list[Seen] = []
        self.released = threading.Event()
        self._certificates = certificates
        self._servers: list[_Server] = []
        self._threads: list[threading.Thread] = []
        directory.mkdir()

    def __enter__(self) -> Self:
        trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trust.load_cert_chain(self._certificates.server_file, self._certificates.server_key)
        for tls in (None, trust):
            server = _Server((LOOPBACK, 0), _Handler)
            server.site, server.tls = self, tls
            self._servers.append(server)
            self._threads.append(threading.Thread(target=server.serve_forever, args=(0.05,)))
            self._threads[-1].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.released.set()
        for server, thread in zip(self._servers, self._threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join()

    def authority(self, scheme: str = "http") -> str:
        """Return the host and the port."""
        return f"{HOST}:{self._servers[scheme == 'https'].server_address[1]}"

    def url(self, path: str, scheme: str = "http") -> str:
        """Return a URL whose host only a Squid can resolve."""
        return f"{scheme}://{self.authority(scheme)}{path}"

    def add(self, path: str, content: bytes) -> None:
        """Serve this content at this path."""
        file = self.directory / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


class _Server(ThreadingHTTPServer):
    daemon_threads = True  # a client may keep its connection open
    block_on_close = False
    request_queue_size = 64
    site: Site
    tls: ssl.SSLContext | None

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing, since a client may abort a connection."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _READ_SECONDS
    server: _Server

    def setup(self) -> None:
        """Do the TLS handshake in the thread of the connection."""
        if self.server.tls is not None:
            self.request.settimeout(self.timeout)
            self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def finish(self) -> None:
        """Close the TLS socket that `setup` has made."""
        super().finish()
        self.request.close()

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        """Answer a request of any method."""
        body = b"".join(self._read_body())
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.site.seen.append(Seen(self.command, self.path, headers, len(body)))
        if self.path == "/release":
            self.server.site.released.set()
            self._answer(200, b"", [])
        elif self.path.startswith("/hold"):
            released = self.server.site.released.wait(_HOLD_SECONDS)
            self._answer(200 if released else 504, b"", [])
        elif self.path.startswith("/git/"):
            repositories = self.server.site.directory / "git"
            self._answer(*run_git_backend(repositories, self.command, self.path, headers, body))
        else:
            self._send_file()

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815 - named by the base class

    def _read_body(self) -> Iterator[bytes]:
        if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
            yield self.rfile.read(int(self.headers.get("Content-Length", "0")))
            return
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass

    def _send_file(self) -> None:
        site = self.server.site
        path = urllib.parse.unquote(self.path.partition("?")[0])
        file = site.directory / (path.lstrip("/") + ("index.html" if path.endswith("/") else ""))
        if not file.is_file():
            self._answer(404, b"no such file\n", [])
            return
        kind = _TYPES.get(file.suffix, "application/octet-stream")
        self._answer(200, file.read_bytes(), [("Content-Type", kind)])

    def _answer(self, status: int, body: bytes, headers: list[tuple[str, str]]) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
