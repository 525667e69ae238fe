"""curl through Px and real SOCKS servers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.clients.program import Place, need
from tests.clients.socks_servers import (
    DENIED,
    PASSWORD,
    USER,
    SocksServer,
    SocksServers,
    running_socks_servers,
)
from tests.corpnet.network import CorporateNetwork
from tests.corpnet.payload import payload_bytes, payload_sha256
from tests.corpnet.ports import reserved_ports
from tests.px_process import PxProcess

LENGTH = 3_000_017


class Way(NamedTuple):
    """curl that uses Px, and Px that uses SOCKS servers."""

    px: PxProcess
    curl: Callable[..., str]


StartWay = Callable[..., AbstractContextManager[Way]]


def as_alice(server: SocksServer, password: str = PASSWORD) -> str:
    """Return the URL with a login."""
    return server.url("socks5h", f"{USER}:{password.replace('+', '%2B')}@")


UPSTREAMS: dict[str, Callable[[SocksServers], str]] = {
    "socks5 dante": lambda servers: servers.dante().url("socks5"),
    "socks5h microsocks with a password": lambda servers: as_alice(servers.microsocks()),
    "socks4a twisted": lambda servers: servers.twisted().url("socks4a", "bob@"),
}


@pytest.fixture(scope="module")
def servers() -> Iterator[SocksServers]:
    """Yield the SOCKS servers."""
    with running_socks_servers() as servers:
        yield servers


@pytest.fixture
def start_way(corporate_network: CorporateNetwork, place: Place, tmp_path: Path) -> StartWay:
    """Yield a function that starts a Px with these upstreams."""
    need("curl")
    (tmp_path / "px").mkdir()

    @contextmanager
    def start(*upstreams: str) -> Iterator[Way]:
        environment = {"PX_PROXY": ",".join(upstreams)}
        with PxProcess(tmp_path / "px", "--verbose", "--socktimeout=3", environment=environment) as px:
            told = ["-w", " [%{http_connect} %{http_code}]", "--cacert", str(corporate_network.ca_file)]
            env = {"http_proxy": px.url, "https_proxy": px.url}
            yield Way(px, partial(place.run, "curl", "-sS", *told, env=env))
        assert PASSWORD not in px.output

    return start


@pytest.mark.parametrize("choose", UPSTREAMS.values(), ids=UPSTREAMS)
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
@pytest.mark.shows("--proxy")
def test_downloads_and_uploads_arrive_whole(
    start_way: StartWay,
    servers: SocksServers,
    corporate_network: CorporateNetwork,
    place: Place,
    choose: Callable[[SocksServers], str],
    host: str,
) -> None:
    origin = corporate_network.origin
    body, got = place.directory / "body", place.directory / "got"
    body.write_bytes(payload_bytes(LENGTH))
    with start_way(choose(servers)) as way:
        plain, tls = (url(f"/bytes/{LENGTH}", host=host) for url in (origin.url, origin.tls_url))
        for arguments in ([plain], ["--proxytunnel", plain], [tls]):
            way.curl("--fail", "-o", got, *arguments)
            assert hashlib.sha256(got.read_bytes()).hexdigest() == payload_sha256(LENGTH), arguments
            got.unlink()
        for url in (origin.url, origin.tls_url):
            assert payload_sha256(LENGTH) in way.curl("--data-binary", f"@{body}", url("/upload", host=host))


@pytest.mark.parametrize("choose", UPSTREAMS.values(), ids=UPSTREAMS)
def test_a_plain_connection_is_kept_for_its_origin(
    start_way: StartWay,
    servers: SocksServers,
    corporate_network: CorporateNetwork,
    choose: Callable[[SocksServers], str],
) -> None:
    with start_way(choose(servers)) as way:
        for _ in range(2):
            assert "[000 200]" in way.curl(corporate_network.origin.url("/status/200"))
        assert way.px.output.count("connected to the origin") == 1
        assert way.px.output.count("over a kept connection to the origin") == 1


def test_a_login_at_the_origin_that_is_bound_to_the_connection_works(
    start_way: StartWay, servers: SocksServers, corporate_network: CorporateNetwork
) -> None:
    with start_way(servers.dante().url("socks5")) as way:
        said = way.curl("--ntlm", "-u", "carol:x", corporate_network.origin.url("/ntlm-login"))
        assert "[000 200]" in said


def test_a_client_gets_the_socks_error_about_the_target_and_px_asks_no_other_upstream(
    start_way: StartWay, servers: SocksServers, corporate_network: CorporateNetwork
) -> None:
    first, second = servers.dante().url("socks5"), as_alice(servers.microsocks())
    with start_way(first, second) as way, reserved_ports(1) as (dead,):
        said = way.curl(f"http://127.0.0.1:{dead}/")
        assert "nothing listens there (SOCKS5 reply 5)" in said
        assert "[000 502]" in said
        assert "[502 000]" in way.curl("--proxytunnel", f"http://127.0.0.1:{dead}/", code=None)
        denied = way.curl(f"http://{DENIED}:{corporate_network.origin.port}/")
        assert "rules do not allow that (SOCKS5 reply 2)" in denied
        assert "[000 403]" in denied
        unknown = way.curl("http://no-such-host.invalid/")
        assert "cannot find that host (SOCKS5 reply 4)" in unknown
        states = [each["state"] for each in way.px.status()["upstreams"]]
        assert states == ["in use", "ready"]


@pytest.mark.parametrize("name", ["dante", "twisted"])
def test_an_error_of_socks4_has_only_the_reply_code(
    start_way: StartWay, servers: SocksServers, name: str
) -> None:
    server: SocksServer = getattr(servers, name)()
    with start_way(server.url("socks4")) as way, reserved_ports(1) as (dead,):
        assert "(SOCKS4 reply 91)" in way.curl(f"http://127.0.0.1:{dead}/")


@pytest.mark.parametrize("userinfo", ["", f"{USER}:wrong@"], ids=["no password", "a wrong password"])
def test_px_skips_an_upstream_that_refuses_its_login(
    start_way: StartWay, servers: SocksServers, corporate_network: CorporateNetwork, userinfo: str
) -> None:
    strict = servers.microsocks()
    with start_way(strict.url("socks5", userinfo), servers.dante().url("socks5")) as way:
        assert "[000 200]" in way.curl(corporate_network.origin.url("/status/200"))
        why = f"refuses the login of {USER}" if userinfo else "wants a login."
        assert f"The upstream {strict.url('socks5')} {why}" in way.px.output


@pytest.mark.parametrize(("name", "scheme"), [("dante", "socks5"), ("twisted", "socks4")])
def test_px_finds_the_socks_version_if_a_pac_script_names_none(
    servers: SocksServers,
    corporate_network: CorporateNetwork,
    place: Place,
    tmp_path: Path,
    name: str,
    scheme: str,
) -> None:
    need("curl")
    server: SocksServer = getattr(servers, name)()
    where = server.url("socks5").removeprefix("socks5://")
    pac = place.directory / "proxy.pac"
    pac.write_text(f'function FindProxyForURL(url, host) {{ return "SOCKS {where}" }}')
    (tmp_path / "px").mkdir()
    origin, own_targets = corporate_network.origin, "--noproxy=<-loopback>"
    with PxProcess(tmp_path / "px", f"--pac={pac}", own_targets, "--accesslog=-", "--socktimeout=3") as px:
        told = ["-sS", "-w", " [%{http_code}]", "-x", px.url, "--cacert", str(corporate_network.ca_file)]
        for url in (origin.url, origin.tls_url):
            for _ in range(2):
                assert "[200]" in place.run("curl", *told, url("/status/200"))
    lines = [line for line in px.output.splitlines() if " 200 " in line]
    assert len(lines) == 4
    assert all(server.url(scheme) in line for line in lines), lines
