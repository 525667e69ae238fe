"""Chromium, without a screen: a page with many parts and a WebSocket."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import pytest

from tests.clients.program import Place, need
from tests.clients.site import Site
from tests.clients.way import KERBEROS, NTLM, Login, Way
from tests.corpnet.payload import payload_bytes

COUNT = 16
LENGTH = 60_000
PAGE = Path(__file__).with_name("page.html")
FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-dev-shm-usage
    --disable-background-networking --disable-component-update --disable-sync --disable-default-apps
    --ignore-certificate-errors --proxy-bypass-list=<-loopback> --dump-dom"""


@pytest.mark.parametrize(
    ("login", "scheme"),
    [(NTLM, "http"), (NTLM, "https"), (KERBEROS, "https")],
    ids=["ntlm-ws", "ntlm-wss", "negotiate-wss"],
)
def test_chromium_shows_a_page(
    way: Way, site: Site, place: Place, short_directory: str, login: Login, scheme: str
) -> None:
    need("chromium")
    site.add("/page.html", PAGE.read_bytes())
    for number in range(COUNT):
        site.add(f"/files/{number}", payload_bytes(LENGTH + number))
    origin = way.network.origin
    socket_port = origin.tls_port if scheme == "https" else origin.port
    socket = f"{'wss' if scheme == 'https' else 'ws'}://origin.test:{socket_port}/ws"
    url = site.url(f"/page.html?count={COUNT}&socket={socket}", scheme)
    own = [f"--user-data-dir={place.home / 'profile'}", f"--proxy-server={way.px.url}"]
    dom = place.run("chromium", *FLAGS.split(), *own, url, env={"TMPDIR": short_directory})
    assert "<title>done</title>" in dom, dom
    found = re.search(r'<pre id="results">(.*)</pre>', dom)
    assert found is not None, dom
    results = json.loads(html.unescape(found[1]))
    assert results["socket"] == "5+100000 closed 1000"
    assert results["files"] == [_digest(payload_bytes(LENGTH + number)) for number in range(COUNT)]
    tunnels = [f"CONNECT origin.test:{socket_port}"]
    if scheme == "https":
        way.arrived(*tunnels, f"CONNECT {site.authority('https')}")
    else:
        way.arrived(*tunnels, f"GET {url}", *(f"GET {site.url(f'/files/{each}')}" for each in range(COUNT)))


def _digest(data: bytes) -> str:
    """Return the digest that the page computes of a file."""
    digest = 0
    for byte in data:
        digest = (digest * 31 + byte) % 1_000_003
    return f"{len(data)}:{digest}"
