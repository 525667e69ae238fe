"""A Px of several workers that can write no file: one wrong login goes out, from whichever worker."""

from __future__ import annotations

import sys
import threading
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.px_process import PxProcess

_WORKERS = 3
#: With this limit no file can grow, neither on disk nor in memory.
_LIMIT = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))"
_WITHOUT_FILES = ("-c", f"{_LIMIT}; from px.cli.main import main; main()")


class Upstream(ThreadingHTTPServer):
    """A proxy that requires a login by Basic."""

    request_queue_size = 64
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.refused = self.accepted = 0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Upstream

    def do_GET(self) -> None:
        """Admit requests with the right password."""
        login = self.headers.get("Proxy-Authorization")
        is_right = login == "Basic " + b64encode(b"alice:right").decode()
        self.server.accepted += is_right
        self.server.refused += bool(login) and not is_right
        self.send_response(200 if is_right else 407)
        self.send_header("Proxy-Authenticate", "Basic realm=x")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_TRACE = do_OPTIONS = do_HEAD = do_GET  # noqa: N815 - names of http.server

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def _px(directory: Path, password: str) -> Iterator[tuple[PxProcess, Upstream]]:
    environment = {"PX_PASSWORD": password}
    if sys.platform == "win32":
        for name in ("home", "temp"):
            (directory / name).mkdir()
        # Files in place of both directories: that of the state, and the one for temporary files.
        (directory / "home" / "state").write_text("")
        (directory / "temp" / "px").write_text("")
        environment |= dict.fromkeys(("TEMP", "TMP"), str(directory / "temp"))
    with Upstream() as upstream:
        threading.Thread(target=upstream.serve_forever, daemon=True).start()
        px = PxProcess(
            directory,
            f"--proxy=127.0.0.1:{upstream.server_address[1]}",
            "--auth=BASIC",
            "--username=alice",
            "--verbose",
            environment=environment,
            workers=_WORKERS,
            program=("-m", "px") if sys.platform == "win32" else _WITHOUT_FILES,
        )
        try:
            with px:
                yield px, upstream
        finally:
            upstream.shutdown()


def _ask(px: PxProcess) -> tuple[int, bytes]:
    with closing(HTTPConnection("127.0.0.1", px.port, timeout=30)) as connection:
        connection.request("GET", "http://origin.test/")
        answer = connection.getresponse()
        return answer.status, answer.read()


def _ask_all(px: PxProcess, count: int) -> list[tuple[int, bytes]]:
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda _: _ask(px), range(count)))


def test_all_workers_send_one_wrong_login_if_no_file_can_be_written(tmp_path: Path) -> None:
    with _px(tmp_path, "wrong") as (px, upstream):
        assert {status for status, _ in _ask_all(px, 12)} == {502}
        assert upstream.refused == 1
        for status, page in _ask_all(px, 12):
            assert status == 502
            assert b"cannot write its record" in page


def test_a_right_password_works_in_all_workers_if_no_file_can_be_written(tmp_path: Path) -> None:
    with _px(tmp_path, "right") as (px, upstream):
        for _ in range(2):
            assert {status for status, _ in _ask_all(px, 24)} == {200}
        assert upstream.refused == 0
