from __future__ import annotations

import json
import re
import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from px.core.secret import Secret
from px.downstream.pages.pages import SAFE_FIELDS
from tests.proxy.running_px import RunningPx, running_px
from tests.scripted_upstream import Wire, field_of

CLIENT: dict[str, Any] = {
    "client_auth": "BASIC,DIGEST",
    "client_username": "alice",
    "client_password": Secret("p"),
    "client_nosspi": True,
}
LOGIN = b"Basic " + b64encode(b"alice:p")


async def ask_status() -> dict[str, Any]:
    return {"pid": 7, "text": "é\u2028</script>"}


async def ask(
    px: RunningPx, path: bytes, *fields: bytes, method: bytes = b"GET", wire: Wire | None = None
) -> tuple[bytes, bytes]:
    client = wire or await px.connect()
    lines = b"".join(field + b"\r\n" for field in fields)
    await client.send(b"%b %b HTTP/1.1\r\nHost: localhost:%d\r\n%b\r\n" % (method, path, px.port, lines))
    return await client.read_answer() if method != b"HEAD" else (await client.read_head(), b"")


async def test_the_pages_are_there_and_safe() -> None:
    async with running_px(ask_status=ask_status) as px:
        client = await px.connect()
        for path, kind in (
            (b"/", b"text/html; charset=utf-8"),
            (b"/page.css", b"text/css; charset=utf-8"),
            (b"/page.js", b"text/javascript; charset=utf-8"),
            (b"/status.json?x=1", b"application/json"),
        ):
            head, body = await ask(px, path, wire=client)
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert field_of(head, b"content-type") == kind
            assert field_of(head, b"cache-control") == b"no-store"
            assert all(field_of(head, name.lower()) == value for name, value in SAFE_FIELDS)
            assert b"\naccess-control-" not in head.lower()
            only_head, _ = await ask(px, path, method=b"HEAD", wire=client)
            assert only_head == head
        _, body = await ask(px, b"/status.json", wire=client)
        assert json.loads(body) == await ask_status()


async def test_the_page_has_nothing_that_its_policy_forbids() -> None:
    async with running_px(ask_status=ask_status) as px:
        _, page = await ask(px, b"/")
        _, script = await ask(px, b"/page.js")
    assert not re.search(rb"<style|\sstyle=|\son[a-z]+=|javascript:|<script(?![^>]*\ssrc=)", page)
    outside = re.findall(rb"""(?:src|href|action)=["']?(?!/|#|data:)([^"'> ]+)""", page)
    assert not outside, "the page uses only what Px itself serves"
    assert not re.search(rb"\beval\(|new Function|\.innerHTML\s*=|insertAdjacentHTML|document\.write", script)


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        (b"/nothing", b"GET", 404),
        (b"/favicon.ico", b"GET", 404),
        (b"/../page.html", b"GET", 404),
        (b"/page.html", b"GET", 404),
        (b"/", b"POST", 405),
        (b"/status.json", b"PUT", 405),
        (b"/status.json", b"OPTIONS", 405),
        (b"*", b"OPTIONS", 404),
        (b"/", b"TRACE", 405),
    ],
)
async def test_there_is_nothing_else_and_nothing_to_change(path: bytes, method: bytes, status: int) -> None:
    async with running_px(ask_status=ask_status) as px:
        head, body = await ask(px, path, b"Max-Forwards: 0", method=method)
        assert head.startswith(b"HTTP/1.1 %d Px: no page for this request\r\n" % status)
        assert b"Px" in body
        assert field_of(head, b"allow") == (b"GET, HEAD" if status == 405 else None)
        assert px.px.report()["counters"]["errors"] == 0  # type: ignore[index]


async def test_a_web_site_in_the_users_browser_gets_nothing() -> None:
    async with running_px(ask_status=ask_status) as px:
        head, _ = await ask(px, b"/status.json", b"Sec-Fetch-Site: cross-site")
        assert head.startswith(b"HTTP/1.1 403 ")
        client = await px.connect()
        await client.send(b"GET /status.json HTTP/1.1\r\nHost: evil.test:%d\r\n\r\n" % px.port)
        head, body = await client.read_answer()
        assert head.startswith(b"HTTP/1.1 421 ")
        assert b"pid" not in body
        # A page in a browser that has Px as its proxy asks in absolute form.
        head, body = await px.get(b"http://127.0.0.1:%d/status.json" % px.port)
        assert head.startswith(b"HTTP/1.1 508 ")


async def test_where_clients_log_in_a_page_asks_for_a_login_as_web_servers_do() -> None:
    async with running_px(ask_status=ask_status, **CLIENT) as px:
        client = await px.connect()
        for path in (b"/", b"/status.json", b"/events", b"/nothing", b"/metrics", b"/healthz", b"/proxy.pac"):
            head, _ = await ask(px, path, wire=client)
            assert head.startswith(b"HTTP/1.1 401 Px: log in at this Px\r\n")
            assert b"WWW-Authenticate: Digest " in head
            assert b'WWW-Authenticate: Basic realm="Px' in head
            assert b"Proxy-Authenticate" not in head
        head, _ = await ask(px, b"/", b"Proxy-Authorization: " + LOGIN, wire=client)
        assert head.startswith(b"HTTP/1.1 401 ")
        head, body = await ask(px, b"/status.json", b"Authorization: " + LOGIN, wire=client)
        assert (head[:12], json.loads(body)["pid"]) == (b"HTTP/1.1 200", 7)
        # The login at a page is none for requests that go on.
        head, _ = await px.get(b"http://origin.test/", b"Authorization: " + LOGIN)
        assert head.startswith(b"HTTP/1.1 407 ")


async def test_a_px_that_only_checks_something_has_no_pages() -> None:
    async with running_px() as px:
        head, body = await ask(px, b"/")
        assert head.startswith(b"HTTP/1.1 404 ")
        assert b"no pages" in body


def test_nothing_of_the_pages_is_loaded_before_somebody_asks(tmp_path: Path) -> None:
    code = "import sys, px.app.px; print([name for name in sys.modules if 'px.downstream.pages' in name])"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert ran.stdout == "[]\n"


async def test_pages_do_not_count_as_traffic() -> None:
    async with running_px(ask_status=ask_status) as px:
        await ask(px, b"/")
        await ask(px, b"/status.json")
        traffic: Any = px.px.report()["traffic"]
        assert (sum(traffic["down"]), sum(traffic["requests"])) == (0, 0)
