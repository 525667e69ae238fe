"""Who may use a Px in a network: computers of their own, IPv4 and IPv6, addresses that come and go."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.namespaces import UPSTREAM_NAMES, SmallNetwork, skip_without_namespaces
from tests.px_process import PxProcess

URL = "http://origin.test/"
#: Where the upstream of the host listens; `UPSTREAM_NAMES` are names of it.
UPSTREAM = "127.0.0.80"
_UPSTREAM_SCRIPT = """
import http.server, sys
class Upstream(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        text = b"upstream saw " + self.path.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
    def log_message(self, *_): pass
with http.server.ThreadingHTTPServer((sys.argv[1], 80), Upstream) as server:
    print("ready", flush=True)
    server.serve_forever()
"""
#: Curl takes no link-local address to come from.
_CLIENT_SCRIPT = """
import socket, sys
source, at = sys.argv[1:]
family, kind, *_, address = socket.getaddrinfo(source, 0)[0]
with socket.socket(family, socket.SOCK_STREAM) as client:
    client.settimeout(10)
    client.bind(address)
    client.connect(socket.getaddrinfo(at, 3128)[0][4])
    client.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
    print(client.recv(1000).decode())
"""

#: How soon a change of addresses has to be noticed.
NOTICE_SECONDS = 2.0


@pytest.fixture(scope="module")
def network() -> Iterator[SmallNetwork]:
    """Give the network, with an upstream at port 80 of the host's loopback."""
    skip_without_namespaces()
    with SmallNetwork() as network:
        command = [*network.host.prefix, sys.executable, "-c", _UPSTREAM_SCRIPT, UPSTREAM]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as upstream:
            assert upstream.stdout is not None
            assert upstream.stdout.readline() == b"ready\n"
            yield network
            upstream.terminate()


def ask_from_everywhere(network: SmallNetwork) -> dict[str, int]:
    """Ask Px from each computer, by IPv4 and IPv6; return the statuses by who asked, 0: no connection."""
    host, guest, stranger = network.host, network.guest, network.stranger
    asked = {
        "loopback": (host, "127.0.0.1", ""),
        "loopback 6": (host, "[::1]", ""),
        "own": (host, "172.17.0.1", "203.0.113.1"),
        "own 6": (host, "[fd17::1]", "2001:db8::1"),
        "guest": (guest, "172.17.0.1", ""),
        "guest 6": (guest, "[fd17::1]", ""),
        "stranger": (stranger, "203.0.113.1", ""),
        "stranger 6": (stranger, "[2001:db8::1]", ""),
    }
    return {
        who: namespace.fetch(URL, proxy=f"http://{at}:3128", source=source)[0]
        for who, (namespace, at, source) in asked.items()
    }


def statuses(admitted: set[str], else_status: int) -> dict[str, int]:
    everybody = (
        f"{who}{version}" for who in ("loopback", "own", "guest", "stranger") for version in ("", " 6")
    )
    return {who: 200 if who in admitted else else_status for who in everybody}


LOOPBACK = {"loopback"}
HOST = {"loopback", "loopback 6", "own", "own 6"}
EVERYBODY = HOST | {"guest", "guest 6", "stranger", "stranger 6"}


@pytest.mark.parametrize(
    ("arguments", "admitted", "else_status"),
    [
        # The examples of the founding document, as they are written there.
        ("--proxy=proxyserver.com:80", LOOPBACK, 0),
        ("--proxy=proxyserver.com:80 --hostonly", HOST, 403),
        ("--proxy=proxyserver:80 --hostonly --gateway --allow=172.*.*.*", HOST | {"guest"}, 403),
        ("--proxy=proxyserver.com:80 --gateway", EVERYBODY, 403),
        # And what they leave open.
        ("--proxy=proxyserver:80 --gateway --allow=172.17.0.1/16,fd17::/64", {"guest", "guest 6"}, 403),
        ("--proxy=proxyserver:80 --hostonly --allow=172.*.*.*", HOST, 403),
        ("--proxy=proxyserver:80 --hostonly --gateway --allow=203.0.113.7", HOST | {"stranger"}, 403),
        ("--proxy=proxyserver:80 --listen=172.17.0.1,fd17::1", {"own", "own 6", "guest", "guest 6"}, 0),
        ("--proxy=proxyserver:80 --listen=127.0.0.1 --gateway --allow=fd17::5", {"guest 6"}, 403),
    ],
)
@pytest.mark.shows("--gateway", "--hostonly", "--allow", "--listen")
def test_each_computer_of_a_network_is_served_or_refused(
    network: SmallNetwork, tmp_path: Path, arguments: str, admitted: set[str], else_status: int
) -> None:
    with PxProcess(tmp_path, *shlex.split(arguments), within=network.host.prefix):
        assert ask_from_everywhere(network) == statuses(admitted, else_status)


def test_who_is_admitted_reaches_the_upstream_and_who_is_not_reads_why(
    network: SmallNetwork, tmp_path: Path
) -> None:
    assert "proxyserver" in UPSTREAM_NAMES
    with PxProcess(tmp_path, "--proxy=proxyserver:80", "--hostonly", within=network.host.prefix):
        assert network.host.fetch(URL, proxy="http://172.17.0.1:3128") == (200, f"upstream saw {URL}")
        status, text = network.guest.fetch(URL, proxy="http://172.17.0.1:3128")
        assert (status, text.splitlines()) == (
            403,
            [
                "Px: 403 Forbidden",
                "Clients at 172.17.0.5 may not use this Px.",
                "Px runs with --hostonly, for its own computer; --gateway and --allow admit others, too.",
            ],
        )


@pytest.mark.parametrize(
    ("address", "width", "at"),
    [("172.17.0.99", "16", "172.17.0.1"), ("fd17::99", "64", "[fd17::1]")],
)
def test_own_addresses_are_followed_while_px_runs(
    network: SmallNetwork, tmp_path: Path, address: str, width: str, at: str
) -> None:
    host, guest, proxy = network.host, network.guest, f"http://{at}:3128"

    def from_host() -> int:
        return host.fetch(URL, proxy=proxy, source=address)[0]

    def from_guest() -> int:
        return guest.fetch(URL, proxy=proxy, source=address)[0]

    with PxProcess(tmp_path, "--proxy=proxyserver:80", "--hostonly", within=host.prefix):
        assert guest.fetch(URL, proxy=proxy)[0] == 403
        host.add_address(f"{address}/{width}", "guest")
        wait_for(from_host, 200)
        host.remove_address(f"{address}/{width}", "guest")
        guest.add_address(f"{address}/{width}", "host")
        try:
            wait_for(from_guest, 403)
            assert from_guest() == 403
        finally:
            guest.remove_address(f"{address}/{width}", "host")


def wait_for(ask: Callable[[], int], status: int) -> None:
    """Ask until the answer has this status, for as long as a change may take to be noticed."""
    changed = time.monotonic()
    while (seen := ask()) != status:
        assert time.monotonic() - changed < NOTICE_SECONDS, seen


def test_a_link_local_address_counts_on_its_own_link_only(network: SmallNetwork, tmp_path: Path) -> None:
    host, guest = network.host, network.guest
    host.add_address("fe80::77/64", "stranger")
    guest.add_address("fe80::77/64", "host")  # the same one on another link: somebody else's
    host.add_address("fe80::1/64", "guest")
    try:
        with PxProcess(tmp_path, "--proxy=proxyserver:80", "--hostonly", within=host.prefix):
            own = ("fe80::77%stranger", "fe80::77%stranger")
            assert host.run(sys.executable, "-c", _CLIENT_SCRIPT, *own).startswith("HTTP/1.1 400 ")
            foreign = ("fe80::77%host", "fe80::1%host")
            assert guest.run(sys.executable, "-c", _CLIENT_SCRIPT, *foreign).startswith("HTTP/1.1 403 ")
    finally:
        guest.remove_address("fe80::77/64", "host")


def test_px_is_itself_at_each_address_of_the_host(network: SmallNetwork, tmp_path: Path) -> None:
    with PxProcess(tmp_path, "--noproxy=*", "--gateway", "--via=0", within=network.host.prefix):
        for own in ("172.17.0.1", "203.0.113.1", "[fd17::1]", "[2001:db8::1]", "127.0.0.1"):
            status, text = network.guest.fetch(f"http://{own}:3128/", proxy="http://172.17.0.1:3128")
            assert (status, "came back to Px" in text) == (508, True), own
        assert network.guest.fetch("http://172.17.0.5:3128/", proxy="http://172.17.0.1:3128")[0] == 502


def test_without_ipv6_a_gateway_is_one_of_ipv4(network: SmallNetwork, tmp_path: Path) -> None:
    off = "echo {0} >/proc/sys/net/ipv6/conf/all/disable_ipv6"
    network.guest.run("sh", "-c", off.format(1))
    try:
        with PxProcess(tmp_path, "--noproxy=*", "--gateway", within=network.guest.prefix) as px:
            assert "cannot" not in px.output
            assert network.host.fetch("http://172.17.0.5:3128/", proxy="http://172.17.0.5:3128")[0] == 508
    finally:
        network.guest.run("sh", "-c", off.format(0))
        network.guest.add_address("fd17::5/64", "host")
