from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import urllib.request
from base64 import b64encode
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from px.app.own_pages import PageQuestions
from px.core.http.request_head import parse_request
from px.core.rules.host_rules import HostRules
from px.core.secret import Secret
from px.downstream import http_front_end
from px.downstream.page_answer import SAFE_FIELDS, PageError, Visitor
from px.downstream.pages.pages import Pages, PageSources
from tests.proxy.running_px import RunningPx, running_px
from tests.px_process import PxProcess
from tests.scripted_upstream import Wire, field_of

CLIENT: dict[str, Any] = {
    "client_auth": "BASIC,DIGEST",
    "client_username": "alice",
    "client_password": Secret("p"),
    "client_nosspi": True,
}
#: All pages and a URL to explain.
PAGES = (
    *(b"/", b"/page.css", b"/page.js", b"/status.json", b"/events", b"/explain?url=a.test"),
    *(b"/metrics", b"/healthz", b"/proxy.pac"),
)
LOGIN = b"Basic " + b64encode(b"alice:p")


async def ask_status() -> dict[str, Any]:
    empty = {"workers": [], "open_connections": 0, "open_tunnels": 0, "active_total": 0}
    return {**empty, "counters": {}, "upstreams": [], "pid": 7, "text": "é\u2028</script>"}


async def explain(url: str, tell: Callable[[str, str], object]) -> bool:
    tell("request", url)
    return True


QUESTIONS = PageQuestions(ask_status, explain)


