"""Which clients may use a running Px: requests from several loopback addresses."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from px.downstream.refusals import MAX_LINGERING
from tests.px_process import PxProcess, until
from tests.small_origin import get, running_origin

pytestmark = pytest.mark.skipif(sys.platform == "darwin", reason="has 127.0.0.1 only")

#: Px answers this request itself, so the answer shows that the client is admitted.
TRACE = ("TRACE", "http://origin.test/", {"Max-Forwards": "0"})


def ask(px: PxProcess, host: str = "127.0.0.1", source: str = "") -> tuple[int, str]:
    """Send one request to an address of Px; return status and text of the answer."""
    at = (source, 0) if source else None
    connection = http.client.HTTPConnection(host, px.port, timeout=10, source_address=at)
    with contextlib.closing(connection):
        method, target, fields = TRACE
        connection.request(method, target, headers=fields)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def can_connect(px: PxProcess, host: str) -> bool:
    try:
        socket.create_connection((host, px.port), timeout=5).close()
    except OSError:
        return False
    return True


@pytest.mark.shows("--listen")
def test_px_listens_on_each_given_address_and_no_other(tmp_path: Path) -> None:
    with PxProcess(tmp_path, "--noproxy=*", "--listen=127.0.0.1, 127.0.0.2,[::1]") as px:
        where = f"127.0.0.1:{px.port}, 127.0.0.2:{px.port}, [::1]:{px.port} for this computer."
        assert f"Px listens on {where}" in px.output
        for host in ("127.0.0.1", "127.0.0.2", "::1"):
            assert ask(px, host)[0] == 200
        assert not can_connect(px, "127.0.0.3")


@pytest.mark.parametrize(
    ("allow", "admitted", "refused"),
    [
        ("127.0.0.2", "127.0.0.2", "127.0.0.1"),
        ("127.0.2.*", "127.0.2.77", "127.0.3.1"),
        ("127.0.0.2-127.0.0.4", "127.0.0.4", "127.0.0.5"),
        ("127.0.4.1/24,10.0.0.0/8", "127.0.4.200", "127.0.5.1"),
    ],
)
def test_allow_decides_which_clients_px_serves(
    tmp_path: Path, allow: str, admitted: str, refused: str
) -> None:
    with PxProcess(tmp_path, "--noproxy=*", f"--allow={allow}") as px:
        assert f" for {allow}." in px.output
        assert ask(px, source=admitted)[0] == 200
        status, text = ask(px, source=refused)
        assert status == 403
        assert text.splitlines() == [
            "Px: 403 Forbidden",
            f"Clients at {refused} may not use this Px.",
            "The user who runs Px can admit them with --allow.",
        ]


def test_allow_decides_which_clients_px_serves_over_ipv6(tmp_path: Path) -> None:
    with PxProcess(tmp_path, "--noproxy=*", "--listen=::1,127.0.0.1", "--allow=127.0.0.1") as px:
        assert (ask(px)[0], ask(px, "::1")[0]) == (200, 403)
    with PxProcess(tmp_path, "--noproxy=*", "--listen=::1,127.0.0.1", "--allow=::/64") as px:
        assert (ask(px)[0], ask(px, "::1")[0]) == (403, 200)


@pytest.mark.shows("--gateway")
def test_gateway_listens_everywhere_and_warns_if_it_admits_all_clients(tmp_path: Path) -> None:
    with PxProcess(tmp_path, "--noproxy=*", "--gateway", "--listen=127.0.0.1") as px:
        assert f"Px listens on 0.0.0.0:{px.port}, [::]:{px.port} for everyone who reaches it." in px.output
        assert "px: warning: everyone who reaches this computer can use your login" in px.output
        for host in ("127.0.0.1", "127.0.0.9", "::1"):
            assert ask(px, host)[0] == 200


@pytest.mark.shows("--gateway", "--allow")
def test_allow_limits_a_gateway(tmp_path: Path) -> None:
    with PxProcess(tmp_path, "--noproxy=*", "--gateway", "--allow=127.0.0.2") as px:
        assert "warning" not in px.output
        assert ask(px, "127.0.0.9", source="127.0.0.2")[0] == 200
        assert ask(px, "127.0.0.9", source="127.0.0.3")[0] == 403


@pytest.mark.parametrize("allow", ["*.*.*.*", "10.0.0.0/8"])
@pytest.mark.shows("--hostonly")
def test_hostonly_overrides_allow(tmp_path: Path, allow: str) -> None:
    with PxProcess(tmp_path, "--noproxy=*", "--hostonly", f"--allow={allow}") as px:
        assert "for this computer's own addresses." in px.output
        assert "warning" not in px.output
        assert ask(px, "127.0.0.9", source="127.0.0.8")[0] == 200
        assert ask(px, "::1")[0] == 200


def test_the_environment_and_px_ini_set_access_too(tmp_path: Path) -> None:
    (tmp_path / "px.ini").write_text("[proxy]\nnoproxy = *\nhostonly = 1\nallow = 10.*\n")
    with PxProcess(tmp_path, environment={"PX_GATEWAY": "1"}) as px:
        assert "for this computer's own addresses and 10.*." in px.output


@pytest.mark.parametrize("option", ["--gateway", "--hostonly"])
def test_a_port_in_use_on_one_address_is_in_use_for_all_interfaces(tmp_path: Path, option: str) -> None:
    first = PxProcess(tmp_path, "--noproxy=*", "--listen=127.0.0.5")
    with first:
        second = PxProcess(tmp_path, "--noproxy=*", option)
        second.port = first.port
        with pytest.raises(AssertionError, match=f"port {first.port} on .* is in use"), second:
            pass
        assert second.wait() == 5


def test_px_recognizes_itself_at_every_address_of_a_gateway(tmp_path: Path) -> None:
    with PxProcess(tmp_path, "--noproxy=*", "--gateway", "--via=0") as px:
        connection = http.client.HTTPConnection("127.0.0.1", px.port, timeout=10)
        for host in ("127.0.0.1", "127.0.0.77", "[::1]", "localhost", own_address()):
            connection.request("GET", f"http://{host}:{px.port}/")
            answer = connection.getresponse()
            assert (answer.status, host in answer.read().decode()) == (508, not host.startswith("["))
        connection.close()


def own_address() -> str:
    """Return the address of this computer that others would see; loopback without a network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            return "127.0.0.1"
        return str(sock.getsockname()[0])


