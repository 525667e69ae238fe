"""Real programs get the first part of an incomplete answer, and notice that the rest is missing."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.clients.program import Place, need
from tests.clients.test_chromium import FLAGS
from tests.e2e.peers import read_head
from tests.px_process import PxProcess

pytestmark = pytest.mark.corpnet  # the package list of the network includes these programs

SIZE = 2_000_000
_BODY = b"x" * SIZE
_CUT_LENGTH = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 99000000\r\n\r\n" + _BODY
_CUT_CHUNKED = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"%x\r\n%b\r\n5\r\nab" % (len(_BODY), _BODY)
)
_BAD_CHUNK = _CUT_CHUNKED[: -len(b"5\r\nab")] + b"no chunk\r\n"
_PARTIAL_FILE, _RECEIVE_ERROR = 18, 56

broken = pytest.mark.parametrize(
    "answer", [_CUT_LENGTH, _CUT_CHUNKED, _BAD_CHUNK], ids=["length", "chunked", "bad chunk"]
)


#: Chromium prints no page that failed to load. So this page fetches the broken answer and reports the result;
#: its image keeps the page loading until then.
_PAGE = b"""<title>waiting</title><img src=/hold><script>
(async () => {
  const reader = (await fetch("/broken")).body.getReader();
  let count = 0;
  try {
    for (let part; !(part = await reader.read()).done;) count += part.value.length;
    document.title = `whole ${count}`;
  } catch (error) {
    document.title = `broken ${count}`;
  }
  await fetch("/release");
})();
</script>"""


@contextmanager
def origin_of(answer: bytes) -> Iterator[str]:
    """Run an origin that gives an answer for ``/broken`` and closes; yield its URL."""
    released = threading.Event()

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            path = read_head(connection).split(b" ")[1]
            if path == b"/broken":
                connection.sendall(answer)
                return
            if path == b"/hold":
                released.wait(30)
            elif path == b"/release":
                released.set()
            head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: "
            connection.sendall(head + b"%d\r\n\r\n%b" % (len(_PAGE), _PAGE))

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                connection.settimeout(30)
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=accept, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            listening.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def px(tmp_path: Path) -> Iterator[PxProcess]:
    directory = tmp_path / "px"
    directory.mkdir()
    with PxProcess(directory, "--noproxy=*") as running:
        yield running


@broken
@pytest.mark.parametrize("version", ["--http1.1", "--http1.0"])
def test_curl_gets_the_first_part_and_reports_that_the_answer_is_incomplete(
    px: PxProcess, place: Place, answer: bytes, version: str
) -> None:
    need("curl")
    with origin_of(answer) as url:
        is_decoded = version == "--http1.0" and answer is not _CUT_LENGTH
        # Px resets the connection if a normal end would complete the body.
        code = _RECEIVE_ERROR if is_decoded else _PARTIAL_FILE
        place.run(
            "curl",
            "-sS",
            version,
            "--limit-rate",
            "4M",
            "-x",
            px.url,
            "-o",
            "got",
            f"{url}/broken",
            code=code,
        )
    assert (place.directory / "got").read_bytes()[: len(_BODY)] == _BODY


@broken
def test_chromium_gets_the_first_part_and_notices_that_the_answer_is_incomplete(
    px: PxProcess, place: Place, short_directory: str, answer: bytes
) -> None:
    need("chromium")
    own = [f"--user-data-dir={place.home / 'profile'}", f"--proxy-server={px.url}"]
    with origin_of(answer) as url:
        dom = place.run("chromium", *FLAGS.split(), *own, url, env={"TMPDIR": short_directory})
    found = re.search("<title>broken ([0-9]+)</title>", dom)
    assert found is not None, dom
    assert int(found[1]) in {len(_BODY), len(_BODY) + len(b"ab")}
