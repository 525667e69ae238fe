"""curl and git through the SOCKS port and the static tunnels of a Px that logs in at a Squid."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.clients.program import Place, need
from tests.clients.site import Site
from tests.clients.way import NTLM, Way
from tests.corpnet.network import CorporateNetwork
from tests.corpnet.payload import payload_bytes, payload_sha256
from tests.free_ports import free_port
from tests.px_process import PxProcess

LENGTH = 3_000_017
CLIENT, PASSWORD = "team", "clear-Pässword"
#: curl's exit code where a proxy fails (CURLE_PROXY), and the message of a refused login.
PROXY_FAILED = 97
REFUSED = "User was rejected by the SOCKS5 server"


class Ports(NamedTuple):
    """A Px with more ports than one, and what its Squid sees."""

    way: Way
    socks: int
    tunnel: int


StartPorts = Callable[..., AbstractContextManager[Ports]]


@pytest.fixture
def start_ports(corporate_network: CorporateNetwork, tmp_path: Path) -> StartPorts:
    """Give what starts such a Px; its tunnel leads to the TLS port of the origin."""
    need("curl")
    network, directory = corporate_network, tmp_path / "px"
    directory.mkdir()

    @contextmanager
    def start(*flags: str, client_password: str = "", has_tunnel: bool = True) -> Iterator[Ports]:
        socks, tunnel = free_port(), free_port()
        more = (f"--tunnel={tunnel}:origin.test:{network.origin.tls_port}",) if has_tunnel else ()
        secrets = {"PX_PASSWORD": network.ad.alice.password, "PX_CLIENT_PASSWORD": client_password}
        with PxProcess(
            directory,
            f"--proxy=localhost:{network.ntlm.port}",
            r"--username=ADTEST\alice",
            f"--socks={socks}",
            *more,
            *flags,
            "--verbose",
            environment={**secrets, **network.ad.realm.env},
        ) as px:
            yield Ports(Way(network, px, NTLM), socks, tunnel)
        assert PASSWORD not in px.output

    return start


def test_curl_downloads_and_uploads_through_socks(start_ports: StartPorts, place: Place) -> None:
    with start_ports() as ports:
        network = ports.way.network
        origin, got = network.origin, place.directory / "got"
        curl = ["curl", "-sS", "--fail", "--cacert", str(network.ca_file)]
        proxy = ["--socks5-hostname", f"127.0.0.1:{ports.socks}"]
        for make_url in (origin.url, origin.tls_url):
            place.run(*curl, *proxy, "-o", got, make_url(f"/bytes/{LENGTH}", host="origin.test"))
            assert hashlib.sha256(got.read_bytes()).hexdigest() == payload_sha256(LENGTH)
            got.unlink()
        upload = origin.tls_url("/upload", host="origin.test")
        answer = json.loads(place.run(*curl, *proxy, "-T", "-", upload, stdin=payload_bytes(LENGTH)))
        assert (answer["length"], answer["sha256"]) == (LENGTH, payload_sha256(LENGTH))
        secure = f"CONNECT origin.test:{origin.tls_port}"
        ports.way.arrived(f"CONNECT origin.test:{origin.port}", secure, secure)


def test_curl_downloads_through_a_static_tunnel(start_ports: StartPorts, place: Place) -> None:
    with start_ports() as ports:
        network = ports.way.network
        url, got = network.origin.tls_url(f"/bytes/{LENGTH}", host="origin.test"), place.directory / "got"
        to_tunnel = ["--connect-to", f"::127.0.0.1:{ports.tunnel}"]
        place.run("curl", "-sS", "--fail", "--cacert", network.ca_file, *to_tunnel, "-o", got, url)
        assert hashlib.sha256(got.read_bytes()).hexdigest() == payload_sha256(LENGTH)
        ports.way.arrived(f"CONNECT origin.test:{network.origin.tls_port}")


def test_curl_logs_in_at_the_socks_port_where_clients_have_to(start_ports: StartPorts, place: Place) -> None:
    flags = ("--client_auth=BASIC", f"--client_username={CLIENT}", "--client_nosspi")
    with start_ports(*flags, client_password=PASSWORD, has_tunnel=False) as ports:
        origin = ports.way.network.origin
        curl = ["curl", "-sS", "--fail", "--socks5-hostname", f"127.0.0.1:{ports.socks}"]
        url = origin.url("/bytes/1000", host="origin.test")
        refused = place.run(*curl, "--proxy-user", f"{CLIENT}:wrong", url, code=PROXY_FAILED)
        assert REFUSED in refused
        place.run(*curl, url, code=PROXY_FAILED)
        place.run(*curl, "--proxy-user", f"{CLIENT}:{PASSWORD}", "-o", "got", url)
        assert (place.directory / "got").read_bytes() == payload_bytes(1000)
        assert len(ports.way.arrived(f"CONNECT origin.test:{origin.port}")) == 1
    assert f"SOCKS: wrong user or password, as '{CLIENT}'" in ports.way.px.output


def test_curl_shows_the_number_of_what_failed(start_ports: StartPorts, place: Place) -> None:
    with start_ports("--noproxy=127.0.0.1", has_tunnel=False) as ports:
        curl = ["curl", "-sS", "--socks5-hostname", f"127.0.0.1:{ports.socks}"]
        said = place.run(*curl, f"http://127.0.0.1:{free_port()}/", code=PROXY_FAILED)
        assert "(5)" in said
        said = place.run(*curl, f"http://127.0.0.1:{ports.socks}/", code=PROXY_FAILED)
        assert "(2)" in said
        said = place.run("curl", "-sS", "-x", f"http://127.0.0.1:{ports.socks}", "http://origin.test/")
        assert f"http_proxy and https_proxy to http://127.0.0.1:{ports.way.px.port}" in said


def test_git_clones_through_socks(start_ports: StartPorts, site: Site, place: Place) -> None:
    need("git")
    bare, clone = site.directory / "git" / "project.git", place.directory / "clone"
    env = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
    user = ("-c", "user.name=A", "-c", "user.email=a@test")
    place.run("git", "init", "-q", "-b", "main", clone, env=env)
    (clone / "big").write_bytes(payload_bytes(LENGTH))
    place.run("git", "-C", clone, "add", ".", env=env)
    place.run("git", "-C", clone, *user, "commit", "-q", "-m", "first", env=env)
    place.run("git", "clone", "-q", "--bare", clone, bare, env=env)
    with start_ports() as ports:
        proxy = ("-c", f"http.proxy=socks5h://127.0.0.1:{ports.socks}")
        env["GIT_SSL_CAINFO"] = str(ports.way.network.ca_file)
        url, again = site.url("/git/project.git", "https"), place.directory / "again"
        place.run("git", *proxy, "clone", "-q", url, again, env=env)
        assert (again / "big").read_bytes() == payload_bytes(LENGTH)
        assert ports.way.arrived()