def test_px_refuses_to_start_with_itself_at_another_address_as_upstream(tmp_path: Path) -> None:
    px = PxProcess(tmp_path, "--gateway", "--proxy=127.0.0.66:3128")
    px.port = 3128
    with pytest.raises(AssertionError, match="this Px itself listens there"), px:
        pass
    assert px.wait() == 2


FLOOD = 2000


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="descriptors and memory are read from /proc")
def test_two_thousand_refused_clients_use_few_resources_and_delay_no_other_client(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as upstream,
        PxProcess(tmp_path, f"--proxy=127.0.0.1:{upstream.getsockname()[1]}", "--allow=127.0.0.1") as px,
        many_descriptors(),
        contextlib.ExitStack() as opened,
    ):
        assert ask(px)[0] == 200
        descriptors, memory = count_descriptors(px), px.memory_bytes()
        clients = [opened.enter_context(begin_connection(px)) for _ in range(FLOOD)]
        most, slowest = 0, 0.0
        for number, client in enumerate(clients):
            client.settimeout(10)
            with contextlib.suppress(OSError):
                client.sendall(
                    b"GET http://origin.test/ HTTP/1.1\r\nHost: origin.test\r\n"
                )  # Px keeps no more than this
            if number % 100 == 0:
                begun = time.monotonic()
                assert ask(px)[0] == 200
                slowest = max(slowest, time.monotonic() - begun)
                most = max(most, count_descriptors(px))
        told = sum(is_refused(client) for client in clients)
        assert told > FLOOD * 0.9
        assert most - descriptors <= MAX_LINGERING + 5
        assert px.memory_bytes() - memory < 4 * 1024 * 1024
        assert slowest < 3  # the system retries a connection after 1 s if its queue was full
        assert count_threads(px) == 1
        upstream.settimeout(0)
        with pytest.raises(BlockingIOError):
            upstream.accept()
        until(lambda: count_descriptors(px) <= descriptors, lambda: "refused connections stay open")


def begin_connection(px: PxProcess) -> socket.socket:
    sock = socket.socket()
    sock.bind(("127.0.0.2", 0))
    sock.setblocking(False)
    sock.connect_ex(("127.0.0.1", px.port))
    return sock


PAGE = "/status.json"


def ask_through(px: PxProcess, other: PxProcess, host: str, *, by_tunnel: bool) -> int:
    """Send a request for a page of another Px through a Px; return the status."""
    connection = http.client.HTTPConnection("127.0.0.1", px.port, timeout=10)
    with contextlib.closing(connection):
        if not by_tunnel:
            connection.request("GET", f"http://{host}:{other.port}{PAGE}")
            return connection.getresponse().status
        connection.set_tunnel(host, other.port)
        try:
            connection.request("GET", PAGE, headers={"Host": f"127.0.0.1:{other.port}"})
        except OSError as error:  # its text has the status of the tunnel
            return int(str(error).split()[3])
        return connection.getresponse().status


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0"])
def test_no_client_reads_the_pages_of_another_px_of_the_user(tmp_path: Path, host: str) -> None:
    """For the other Px the request would come from its own user, whoever the client of this one is."""
    with PxProcess(tmp_path, "--noproxy=*") as px, PxProcess(tmp_path, "--noproxy=*") as other:
        assert ask_through(px, other, host, by_tunnel=True) == 403
        assert ask_through(px, other, host, by_tunnel=False) == 403
        connection = http.client.HTTPConnection("127.0.0.1", other.port, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", PAGE)
            assert connection.getresponse().status == 200


def test_another_px_of_the_user_can_be_the_upstream(tmp_path: Path) -> None:
    with (
        PxProcess(tmp_path, "--noproxy=*") as other,
        PxProcess(tmp_path, f"--proxy=127.0.0.1:{other.port}") as px,
        running_origin([]) as origin,
    ):
        assert get(px, f"127.0.0.1:{origin}").startswith(b"HTTP/1.1 200 ")


def is_refused(client: socket.socket) -> bool:
    try:
        return client.recv(1000).startswith(b"HTTP/1.1 403 ")
    except ConnectionError:  # Px closed this connection to make room for newer ones
        return False


def count_descriptors(px: PxProcess) -> int:
    return len(list(Path(f"/proc/{px.pid}/fd").iterdir()))


def count_threads(px: PxProcess) -> int:
    found = re.search(r"^Threads:\s+(\d+)", Path(f"/proc/{px.pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


@contextlib.contextmanager
def many_descriptors() -> Iterator[None]:
    """Raise this process's limit of open files."""
    import resource  # noqa: PLC0415 - POSIX only

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < FLOOD + 500:
        pytest.skip(f"this process may open {hard} files at most")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, FLOOD + 500), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
