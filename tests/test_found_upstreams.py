"""A Px that is told no upstream, and finds it: in each place where one may be named, for real."""

from __future__ import annotations

import base64
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.desktops import MANUAL, SCRIPT, gnome_desktop, internet_options
from tests.free_ports import free_port
from tests.px_process import PxProcess, run_action, until
from tests.small_origin import get

SITE = "site.example"


class Upstream:
    """A proxy that answers by its name; and a web server with a PAC script."""

    def __init__(self, name: str, port: int) -> None:
        self.name = name
        self.port = port
        self.pac = b""
        self.content_type = "application/x-ns-proxy-autoconfig"

    @property
    def pac_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/proxy.pac"


@contextmanager
def upstream(name: str) -> Iterator[Upstream]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            is_pac = self.path == "/proxy.pac"
            text = running.pac if is_pac else b"by " + name.encode()
            self.send_response(200)
            self.send_header("Content-Type", running.content_type if is_pac else "text/plain")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        running = Upstream(name, server.server_port)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield running
        server.shutdown()
        thread.join()


@pytest.fixture
def first() -> Iterator[Upstream]:
    with upstream("first") as running:
        yield running


@pytest.fixture
def second() -> Iterator[Upstream]:
    with upstream("second") as running:
        yield running


def script(body: str) -> str:
    return f"function FindProxyForURL(url, host) {{ {body} }}"


def proxies(*upstreams: Upstream) -> str:
    return "; ".join(f"PROXY 127.0.0.1:{each.port}" for each in upstreams)


def asked(px: PxProcess, site: str = SITE) -> str:
    """Ask for a site; return who answered, or the status."""
    answer = get(px, site)
    head, _, body = answer.partition(b"\r\n\r\n")
    return body.decode() if b" 200 " in head.splitlines()[0] else head.split()[1].decode()


def test_the_upstream_is_read_from_the_environment(tmp_path: Path, first: Upstream) -> None:
    environ = {"http_proxy": f"http://127.0.0.1:{first.port}", "no_proxy": "127.0.0.2"}
    with PxProcess(tmp_path, environment=environ) as px:
        assert "Upstream: as the system's settings or the environment say" in px.output
        assert asked(px) == "by first"
        assert px.status()["way"] == f"environment: http://127.0.0.1:{first.port}"
        assert asked(px, "127.0.0.2:9") == "502"  # which nobody serves


def test_an_environment_that_names_px_itself_names_nobody(tmp_path: Path) -> None:
    environ = {"http_proxy": "http://127.0.0.1:3128", "https_proxy": "http://localhost:3128"}
    done = run_action(tmp_path, environment=environ)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no upstream proxy is known" in done.stderr
    assert "http_proxy" in done.stderr.lower()  # Windows knows upper case only
    assert "Px itself" in done.stderr


@pytest.mark.parametrize("place", ["path", "file", "http", "data"])
@pytest.mark.shows("--pac")
def test_a_script_names_the_upstream_wherever_it_is(tmp_path: Path, first: Upstream, place: str) -> None:
    text = script(f'return host == "{SITE}" ? "{proxies(first)}" : "DIRECT";').encode()
    first.pac = text
    path = tmp_path / "proxy.pac"
    path.write_bytes(text)
    places = {
        "path": str(path),
        "file": path.as_uri(),
        "http": first.pac_url,
        "data": f"data:;base64,{base64.b64encode(text).decode()}",
    }
    with PxProcess(tmp_path, f"--pac={places[place]}") as px:
        assert f"Upstream: as the PAC script {'in the' if place == 'data' else ''}" in px.output
        assert asked(px) == "by first"
        assert asked(px, f"127.0.0.1:{first.port}") == "by first"  # which is asked directly


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "latin-1"])
@pytest.mark.shows("--pac_encoding")
def test_a_script_may_be_in_any_encoding(tmp_path: Path, first: Upstream, encoding: str) -> None:
    first.pac = script(f'var name = "café"; return name.length == 4 ? "{proxies(first)}" : "x";').encode(
        encoding
    )
    with PxProcess(tmp_path, f"--pac={first.pac_url}") as px:
        assert asked(px) == "by first"
    named = {"utf-8-sig": "utf-8"}.get(encoding, encoding)
    with PxProcess(tmp_path, f"--pac={first.pac_url}", f"--pac_encoding={named}") as px:
        assert asked(px) == "by first"


def test_the_list_of_a_script_is_tried_in_order(tmp_path: Path, first: Upstream, second: Upstream) -> None:
    with upstream("gone") as gone:
        pass
    first.pac = script(f'return "{proxies(gone, second, first)}"').encode()
    with PxProcess(tmp_path, f"--pac={first.pac_url}") as px:
        assert [asked(px) for _ in range(3)] == ["by second"] * 3