def fetch(url: str, proxy: str = "") -> tuple[int, str]:
    """Get a URL as a program does; return the status and the text."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": proxy} if proxy else {}))
    try:
        with opener.open(url, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


async def ask(
    px: RunningPx, path: bytes, *fields: bytes, method: bytes = b"GET", wire: Wire | None = None
) -> tuple[bytes, bytes]:
    client = wire or await px.connect()
    lines = b"".join(field + b"\r\n" for field in fields)
    await client.send(b"%b %b HTTP/1.1\r\nHost: localhost:%d\r\n%b\r\n" % (method, path, px.port, lines))
    return await client.read_answer() if method != b"HEAD" else (await client.read_head(), b"")


async def test_the_pages_are_there_and_safe() -> None:
    async with running_px(page_questions=QUESTIONS) as px:
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
    async with running_px(page_questions=QUESTIONS) as px:
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
    async with running_px(page_questions=QUESTIONS) as px:
        head, body = await ask(px, path, method=method)
        assert head.startswith(b"HTTP/1.1 %d Px: no page for this request\r\n" % status)
        assert b"Px" in body
        assert field_of(head, b"allow") == (b"GET, HEAD" if status == 405 else None)
        assert px.px.report()["counters"]["errors"] == 0  # type: ignore[index]


@pytest.mark.parametrize(("method", "path"), [(b"OPTIONS", b"*"), (b"OPTIONS", b"/x"), (b"TRACE", b"/x")])
async def test_px_is_the_last_hop_of_a_request_for_itself(method: bytes, path: bytes) -> None:
    async with running_px(page_questions=QUESTIONS) as px:
        head, body = await ask(px, path, b"Max-Forwards: 0", b"Cookie: secret", method=method)
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        if method == b"OPTIONS":
            assert b"GET" in (field_of(head, b"allow") or b"")
        else:
            assert body.startswith(b"TRACE /x HTTP/1.1\r\nHost: localhost")
            assert b"secret" not in body


async def test_a_web_site_in_the_users_browser_gets_nothing() -> None:
    async with running_px(page_questions=QUESTIONS) as px:
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
    async with running_px(page_questions=QUESTIONS, **CLIENT) as px:
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


async def test_a_web_site_cannot_have_the_users_browser_log_in() -> None:
    """Else a site whose name leads to 127.0.0.1 could guess passwords, and lock accounts."""
    async with running_px(page_questions=QUESTIONS, **CLIENT) as px:
        for login in (b"Authorization: " + LOGIN, b"Authorization: Basic " + b64encode(b"alice:x"), b"X: y"):
            for path in (b"/", b"/proxy.pac", b"/nothing"):
                client = await px.connect()
                request = b"GET %b HTTP/1.1\r\nHost: evil.test:%d\r\n%b\r\n\r\n" % (path, px.port, login)
                await client.send(request)
                head, _ = await client.read_answer()
                assert head.startswith(b"HTTP/1.1 421 ")
                assert b"Authenticate" not in head
                head, _ = await ask(px, path, b"Sec-Fetch-Site: cross-site", login)
                assert head.startswith(b"HTTP/1.1 403 ")


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
    async with running_px(page_questions=QUESTIONS) as px:
        await ask(px, b"/")
        await ask(px, b"/status.json")
        traffic: Any = px.px.report()["traffic"]
        assert (sum(traffic["down"]), sum(traffic["requests"])) == (0, 0)


async def test_the_explanation_for_a_client_that_leaves_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_front_end, "PAGE_HANG_UP_SECONDS", 0.05)
    begun, ended = asyncio.Event(), asyncio.Event()

    async def explain(_: str, __: object) -> bool:
        begun.set()
        try:
            await asyncio.sleep(600)
        finally:
            ended.set()
        return True

    async with running_px(page_questions=PageQuestions(ask_status, explain)) as px:
        client = await px.connect()
        await client.send(b"GET /explain?url=x HTTP/1.1\r\nHost: localhost:%d\r\n\r\n" % px.port)
        await begun.wait()
        client.close()
        async with asyncio.timeout(5):
            await ended.wait()
        head, _ = await ask(px, b"/healthz")
        assert head.startswith(b"HTTP/1.1 200 ")


async def test_the_form_the_metrics_the_health_and_the_script_are_served() -> None:
    async with running_px("127.0.0.1:9", noproxy="*.corp.test", page_questions=QUESTIONS) as px:
        _, body = await ask(px, b"/explain?url=http://a.test/")
        assert json.loads(body) == {"goes": True, "lines": [["request", "http://a.test/"]]}
        head, body = await ask(px, b"/healthz")
        assert (head[:12], body) == (b"HTTP/1.1 200", b"ok\n")
        head, body = await ask(px, b"/proxy.pac")
        assert field_of(head, b"content-type") == b"application/x-ns-proxy-autoconfig"
        assert b'"PROXY localhost:%d"' % px.port in body
        assert b"corp.test" in body


@pytest.mark.parametrize(
    ("states", "status", "text"),
    [
        (("down", "ready"), 200, "ok\n"),
        (("down", "down"), 503, "No upstream can be reached: http://a:0, http://a:1.\n"),
    ],
)
async def test_px_is_not_healthy_while_no_upstream_can_be_reached(
    states: tuple[str, ...], status: int, text: str
) -> None:
    async def ask_upstreams() -> dict[str, Any]:
        return {"upstreams": [{"upstream": f"http://a:{n}", "state": each} for n, each in enumerate(states)]}

    async with running_px(page_questions=PageQuestions(ask_upstreams, explain)) as px:
        head, body = await ask(px, b"/healthz")
        assert head.startswith(b"HTTP/1.1 %d " % status)
        assert body.decode() == text


@pytest.mark.parametrize(
    ("peer", "allowed", "readable"),
    [
        ("127.0.0.1", "127.0.0.0/8, ::1", {*PAGES}),
        ("192.0.2.1", "127.0.0.0/8, ::1", {b"/proxy.pac"}),
        ("192.0.2.1", "192.0.2.0/24", {b"/proxy.pac", b"/metrics", b"/healthz"}),
        ("127.0.0.1", "192.0.2.0/24", {*PAGES} - {b"/metrics", b"/healthz"}),
        ("::1", "", {*PAGES} - {b"/metrics", b"/healthz"}),
    ],
)
async def test_who_may_see_which_page(peer: str, allowed: str, readable: set[bytes]) -> None:
    pages = Pages(
        PageSources(
            ask_status=ask_status,
            explain=explain,
            noproxy=HostRules(),
            metrics_allow=HostRules.parse(allowed, names=False),
            is_px=lambda _: True,
            is_of_another_user=lambda *_: False,
        )
    )
    for path in PAGES:
        head = parse_request(b"GET %b HTTP/1.1\r\nHost: localhost:3128\r\n\r\n" % path)
        visitor = Visitor((peer, 50000), ("127.0.0.1", 3128), is_from_here=peer != "192.0.2.1")
        if path in readable:
            if path != b"/metrics" or find_spec("prometheus_client"):
                assert (await pages.answer(head, visitor)).status == 200
            continue
        with pytest.raises(PageError) as refused:
            await pages.answer(head, visitor)
        assert refused.value.status == 403


@pytest.mark.shows("--metrics_allow")
def test_a_client_that_may_not_read_metrics_is_told_the_option(tmp_path: Path) -> None:
    with PxProcess(tmp_path, "--noproxy=*", "--metrics_allow=192.0.2.0/24") as px:
        assert "FindProxyForURL" in fetch(f"{px.url}/proxy.pac")[1]
        status, text = fetch(f"{px.url}/metrics")
        assert status == 403
        assert "--metrics_allow" in text
        assert json.loads(fetch(f"{px.url}/explain?url=http://{px.url[7:]}/")[1])["goes"] is False
        status, text = fetch(f"{px.url}/explain?url=a%20b")
        assert (status, text.splitlines()[1][:5]) == (400, "url=a")


async def test_without_the_package_for_metrics_the_page_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("prometheus_client")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    async with running_px(page_questions=QUESTIONS) as px:
        head, body = await ask(px, b"/metrics")
        assert head.startswith(b"HTTP/1.1 501 ")
        assert b"px-proxy[metrics]" in body
