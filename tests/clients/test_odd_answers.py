"""Origins that violate RFC 9112: through Px, curl and Chromium get the same as directly."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.broken_origin import BrokenOrigin
from tests.clients.program import Place, need
from tests.clients.test_chromium import FLAGS
from tests.odd_answers import BODY, REPAIRED, UNTOUCHED
from tests.px_process import PxProcess

#: These tests need system packages, as the tests with the network do.
pytestmark = pytest.mark.corpnet

KINDS = {kind: said for kind, (said, _) in (REPAIRED | UNTOUCHED).items()}
PAGE = Path(__file__).with_name("odd.html").read_bytes()
#: curl 7.88 refuses these; later versions may accept them.
NOT_OF_CURL = {"no colon", "a folded first line", "HTTP/1.2"}
#: HTTP/1.0 has no chunks, so Chromium shows the chunk sizes as content.
NOT_OF_CHROMIUM = {"chunked from HTTP/1.0"}


@pytest.fixture(scope="module")
def origin() -> Iterator[BrokenOrigin]:
    """Yield an origin that answers each kind by its number."""
    answers = {b"/%d" % number: said for number, said in enumerate(KINDS.values())}
    answers[b"/page"] = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%b" % (
        len(PAGE),
        PAGE,
    )
    with BrokenOrigin(answers).serve() as running:
        yield running


@pytest.fixture(scope="module")
def px(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PxProcess]:
    """Yield a Px that connects to origins directly."""
    with PxProcess(tmp_path_factory.mktemp("px"), "--noproxy=*") as running:
        yield running


@pytest.mark.parametrize("kind", KINDS)
def test_curl_gets_the_same_answer_as_directly(
    kind: str, origin: BrokenOrigin, px: PxProcess, place: Place
) -> None:
    need("curl")
    url = f"{origin.url}/{[*KINDS].index(kind)}"
    command = ["curl", "-q", "-sS", "--max-time", "20", "-o", "got", url]
    for proxy in ["", px.url] if kind not in NOT_OF_CURL else [px.url]:
        place.run(*command, "-x", proxy)
        assert (place.directory / "got").read_bytes() == BODY


def test_chromium_gets_the_same_answer_as_directly(
    origin: BrokenOrigin, px: PxProcess, place: Place, short_directory: str
) -> None:
    need("chromium")
    url = f"{origin.url}/page?count={len(KINDS)}"
    for way in ("--no-proxy-server", f"--proxy-server={px.url}"):
        own = [f"--user-data-dir={place.home / way[2:5]}", way]
        dom = place.run("chromium", *FLAGS.split(), *own, url, env={"TMPDIR": short_directory})
        assert "<title>done</title>" in dom, dom
        found = re.search(r'<pre id="results">(.*?)</pre>', dom, re.DOTALL)
        assert found is not None, dom
        got = dict(zip(KINDS, json.loads(html.unescape(found[1])), strict=True))
        others = {kind for kind, body in got.items() if body != BODY.decode()}
        assert others == (NOT_OF_CHROMIUM if way == "--no-proxy-server" else set()), got
