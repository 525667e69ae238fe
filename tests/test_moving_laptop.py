"""A laptop that moves: between an office with a PAC script and proxies, and a home with neither.

The computers are those of `tests.namespaces`: the host is the laptop, the guest the office, the remote
computer the home. The origin has one address in both networks; its answer names the network and the client.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from px.io.liveness import SILENT_SECONDS
from tests.namespaces import Namespace, SmallNetwork, skip_without_namespaces
from tests.px_process import PxProcess

ORIGIN = "198.51.100.1"
URL = f"http://{ORIGIN}/"
PX = "http://127.0.0.1:3128"
FIRST_PROXY, SECOND_PROXY = "172.17.0.5", "172.17.0.6"
PAC_URL = f"http://{FIRST_PROXY}:8000/proxy.pac"
#: The time in which Px must follow a move: one second on an idle computer, more on a busy one.
FOLLOW_SECONDS = 3.0
#: The longest time for a request, whatever happens to the network.
ANSWER_SECONDS = 4.0

_SERVER_SCRIPT = """
import http.server, pathlib, sys, threading
address, port, label, pac = sys.argv[1:]
class Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/endless":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"begins\\n")
            threading.Event().wait()
        is_pac = self.path == "/proxy.pac"
        text = pathlib.Path(pac).read_bytes() if is_pac else f"{label} {self.client_address[0]}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
    def log_message(self, *_): pass
with http.server.ThreadingHTTPServer((address, int(port)), Server) as server:
    print("ready", flush=True)
    server.serve_forever()
"""


class World:
    """The laptop, the two networks and their servers."""

    def __init__(self, network: SmallNetwork, directory: Path, stack: ExitStack) -> None:
        self.laptop, self.office, self.home = network.host, network.guest, network.remote
        self._directory = directory
        self._stack = stack
        self.office.add_address(f"{SECOND_PROXY}/16", "host")
        for namespace, label in ((self.office, "office"), (self.home, "home")):
            namespace.add_address(f"{ORIGIN}/32", "lo")
            self._serve(namespace, ORIGIN, 80, label)
        self._serve(self.office, "0.0.0.0", 8000, "PAC")
        self._unplug("remote")
        self._plug("guest", via=FIRST_PROXY)

    def _serve(self, namespace: Namespace, address: str, port: int, label: str) -> None:
        pac = str(self._directory / "proxy.pac")
        command = [*namespace.prefix, sys.executable, "-c", _SERVER_SCRIPT, address, str(port), label, pac]
        server = self._stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
        self._stack.callback(server.terminate)
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"

    def write_pac(self, answer: str) -> None:
        """Make the office's PAC script return this answer."""
        text = f'function FindProxyForURL(url, host) {{ return "{answer}"; }}'
        (self._directory / "proxy.pac").write_text(text)

    def proxy(self, address: str) -> PxProcess:
        """Return a proxy of the office: a Px that always connects directly."""
        directory = self._directory / address
        directory.mkdir(mode=0o700, exist_ok=True)
        return PxProcess(directory, "--noproxy=*", f"--listen={address}", within=self.office.prefix)

    def px(self, *arguments: str) -> PxProcess:
        """Return the Px of the laptop."""
        directory = self._directory / "laptop"
        directory.mkdir(mode=0o700, exist_ok=True)
        return PxProcess(directory, *arguments, "--verbose", within=self.laptop.prefix)

    def go_home(self) -> None:
        self._unplug("guest")
        self._plug("remote", via="203.0.113.7")

    def go_to_the_office(self) -> None:
        self._unplug("remote")
        self._plug("guest", via=FIRST_PROXY)

    def _plug(self, interface: str, *, via: str) -> None:
        self.laptop.run("ip", "link", "set", interface, "up")
        self.laptop.run("ip", "route", "replace", f"{ORIGIN}/32", "via", via, "dev", interface)

    def _unplug(self, interface: str) -> None:
        self.laptop.run("ip", "link", "set", interface, "down")

    def ask(self, seconds: float = ANSWER_SECONDS) -> str:
        """Ask the origin through the laptop's Px; return the text of a 200, otherwise the status."""
        begun = time.monotonic()
        status, text = self.laptop.fetch(URL, proxy=PX, seconds=seconds)
        assert time.monotonic() - begun < seconds
        return text if status == 200 else str(status)

    def ask_until(self, answer: str) -> None:
        """Ask until the answer is this one; fail after `FOLLOW_SECONDS`."""
        deadline = time.monotonic() + FOLLOW_SECONDS
        while (said := self.ask()) != answer:
            assert time.monotonic() < deadline, said


