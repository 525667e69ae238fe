"""Which clients may use a Px in a network: other computers, IPv4 and IPv6, addresses that change."""

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
#: The address of the host's upstream; `UPSTREAM_NAMES` resolve to it.
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
#: curl accepts no link-local address as its source address.
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

#: The time in which Px must notice a change of addresses.
NOTICE_SECONDS = 2.0


@pytest.fixture(scope="module")
def network() -> Iterator[SmallNetwork]:
    """Yield the network, with an upstream at port 80 of the host's loopback."""
    skip_without_namespaces()
    with SmallNetwork() as network:
        command = [*network.host.prefix, sys.executable, "-c", _UPSTREAM_SCRIPT, UPSTREAM]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as upstream:
            assert upstream.stdout is not None
            assert upstream.stdout.readline() == b"ready\n"
            yield network
            upstream.terminate()


def ask_from_everywhere(network: SmallNetwork) -> dict[str, int]:
    """Ask Px from each computer, by IPv4 and IPv6; return the status for each client, 0: no connection."""
    host, guest, remote = network.host, network.guest, network.remote
    asked = {
        "loopback": (host, "127.0.0.1", ""),
        "loopback 6": (host, "[::1]", ""),
        "own": (host, "172.17.0.1", "203.0.113.1"),
        "own 6": (host, "[fd17::1]", "2001:db8::1"),
        "guest": (guest, "172.17.0.1", ""),
        "guest 6": (guest, "[fd17::1]", ""),
        "remote": (remote, "203.0.113.1", ""),
        "remote 6": (remote, "[2001:db8::1]", ""),
    }
    return {
        client: namespace.fetch(URL, proxy=f"http://{at}:3128", source=source)[0]
        for client, (namespace, at, source) in asked.items()
    }


def statuses(admitted: set[str], else_status: int) -> dict[str, int]:
    clients = (
        f"{client}{version}" for client in ("loopback", "own", "guest", "remote") for version in ("", " 6")
    )
    return {client: 200 if client in admitted else else_status for client in clients}


LOOPBACK = {"loopback", "loopback 6"}
HOST = {"loopback", "loopback 6", "own", "own 6"}
ALL_CLIENTS = HOST | {"guest", "guest 6", "remote", "remote 6"}


