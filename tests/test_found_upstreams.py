"""A Px without --proxy discovers its upstream, in each real place that may name one."""

from __future__ import annotations

import base64
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

from px.system.process.child_command import PAC_ARGUMENT
from tests.desktops import MANUAL, SCRIPT, gnome_desktop, internet_options
from tests.free_ports import free_port
from tests.px_process import PxProcess, run_action, until
from tests.small_origin import get

SITE = "site.example"

needs_processes = pytest.mark.skipif(sys.platform == "win32", reason="Wine does not show the processes")


class Upstream:
    """A proxy that answers with its name, and serves a PAC script."""

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
            is_pac = self.path.partition("?")[0] == "/proxy.pac"
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
    """Ask for a site; return the text of a 200, which names the upstream, otherwise the status."""
    answer = get(px, site)
    head, _, body = answer.partition(b"\r\n\r\n")
    return body.decode() if b" 200 " in head.splitlines()[0] else head.split()[1].decode()


def test_the_upstream_is_read_from_the_environment(tmp_path: Path, first: Upstream) -> None:
    environ = {"http_proxy": f"http://127.0.0.1:{first.port}", "no_proxy": "127.0.0.2"}
    with PxProcess(tmp_path, environment=environ) as px:
        assert "Upstream: from the system's proxy settings or the environment" in px.output
        assert asked(px) == "by first"
        assert px.status()["discovered_proxy"] == f"environment: http://127.0.0.1:{first.port}"
        assert asked(px, "127.0.0.2:9") == "502"  # no server listens there


@pytest.mark.parametrize("noproxy", ["*", "0.0.0.0/0"])
def test_no_proxy_is_no_problem_for_a_px_that_connects_directly(tmp_path: Path, noproxy: str) -> None:
    with PxProcess(tmp_path, f"--noproxy={noproxy}") as px:
        until(lambda: px.status()["discovered_proxy"] == "no proxy is set anywhere")
        assert px.status()["problems"] == []
        assert "Upstream: none, direct connections only." in px.output
        assert "Upstream none" not in px.output


@pytest.mark.parametrize("host", ["localhost", "a.localhost", "127.0.0.1", "127.9.9.9"])
@pytest.mark.parametrize("place", ["environment", "script"])
def test_local_targets_are_reached_directly_unless_noproxy_excludes_them(
    tmp_path: Path, first: Upstream, second: Upstream, place: str, host: str
) -> None:
    environ = {"http_proxy": f"http://127.0.0.1:{first.port}"} if place == "environment" else {}
    first.pac = script(f'return "{proxies(first)}"').encode()
    flags = () if place == "environment" else (f"--pac={first.pac_url}",)
    with PxProcess(tmp_path, *flags, environment=environ) as px:
        # Some systems do not resolve a.localhost or have 127.9.9.9; the upstream accepts both.
        assert asked(px, f"{host}:{second.port}") in {"by second", "502"}
        assert asked(px) == "by first"
    with PxProcess(tmp_path, "--noproxy=<-loopback>", *flags, environment=environ) as px:
        assert asked(px, f"{host}:{second.port}") == "by first"


def test_local_targets_go_to_an_upstream_that_the_user_named(
    tmp_path: Path, first: Upstream, second: Upstream
) -> None:
    with PxProcess(tmp_path, f"--proxy=127.0.0.1:{first.port}") as px:
        assert asked(px, f"127.0.0.1:{second.port}") == "by first"


def test_a_broken_script_named_by_the_user_is_an_error_that_names_the_line(
    tmp_path: Path, first: Upstream
) -> None:
    first.pac = b'function FindProxyForURL(url, host) {\n  return "DIRECT"\n'
    with PxProcess(tmp_path, f"--pac={first.pac_url}") as px:
        told = get(px, SITE)
    assert told.startswith(b"HTTP/1.1 502 ")
    assert b"failed in line 3: SyntaxError: " in told


@pytest.mark.skipif(sys.platform != "linux", reason="GNOME's settings need Linux")
def test_a_broken_discovered_script_is_ignored_with_a_warning(tmp_path: Path, first: Upstream) -> None:
    first.pac = b'function FindProxyForURL(url, host) {\n  return "DIRECT"\n'
    with gnome_desktop() as desktop:
        desktop.write("mode", "auto")
        desktop.write("autoconfig-url", first.pac_url)
        environ = {**desktop.environment, "HOME": str(tmp_path)}
        with PxProcess(tmp_path, "--verbose", environment=environ) as px:
            told = get(px, "nowhere.invalid")
            assert asked(px, "nowhere.invalid") == "502"
    assert b"the name nowhere.invalid could not be resolved" in told
    assert b"Px tried it directly: The PAC script" in told
    warning = "failed in line 3: SyntaxError"
    warnings = [line for line in px.output.splitlines() if warning in line and " WARNING " in line]
    assert len(warnings) == 2  # one for each request