#: The origin's answers to a proxy of the office, and to the laptop at home.
BY_PROXY, AT_HOME = f"office {ORIGIN}", "home 203.0.113.1"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    skip_without_namespaces()
    with ExitStack() as stack:
        network = stack.enter_context(SmallNetwork())
        yield World(network, tmp_path, stack)


@pytest.mark.shows("--pac")
def test_px_follows_a_laptop_home_and_to_an_office_that_has_changed(world: World) -> None:
    world.write_pac(f"PROXY {FIRST_PROXY}:3128")
    with world.proxy(FIRST_PROXY) as first, world.px(f"--pac={PAC_URL}"):
        assert world.ask() == BY_PROXY
        world.go_home()
        assert (
            world.ask() == AT_HOME
        )  # Px still keeps a connection to the office, and notices that it is dead
        assert [world.ask() for _ in range(3)] == [AT_HOME] * 3
        first.stop()
        world.write_pac(f"PROXY {SECOND_PROXY}:3128")
        with world.proxy(SECOND_PROXY):
            world.go_to_the_office()
            world.ask_until(BY_PROXY)
            assert [world.ask() for _ in range(3)] == [BY_PROXY] * 3


@pytest.mark.shows("--proxyreload")
def test_a_new_script_is_followed_without_a_change_of_the_network(world: World) -> None:
    world.write_pac(f"PROXY {FIRST_PROXY}:3128")
    with world.proxy(FIRST_PROXY), world.px(f"--pac={PAC_URL}", "--proxyreload=1"):
        assert world.ask() == BY_PROXY
        world.write_pac("DIRECT")
        world.ask_until("office 172.17.0.1")


@pytest.mark.parametrize("way", ["proxy", "pac"])
def test_requests_still_succeed_after_the_first_upstream_has_gone(world: World, way: str) -> None:
    world.write_pac(f"PROXY {FIRST_PROXY}:3128; PROXY {SECOND_PROXY}:3128")
    named = f"--proxy={FIRST_PROXY}:3128,{SECOND_PROXY}:3128"
    with (
        world.proxy(FIRST_PROXY) as first,
        world.proxy(SECOND_PROXY),
        world.px(named if way == "proxy" else f"--pac={PAC_URL}"),
    ):
        assert world.ask() == BY_PROXY
        first.stop()
        assert [world.ask() for _ in range(3)] == [BY_PROXY] * 3


def test_requests_succeed_when_the_upstream_of_a_kept_connection_falls_silent(world: World) -> None:
    with (
        world.proxy(FIRST_PROXY),
        world.proxy(SECOND_PROXY),
        world.px(f"--proxy={FIRST_PROXY}:3128,{SECOND_PROXY}:3128"),
    ):
        assert world.ask() == BY_PROXY
        nobody = ("lladdr", "02:00:00:00:00:99", "dev", "guest", "nud", "permanent")
        world.laptop.run("ip", "neighbor", "replace", FIRST_PROXY, *nobody)
        assert world.ask(seconds=SILENT_SECONDS + ANSWER_SECONDS) == BY_PROXY
        assert [world.ask() for _ in range(3)] == [BY_PROXY] * 3


def test_a_download_ends_at_once_and_as_incomplete_when_its_network_goes_down(world: World) -> None:
    with world.proxy(FIRST_PROXY), world.px(f"--proxy={FIRST_PROXY}:3128"):
        command = ["curl", "-sSN", "-m30", "-x", PX, f"{URL}endless"]
        with subprocess.Popen([*world.laptop.prefix, *command], stdout=subprocess.PIPE, text=True) as curl:
            assert curl.stdout is not None
            assert curl.stdout.readline() == "begins\n"
            world.laptop.run("ip", "link", "set", "guest", "down")
            begun = time.monotonic()
            assert curl.wait(timeout=30) not in {
                0,
                28,
            }  # 0: curl takes the body as complete; 28: curl timed out
        assert time.monotonic() - begun < ANSWER_SECONDS


def test_without_a_network_a_request_fails_soon_with_the_reason(world: World) -> None:
    with world.px(f"--proxy={FIRST_PROXY}:3128"):
        world.laptop.run("ip", "link", "set", "guest", "down")
        begun = time.monotonic()
        status, text = world.laptop.fetch(URL, proxy=PX)
        assert time.monotonic() - begun < ANSWER_SECONDS
    assert status == 502
    assert "no network leads there." in text