@pytest.mark.parametrize(
    ("arguments", "admitted", "else_status"),
    [
        # The examples of Px's specification, word for word.
        ("--proxy=proxyserver.com:80", LOOPBACK, 0),
        ("--proxy=proxyserver.com:80 --hostonly", HOST, 403),
        ("--proxy=proxyserver:80 --hostonly --gateway --allow=172.*.*.*", HOST | {"guest"}, 403),
        ("--proxy=proxyserver.com:80 --gateway", ALL_CLIENTS, 403),
        # Cases that the examples leave open.
        ("--proxy=proxyserver.com:80 --listen=127.0.0.1", {"loopback"}, 0),
        ("--proxy=proxyserver.com:80 --allow=127.0.0.1", {"loopback"}, 0),
        ("--proxy=proxyserver:80 --gateway --allow=172.17.0.1/16,fd17::/64", {"guest", "guest 6"}, 403),
        ("--proxy=proxyserver:80 --hostonly --allow=172.*.*.*", HOST, 403),
        ("--proxy=proxyserver:80 --hostonly --gateway --allow=203.0.113.7", HOST | {"remote"}, 403),
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


def test_an_admitted_client_reaches_the_upstream_and_a_refused_one_gets_the_reason(
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


def ask_for_pages(network: SmallNetwork) -> dict[str, list[int]]:
    """Return the statuses of four pages for each client."""
    asked = {
        "loopback": (network.host, "127.0.0.1"),
        "loopback 6": (network.host, "[::1]"),
        "own": (network.host, "172.17.0.1"),
        "guest": (network.guest, "172.17.0.1"),
        "remote 6": (network.remote, "[2001:db8::1]"),
    }
    return {
        client: [
            namespace.fetch(f"http://{at}:3128/{page}", proxy="")[0]
            for page in ("", "status.json", "healthz", "proxy.pac")
        ]
        for client, (namespace, at) in asked.items()
    }


def test_other_computers_see_no_page_but_the_pac_script_and_what_the_user_allows(
    network: SmallNetwork, tmp_path: Path
) -> None:
    options = ("--proxy=proxyserver:80", "--gateway")
    all_pages, script_only = [200, 200, 200, 200], [403, 403, 403, 200]
    with PxProcess(
        tmp_path, *options, "--metrics_allow=127.0.0.1,172.17.0.5", workers=2, within=network.host.prefix
    ):
        assert ask_for_pages(network) == {
            "loopback": all_pages,
            "loopback 6": [200, 200, 403, 200],
            "own": script_only,
            "guest": [403, 403, 200, 200],
            "remote 6": script_only,
        }
        _, script = network.guest.fetch("http://172.17.0.1:3128/proxy.pac", proxy="")
        assert '"PROXY 172.17.0.1:3128"' in script
        # Through Px to Px, as a page in a browser with this proxy would ask.
        assert network.guest.fetch("http://172.17.0.1:3128/", proxy="http://172.17.0.1:3128")[0] == 508


def test_no_page_is_open_to_other_computers_without_the_login(network: SmallNetwork, tmp_path: Path) -> None:
    options = ("--proxy=proxyserver:80", "--gateway", "--client_auth=BASIC", "--client_username=u")
    password = {"PX_CLIENT_PASSWORD": "p"}
    with PxProcess(tmp_path, *options, environment=password, within=network.host.prefix):
        assert {*map(tuple, ask_for_pages(network).values())} == {(401, 401, 401, 401)}
        assert network.host.fetch("http://u:p@127.0.0.1:3128/status.json", proxy="")[0] == 200
        assert network.guest.fetch("http://u:p@172.17.0.1:3128/proxy.pac", proxy="")[0] == 200
        assert network.guest.fetch("http://u:p@172.17.0.1:3128/status.json", proxy="")[0] == 403


#: Targets on the computer of a client or on its link, where the metadata service of a cloud has secrets.
LOCAL_TARGETS = (
    UPSTREAM,
    "127.0.0.1:81",
    "localhost",
    "db.localhost:5432",
    "[::1]:8080",
    "169.254.169.254",
    "[fe80::1]",
)


def name_upstream(directory: Path, how: str) -> tuple[list[str], dict[str, str]]:
    """Return the options and variables from which Px discovers its upstream."""
    if how == "environment":
        return [], {"http_proxy": "http://proxyserver:80"}
    script = directory / "proxy.pac"
    script.write_text("function FindProxyForURL() { return 'PROXY proxyserver:80' }")
    return [f"--pac={script}"], {}


@pytest.mark.parametrize("how", ["environment", "script"])
@pytest.mark.parametrize("access", ["--gateway", "--listen=172.17.0.1,127.0.0.1", "--hostonly --gateway"])
def test_another_computer_cannot_reach_local_targets_of_the_computer_of_px(
    network: SmallNetwork, tmp_path: Path, how: str, access: str
) -> None:
    options, variables = name_upstream(tmp_path, how)
    with PxProcess(
        tmp_path, *options, *access.split(), environment=variables, within=network.host.prefix
    ) as px:
        for target in LOCAL_TARGETS:
            url = f"http://{target}/secret"
            answer = network.guest.fetch(url, proxy="http://172.17.0.1:3128")
            assert answer == (200, f"upstream saw {url}"), px.output
        url, direct = f"http://{UPSTREAM}/secret", (200, "upstream saw /secret")  # in origin form
        assert network.host.fetch(url, proxy="http://127.0.0.1:3128") == direct
        by_own_address = network.host.fetch(url, proxy="http://172.17.0.1:3128", source="172.17.0.1")
        assert by_own_address == (direct if "--hostonly" in access else (200, f"upstream saw {url}"))


@pytest.mark.parametrize(
    ("address", "width", "at"),
    [("172.17.0.99", "16", "172.17.0.1"), ("fd17::99", "64", "[fd17::1]")],
)
def test_a_running_px_follows_changes_of_its_own_addresses(
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
    """Ask until the answer has this status, for at most `NOTICE_SECONDS`."""
    changed = time.monotonic()
    while (seen := ask()) != status:
        assert time.monotonic() - changed < NOTICE_SECONDS, seen


def test_a_link_local_address_is_own_only_on_its_own_link(network: SmallNetwork, tmp_path: Path) -> None:
    host, guest = network.host, network.guest
    host.add_address("fe80::77/64", "remote")
    guest.add_address("fe80::77/64", "host")  # the same address on another link belongs to another computer
    host.add_address("fe80::1/64", "guest")
    try:
        with PxProcess(tmp_path, "--proxy=proxyserver:80", "--hostonly", within=host.prefix):
            own = ("fe80::77%remote", "fe80::77%remote")
            assert host.run(sys.executable, "-c", _CLIENT_SCRIPT, *own).startswith("HTTP/1.1 421 ")
            foreign = ("fe80::77%host", "fe80::1%host")
            assert guest.run(sys.executable, "-c", _CLIENT_SCRIPT, *foreign).startswith("HTTP/1.1 403 ")
    finally:
        guest.remove_address("fe80::77/64", "host")


def test_px_recognizes_itself_at_each_address_of_the_host(network: SmallNetwork, tmp_path: Path) -> None:
    with PxProcess(tmp_path, "--noproxy=*", "--gateway", "--via=0", within=network.host.prefix):
        for own in ("172.17.0.1", "203.0.113.1", "[fd17::1]", "[2001:db8::1]", "127.0.0.1"):
            status, text = network.guest.fetch(f"http://{own}:3128/", proxy="http://172.17.0.1:3128")
            assert (status, "came back to Px" in text) == (508, True), own
        assert network.guest.fetch("http://172.17.0.5:3128/", proxy="http://172.17.0.1:3128")[0] == 502


def test_a_gateway_without_ipv6_listens_on_ipv4(network: SmallNetwork, tmp_path: Path) -> None:
    off = "echo {0} >/proc/sys/net/ipv6/conf/all/disable_ipv6"
    network.guest.run("sh", "-c", off.format(1))
    try:
        with PxProcess(tmp_path, "--noproxy=*", "--gateway", within=network.guest.prefix) as px:
            assert "cannot" not in px.output
            assert network.host.fetch("http://172.17.0.5:3128/", proxy="http://172.17.0.5:3128")[0] == 508
    finally:
        network.guest.run("sh", "-c", off.format(0))
        network.guest.add_address("fd17::5/64", "host")