def test_proxy_comes_before_pac_and_that_before_the_environment(
    tmp_path: Path, first: Upstream, second: Upstream
) -> None:
    first.pac = script(f'return "{proxies(first)}"').encode()
    environ = {"http_proxy": "http://127.0.0.1:9"}
    with PxProcess(tmp_path, f"--pac={first.pac_url}", environment=environ) as px:
        assert asked(px) == "by first"
    named = f"--proxy=127.0.0.1:{second.port}"
    with PxProcess(tmp_path, named, f"--pac={first.pac_url}", environment=environ) as px:
        assert asked(px) == "by second"


@pytest.mark.shows("--proxyreload")
def test_a_script_that_changes_is_followed_and_one_that_goes_is_kept(
    tmp_path: Path, first: Upstream, second: Upstream
) -> None:
    path = tmp_path / "proxy.pac"
    path.write_text(script(f'return "{proxies(first)}"'))
    with PxProcess(tmp_path, f"--pac={path}", "--proxyreload=1", "--verbose") as px:
        assert asked(px) == "by first"
        path.write_text(script(f'return "{proxies(second)}"'))
        until(lambda: asked(px) == "by second")
        path.unlink()
        until(lambda: "cannot be loaded" in px.status()["way"])
        assert asked(px) == "by second"


def test_a_script_that_fails_says_so_to_who_asks(tmp_path: Path, first: Upstream) -> None:
    first.pac = script("\n  return nonsense;").encode()
    with PxProcess(tmp_path, f"--pac={first.pac_url}") as px:
        answer = get(px, SITE)
    assert answer.startswith(b"HTTP/1.1 502 ")
    assert b"failed in line 2" in answer


def test_without_the_script_all_is_reached_directly(tmp_path: Path, first: Upstream) -> None:
    with PxProcess(tmp_path, "--pac=http://127.0.0.1:9/proxy.pac") as px:
        assert asked(px, f"127.0.0.1:{first.port}") == "by first"
        failed = get(px, "nowhere.invalid")
    assert b"the name nowhere.invalid could not be resolved" in failed
    assert b"Px tried it directly: The PAC script http://127.0.0.1:9/proxy.pac cannot be loaded" in failed


def test_gnomes_settings_are_followed(tmp_path: Path, first: Upstream, second: Upstream) -> None:
    with gnome_desktop() as desktop:
        desktop.write("mode", "manual")
        desktop.write("http.host", "127.0.0.1")
        desktop.write("http.port", str(first.port))
        environ = {**desktop.environment, "HOME": str(tmp_path)}
        with PxProcess(tmp_path, "--proxyreload=1", environment=environ) as px:
            assert asked(px) == "by first"
            second.pac = script(f'return "{proxies(second)}"').encode()
            desktop.write("autoconfig-url", second.pac_url)
            desktop.write("mode", "auto")
            until(lambda: asked(px) == "by second")
            assert "PAC script" in px.status()["way"]


@pytest.mark.skipif(sys.platform != "win32", reason="Internet Options are Windows'")
@pytest.mark.shows("--proxyreload")
def test_internet_options_are_followed(tmp_path: Path, first: Upstream, second: Upstream) -> None:
    with internet_options() as write:
        write(0)
        assert run_action(tmp_path).returncode == 2
        write(MANUAL, f"http=127.0.0.1:{first.port}")
        with PxProcess(tmp_path, "--proxyreload=1") as px:
            assert asked(px) == "by first"
            second.pac = script(f'return "{proxies(second)}"').encode()
            write(SCRIPT, pac=second.pac_url)
            until(lambda: asked(px) == "by second")
            assert second.pac_url in px.status()["way"]


@pytest.mark.parametrize("word", ["PROXY", "SOCKS5", "HTTPS"])
@pytest.mark.parametrize("has_more", [False, True])
def test_a_script_that_names_px_itself_makes_no_circle(
    tmp_path: Path, first: Upstream, word: str, has_more: bool
) -> None:
    """Not without Via either, by which a request that comes back is known."""
    port = free_port()
    answer = f"{word} localhost:{port}" + (f"; {proxies(first)}" if has_more else "")
    pac = tmp_path / "proxy.pac"
    pac.write_text(script(f"return '{answer}'"))
    with PxProcess(tmp_path, f"--pac={pac}", "--via=0", port=port) as px:
        told = get(px, SITE)
    assert (b"by first" in told) if has_more else told.startswith(b"HTTP/1.1 508 ")