def test_proxy_variables_that_name_px_itself_are_ignored(tmp_path: Path) -> None:
    environ = {"http_proxy": "http://127.0.0.1:3128", "https_proxy": "http://localhost:3128"}
    done = run_action(tmp_path, environment=environ)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no upstream proxy is known" in done.stderr
    assert "http_proxy" in done.stderr.lower()  # Windows keeps the names of variables in capitals
    assert "Px itself" in done.stderr


@pytest.mark.parametrize("place", ["path", "file", "http", "data"])
@pytest.mark.shows("--pac")
def test_a_script_in_any_place_can_name_the_upstream(tmp_path: Path, first: Upstream, place: str) -> None:
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
        assert f"Upstream: from the PAC script {'in the' if place == 'data' else ''}" in px.output
        assert asked(px) == "by first"
        assert (
            asked(px, f"127.0.0.1:{first.port}") == "by first"
        )  # Px loads the script from this upstream directly


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


def test_the_upstreams_of_a_script_are_tried_in_order(
    tmp_path: Path, first: Upstream, second: Upstream
) -> None:
    with upstream("gone") as gone:
        pass
    first.pac = script(f'return "{proxies(gone, second, first)}"').encode()
    with PxProcess(tmp_path, f"--pac={first.pac_url}") as px:
        assert [asked(px) for _ in range(3)] == ["by second"] * 3


