"""The status page of a real Px in Chromium: its figures, hostile names, and axe-core's verdict."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.program import Place, need
from tests.clients.way import Way
from tests.corpnet.system_programs import INSTALL_SCRIPT
from tests.devtools import Chromium

HOSTILE = "/upload/<img/src=x/onerror=document.title='run'>"
AXE = [Path(f"/usr{part}/lib/node_modules/axe-core/axe.min.js") for part in ("", "/local")]
#: What axe-core finds wrong, and where.
RUN_AXE = """axe.run().then(({violations}) => violations.map(
    ({id, nodes}) => `${id}: ${nodes.map((node) => node.target).join(", ")}`))"""


@pytest.fixture
def chromium(place: Place, short_directory: str) -> Iterator[Chromium]:
    need("chromium")
    with Chromium(place.home / "profile", place.environment({"TMPDIR": short_directory})) as running:
        yield running


def read_text(chromium: Chromium, selector: str) -> str:
    """Return the text of an element as people see it."""
    text = chromium.evaluate(f"document.querySelector({json.dumps(selector)}).innerText")
    return re.sub(r"\s+", " ", str(text))


def find_axe_problems(chromium: Chromium, script: str) -> list[str]:
    found: list[str] = []
    for scheme in ("light", "dark"):
        for width in (1280, 360):
            chromium.look(width, 800, scheme)
            assert chromium.evaluate("document.documentElement.scrollWidth <= innerWidth"), (
                f"wider than {width}"
            )
            found += [
                f"{scheme}, {width}: {problem}" for problem in chromium.evaluate(f"{script}\n{RUN_AXE}")
            ]
    return found


@contextlib.contextmanager
def open_requests(way: Way) -> Iterator[str]:
    """Keep a tunnel and an upload with a hostile name open through Px; yield the target of the tunnel."""
    origin = way.network.origin
    target = f"origin.test:{origin.tls_port}"
    url = origin.url(HOSTILE, host="origin.test")
    tunnel = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"
    upload = f"POST {url} HTTP/1.1\r\nHost: origin.test:{origin.port}\r\nContent-Length: 10\r\n\r\nabc"
    with contextlib.ExitStack() as stack:
        for text in (tunnel, upload):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", way.px.port), timeout=20))
            client.sendall(text.encode())
            if text is tunnel:
                assert client.recv(1024).startswith(b"HTTP/1.1 200")
        yield target


def fail_once(way: Way) -> None:
    """Ask Px for a tunnel to itself."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", way.px.port, timeout=20)) as connection:
        connection.set_tunnel("127.0.0.1", way.px.port)
        with pytest.raises(OSError, match="508"):
            connection.connect()


def read_axe() -> str:
    """Return axe-core's script; skip the test without it, loudly."""
    for path in AXE:
        if path.exists():
            return path.read_text(encoding="utf-8")
    reason = f"NOT TESTED by axe-core, which is not installed; run {INSTALL_SCRIPT}"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def check_summary(way: Way, chromium: Chromium) -> None:
    counters: dict[str, int] = way.px.status()["counters"]
    requests = counters["requests"] - counters["pages"]
    chromium.wait_for(f"document.getElementById('facts').innerText.includes('{requests} requests')")
    facts = read_text(chromium, "#facts")
    assert f"listening on 127.0.0.1:{way.px.port}" in facts
    assert facts.endswith("1 error.")
    assert re.search(r"In the last .* up, \d requests; busiest at", read_text(chromium, "#plot-text"))
    assert "At a client of Px; the client got 508" in read_text(chromium, "#problems tbody tr")


def check_hops(way: Way, chromium: Chromium, target: str) -> None:
    upstream = f"localhost:{way.upstream.port}"
    rows = [read_text(chromium, f"#active tbody tr:nth-child({number})") for number in (1, 2)]
    tunnel, upload = sorted(rows, key=lambda row: "POST" in row)
    assert tunnel.startswith(f"{target} 1 tunnel via {upstream} python")
    assert f"{HOSTILE} 1 POST request via {upstream} python" in upload
    row = read_text(chromium, "#upstreams tbody tr")
    assert row.startswith(f"http://{upstream} offers NTLM; connects in ")
    assert " in use: It served the last request." in row
    assert row.endswith(r"ADTEST\alice by NTLM")


def ask_for_explanation(chromium: Chromium, url: str, expected: str) -> None:
    chromium.evaluate(f"document.getElementById('url').value = {json.dumps(url)}")
    chromium.evaluate("document.getElementById('explain').requestSubmit()")
    chromium.wait_for(f"document.getElementById('explanation').innerText.includes({json.dumps(expected)})")


def test_the_status_page_shows_what_px_does(way: Way, chromium: Chromium) -> None:
    fail_once(way)
    with open_requests(way) as target:
        chromium.look(1280, 800)
        chromium.open(f"{way.px.url}/")
        chromium.wait_for("document.getElementById('active').innerText.split('python').length === 3")
        check_summary(way, chromium)
        check_hops(way, chromium, target)
        ask_for_explanation(
            chromium, "http://origin.test/", f"goes through http://localhost:{way.upstream.port}"
        )
        assert chromium.complaints == []
        ask_for_explanation(chromium, "<b>x</b>", "<b>x</b>: The target of CONNECT")
        assert chromium.evaluate("document.querySelectorAll('main img, #explanation b').length") == 0
        problems = find_axe_problems(chromium, read_axe())
    assert problems == []
    way.px.stop()
    chromium.wait_for("document.title.includes('Px does not answer any more')")
    way.px.start()
    chromium.wait_for("document.title === 'Px is ready; no client has used it yet'")
