"""The binary: a directory that needs no Python, built by PyInstaller and run as a user would run it."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

from px import __version__
from px.system.process.child_command import PAC_ARGUMENT
from tests.corpnet.network import CorporateNetwork
from tests.e2e import exchanges
from tests.e2e.http_client import Client
from tests.e2e.logins import LOGINS
from tests.px_process import PxProcess

ROOT = Path(__file__).resolve().parent.parent

#: One stage makes the binary: the one of the tests at real upstreams.
pytestmark = [pytest.mark.slow, pytest.mark.corpnet]
pytest.importorskip("PyInstaller", reason="the binary is built by the Python of .venv alone")


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the directory; return the path of its program px."""
    directory = tmp_path_factory.mktemp("binary")
    places = [f"--distpath={directory / 'dist'}", f"--workpath={directory / 'build'}"]
    build = [sys.executable, "-m", "PyInstaller", "-y", "--log-level=ERROR", *places]
    subprocess.run([*build, str(ROOT / "packaging" / "px.spec")], check=True, timeout=300)
    return directory / "dist" / "px" / "px"


@pytest.fixture
def running(binary: Path, tmp_path: Path):
    """Return a function that makes a Px of the binary, not yet running."""

    def make(*arguments: str, **environment: str) -> PxProcess:
        return PxProcess(tmp_path, "--foreground", *arguments, environment=environment, program=[str(binary)])

    return make


@pytest.fixture
def origin_url() -> Iterator[str]:
    """Give the URL of a web server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def _run(binary: Path, directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the binary in an environment without Python and without this project."""
    environment = {
        "HOME": str(directory),
        "PATH": "/usr/bin:/bin",
        "XDG_STATE_HOME": str(directory / "state"),
        "LANG": "C.UTF-8",
    }
    return subprocess.run(
        [str(binary), *arguments],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_binary_prints_its_version(binary: Path, tmp_path: Path) -> None:
    done = _run(binary, tmp_path, "--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"px {__version__}\n", "")


def test_the_demo_of_the_binary_logs_in(binary: Path, tmp_path: Path) -> None:
    done = _run(binary, tmp_path, "--demo")
    assert done.returncode == 0, done.stderr
    assert "let in as DEMO\\alice" in done.stdout


def test_the_binary_reports_a_wrong_option_in_one_line(binary: Path, tmp_path: Path) -> None:
    done = _run(binary, tmp_path, "--prot=1")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("px: --prot: unknown option")


@pytest.mark.parametrize("name", ["ntlm", "kerberos-ad-ticket", "ntlm-tls", "digest"])
def test_the_binary_logs_in_at_a_real_upstream(
    corporate_network: CorporateNetwork, running, tmp_path: Path, name: str
) -> None:
    login, network = LOGINS[name], corporate_network
    with (
        running(*login.arguments(network), **login.environment(network, tmp_path)) as px,
        Client(px.port) as client,
    ):
        exchanges.GET.run(client, network)
        exchanges.POST.run(client, network)
        exchanges.CONNECT_TLS.run(client, network)


def test_the_workers_run_the_binary_itself(running, origin_url: str) -> None:
    with running("--noproxy=*", "--workers=2") as px:
        children = Path(f"/proc/{px.pid}/task/{px.pid}/children").read_text().split()
        programs = {Path(f"/proc/{child}/exe").readlink() for child in children}
        assert programs == {Path(f"/proc/{px.pid}/exe").readlink()}
        for _ in range(4):
            with Client(px.port) as client:
                assert client.get(origin_url).status == 200


def test_a_pac_script_runs_in_a_process_of_the_binary(running, tmp_path: Path, origin_url: str) -> None:
    script = tmp_path / "proxy.pac"
    script.write_text("function FindProxyForURL(url, host) { return host == 'no.test' ? 5 : 'DIRECT' }")
    with running(f"--pac={script}") as px, Client(px.port) as client:
        # Px ignores the script for loopback, and a target fails if the script's answer is unusable.
        assert client.get("http://no.test/").status == 502
        (child,) = (each for each in psutil.Process(px.pid).children() if PAC_ARGUMENT in each.cmdline())
        assert child.exe() == psutil.Process(px.pid).exe()
        assert client.get(origin_url).status == 200


def test_without_foreground_the_binary_runs_in_the_background_and_can_be_quit(
    binary: Path, tmp_path: Path, origin_url: str
) -> None:
    port = PxProcess(tmp_path).port
    at_port = f"--port={port}"
    begun = time.monotonic()
    started = _run(binary, tmp_path, "--noproxy=*", at_port)
    assert started.returncode == 0, started
    assert "runs in the background" in started.stdout
    assert time.monotonic() - begun < 30
    try:
        with Client(port) as client:
            assert client.get(origin_url).status == 200
        again = _run(binary, tmp_path, "--noproxy=*", at_port)
        assert again.returncode == 5
        assert f"port {port}" in again.stdout + again.stderr
        assert str(port) in _run(binary, tmp_path, "--status", at_port).stdout
    finally:
        quitting = _run(binary, tmp_path, "--quit", at_port)
    assert quitting.returncode == 0, quitting
    assert _run(binary, tmp_path, "--quit", at_port).returncode == 3