def test_proxy_comes_before_pac_and_pac_before_the_environment(
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
def test_px_reloads_a_changed_script_and_keeps_one_that_disappears(
    tmp_path: Path, first: Upstream, second: Upstream
) -> None:
    path = tmp_path / "proxy.pac"
    path.write_text(script(f'return "{proxies(first)}"'))
    with PxProcess(tmp_path, f"--pac={path}", "--proxyreload=1", "--verbose") as px:
        assert asked(px) == "by first"
        path.write_text(script(f'return "{proxies(second)}"'))
        until(lambda: asked(px) == "by second")
        path.unlink()
        until(lambda: "cannot be loaded" in px.status()["discovered_proxy"])
        assert asked(px) == "by second"


def test_a_client_gets_the_error_of_a_failing_script(tmp_path: Path, first: Upstream) -> None:
    first.pac = script("\n  return nonsense;").encode()
    with PxProcess(tmp_path, f"--pac={first.pac_url}") as px:
        answer = get(px, SITE)
    assert answer.startswith(b"HTTP/1.1 502 ")
    assert b"failed in line 2" in answer


def processes_of_scripts(px: PxProcess) -> list[psutil.Process]:
    children = psutil.Process(px.pid).children(recursive=True)
    return [child for child in children if PAC_ARGUMENT in child.cmdline()]


@needs_processes
@pytest.mark.parametrize("workers", [1, 2])
def test_the_process_of_a_script_has_no_secret_and_ends_with_px(
    tmp_path: Path, first: Upstream, workers: int
) -> None:
    first.pac = script(f'return "{proxies(first)}"').encode()
    secrets = {"PX_PASSWORD": "a-secret", "PX_CLIENT_PASSWORD": "a-secret", "no_proxy": "a-secret"}
    with PxProcess(tmp_path, f"--pac={first.pac_url}", environment=secrets, workers=workers) as px:
        assert asked(px) == "by first"
        until(lambda: bool(processes_of_scripts(px)))
        found = processes_of_scripts(px)
        assert len(found) <= workers
        for process in found:
            assert "a-secret" not in str(process.environ()) + str(process.cmdline())
        px.kill()
        for process in found:
            process.wait(30)


@needs_processes
def test_a_px_that_needs_no_script_has_no_process_for_one(tmp_path: Path, first: Upstream) -> None:
    with PxProcess(tmp_path, f"--proxy=127.0.0.1:{first.port}", f"--pac={first.pac_url}") as px:
        assert asked(px) == "by first"
        assert processes_of_scripts(px) == []


@needs_processes
def test_the_process_of_a_script_that_was_replaced_ends(
    tmp_path: Path, first: Upstream, second: Upstream
) -> None:
    path = tmp_path / "proxy.pac"
    path.write_text(script(f'return "{proxies(first)}"'))
    with PxProcess(tmp_path, f"--pac={path}", "--proxyreload=1") as px:
        assert asked(px) == "by first"
        (before,) = processes_of_scripts(px)
        path.write_text(script(f'return "{proxies(second)}"'))
        until(lambda: asked(px) == "by second")
        before.wait(30)
        assert len(processes_of_scripts(px)) == 1


@pytest.mark.parametrize(
    "fault",
    [
        "for (;;);",
        "let a = []; for (;;) a.push(new Array(1e5).fill(a.length));",
        "new Array(1e9).join();",
        "throw { toString() { for (;;); } };",
    ],
)
def test_a_script_that_overruns_costs_one_host_an_error_and_no_other(
    tmp_path: Path, first: Upstream, fault: str
) -> None:
    first.pac = script(f'if (host == "bad.example") {{ {fault} }} return "{proxies(first)}"').encode()
    with PxProcess(tmp_path, f"--pac={first.pac_url}") as px, ThreadPoolExecutor(20) as clients:
        assert asked(px, "before.example") == "by first"
        bad = clients.submit(asked, px, "bad.example")
        others = [clients.submit(asked, px, f"host{number}.example") for number in range(19)]
        assert bad.result() == "502"
        assert {other.result() for other in others} == {"by first"}
        assert asked(px, "after.example") == "by first"


def test_all_targets_are_reached_directly_while_the_script_cannot_be_loaded(
    tmp_path: Path, first: Upstream
) -> None:
    with PxProcess(tmp_path, "--pac=http://127.0.0.1:9/proxy.pac") as px:
        assert asked(px, f"127.0.0.1:{first.port}") == "by first"
        failed = get(px, "nowhere.invalid")
    assert b"the name nowhere.invalid could not be resolved" in failed
    assert b"Px tried it directly: The PAC script http://127.0.0.1:9/proxy.pac cannot be loaded" in failed


def test_px_follows_changes_of_gnomes_settings(tmp_path: Path, first: Upstream, second: Upstream) -> None:
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
            assert "PAC script" in px.status()["discovered_proxy"]


@pytest.mark.skipif(sys.platform != "win32", reason="Internet Options need Windows")
@pytest.mark.shows("--proxyreload")
def test_px_follows_changes_of_internet_options(tmp_path: Path, first: Upstream, second: Upstream) -> None:
    with internet_options() as write:
        write(0)
        assert run_action(tmp_path).returncode == 2
        write(MANUAL, f"http=127.0.0.1:{first.port}")
        with PxProcess(tmp_path, "--proxyreload=1") as px:
            assert asked(px) == "by first"
            second.pac = script(f'return "{proxies(second)}"').encode()
            write(SCRIPT, pac=second.pac_url)
            until(lambda: asked(px) == "by second")
            assert second.pac_url in px.status()["discovered_proxy"]


@pytest.mark.parametrize("word", ["PROXY", "SOCKS5", "HTTPS"])
@pytest.mark.parametrize("has_more", [False, True])
def test_a_script_that_names_px_itself_causes_no_loop(
    tmp_path: Path, first: Upstream, word: str, has_more: bool
) -> None:
    """This holds even without Via, by which Px recognizes a request that comes back."""
    port = free_port()
    answer = f"{word} localhost:{port}" + (f"; {proxies(first)}" if has_more else "")
    pac = tmp_path / "proxy.pac"
    pac.write_text(script(f"return '{answer}'"))
    with PxProcess(tmp_path, f"--pac={pac}", "--via=0", port=port) as px:
        told = get(px, SITE)
    assert (b"by first" in told) if has_more else told.startswith(b"HTTP/1.1 508 ")


@pytest.mark.parametrize("statement", ["return 'DIRECT'", "unknown()"])
def test_no_output_shows_the_query_of_the_scripts_url(tmp_path: Path, statement: str) -> None:
    with upstream("a") as a:
        a.pac = b"function FindProxyForURL() { %b }" % statement.encode()
        pac, explain = f"--pac={a.pac_url}?token=secret", "--explain=http://site.example/"
        with PxProcess(tmp_path, pac, "--verbose") as px:
            get(px, SITE)
            assert f"--pac: PAC script {a.pac_url}?..." in px.command("--status").stdout
            assert px.status()["discovered_proxy"] == f"--pac: PAC script {a.pac_url}?..."
            explained = run_action(tmp_path, pac, explain)
            a.pac = b"<html>"
            failed = run_action(tmp_path, pac, explain)
            circle = run_action(tmp_path, f"--port={px.port}", f"--pac={px.url}/?token=secret")
        assert circle.returncode == 2
        said = [
            px.output,
            *(text for done in (explained, failed, circle) for text in (done.stdout, done.stderr)),
        ]
        assert [text for text in said if "secret" in text] == []
        assert "?..." in failed.stdout
