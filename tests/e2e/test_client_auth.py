"""Real clients log in at Px by every scheme, and Px does not forward their logins."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

import httpx
import pytest
import requests

from tests.corpnet.network import CorporateNetwork
from tests.corpnet.payload import payload_bytes
from tests.px_process import PxProcess

from . import exchanges
from .concurrency import at_once
from .http_client import Client
from .login_at_px import (
    NTLM_IN_NEGOTIATE,
    PASSWORD,
    USER,
    WAYS,
    CurlRun,
    Way,
    login_px_environment,
    run_curl,
    running_login_px,
    ticket_environment,
)
from .ntlm_client import get_by

UMLAUTS, UMLAUT_PASSWORD = "jürgen", "pässwörd:€"
LARGE_BYTES = 5_000_000

every_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
by_password = pytest.mark.parametrize("name", ["basic", "digest", "ntlm", "any"])


class LoginPx:
    """A Px that requires a login, and curl as its client."""

    def __init__(self, network: CorporateNetwork, directory: Path, px: PxProcess, way: Way) -> None:
        self._network = network
        self.px = px
        self.way = way
        self._env = ticket_environment(network, directory) if way.ticket else {}

    def curl(self, *options: str, password: str = PASSWORD) -> CurlRun:
        return run_curl(self.url, *self.way.credentials(password), *options, env=self._env)

    @property
    def url(self) -> str:
        return f"http://localhost:{self.px.port}"  # the ticket is for this name

    @property
    def refusals(self) -> int:
        return self.px.output.count("refused the login of the client")


@pytest.fixture
def login_px(network: CorporateNetwork, tmp_path: Path, way: Way):
    with running_login_px(network, tmp_path, way) as px:
        yield LoginPx(network, tmp_path, px, way)


@pytest.mark.shows("--client_auth", "--client_username")
@every_way
def test_curl_logs_in_once_for_several_gets_on_a_connection(
    network: CorporateNetwork, login_px: LoginPx
) -> None:
    url = network.origin.url("/echo-headers")
    run = login_px.curl(url, url, url)
    assert run.statuses == login_px.way.statuses(3)
    assert run.connections == 1
    assert "roxy-" not in run.body  # the origin echoes the fields that reached it
    assert login_px.refusals == 0


@every_way
def test_curl_logs_in_for_posts(network: CorporateNetwork, login_px: LoginPx) -> None:
    url = network.origin.url("/upload")
    run = login_px.curl("--data-binary", "x" * 1000, url, url)
    assert run.statuses == login_px.way.statuses(2)
    assert [each["length"] for each in _parse_objects(run.body)] == [1000, 1000]


@every_way
def test_curl_logs_in_for_posts_of_megabytes(
    network: CorporateNetwork, login_px: LoginPx, tmp_path: Path
) -> None:
    body = tmp_path / "body"
    body.write_bytes(payload_bytes(LARGE_BYTES))
    for more in ((), ("-H", "Expect:"), ("-H", "Transfer-Encoding: chunked")):
        run = login_px.curl("--data-binary", f"@{body}", *more, network.origin.url("/upload"))
        (got,) = _parse_objects(run.body)
        assert (got["length"], got["sha256"]) == (LARGE_BYTES, exchanges.checksum(LARGE_BYTES))
        assert run.challenges <= 2


@every_way
def test_curl_logs_in_for_tunnels_also_with_tls_inside(network: CorporateNetwork, login_px: LoginPx) -> None:
    plain = login_px.curl("-p", network.origin.url("/bytes/10"))
    assert plain.statuses == [407] * login_px.way.first + [200, 200]
    tls = login_px.curl("--cacert", str(network.ca_file), network.origin.tls_url("/bytes/10", "localhost"))
    assert tls.statuses[-2:] == [200, 200]


@by_password
def test_px_refuses_a_wrong_password(network: CorporateNetwork, tmp_path: Path, name: str) -> None:
    way, url = WAYS[name], network.origin.url("/")
    with running_login_px(network, tmp_path, way) as px:
        login_px = LoginPx(network, tmp_path, px, way)
        for options in ((url,), ("--data-binary", "x", url), ("-p", url)):
            assert set(login_px.curl(*options, password="wrong").statuses) == {407}
        assert login_px.refusals == 3
        assert set(login_px.curl(url).statuses[-1:]) == {200}


@every_way
def test_a_request_without_a_login_gets_a_407(network: CorporateNetwork, login_px: LoginPx) -> None:
    for options in ((), ("-p",), ("--data-binary", "x"), ("-I",)):
        run = run_curl(login_px.url, *options, network.origin.url("/"))
        assert run.statuses == [407]
    assert login_px.refusals == 0


def test_px_refuses_the_ticket_of_another_user(network: CorporateNetwork, tmp_path: Path) -> None:
    environment = network.mit.realm.kinit(network.mit.bob, tmp_path / "bobs")
    with running_login_px(network, tmp_path / "px", WAYS["ticket"]) as px:
        run = run_curl(
            f"http://localhost:{px.port}",
            *WAYS["ticket"].credentials(),
            network.origin.url("/"),
            env=environment,
        )
        assert set(run.statuses) == {407}
        assert "'bob@MIT.TEST' is not alice" in px.output


def test_without_client_username_px_accepts_every_ticket_of_the_realm(
    network: CorporateNetwork, tmp_path: Path
) -> None:
    environment = network.mit.realm.kinit(network.mit.bob, tmp_path / "bobs")
    with running_login_px(network, tmp_path / "px", WAYS["ticket"], "--client_username=") as px:
        run = run_curl(
            f"http://localhost:{px.port}",
            *WAYS["ticket"].credentials(),
            network.origin.url("/"),
            env=environment,
        )
        assert run.statuses == [200]


@pytest.mark.parametrize("name", ["basic", "digest"])
def test_umlauts_in_user_and_password_are_sent_as_utf_8(
    network: CorporateNetwork, tmp_path: Path, name: str
) -> None:
    way, url = WAYS[name], network.origin.url("/")
    changes = {"PX_CLIENT_PASSWORD": UMLAUT_PASSWORD}
    with running_login_px(network, tmp_path, way, f"--client_username={UMLAUTS}", **changes) as px:
        run = run_curl(px.url, *way.credentials(UMLAUT_PASSWORD, UMLAUTS), url)
        assert run.statuses == [407] * way.first + [200]
        assert set(run_curl(px.url, *way.credentials(UMLAUT_PASSWORD, "jurgen"), url).statuses) == {407}


def test_ntlm_logins_work_with_umlauts(network: CorporateNetwork, tmp_path: Path) -> None:
    changes = {"PX_CLIENT_PASSWORD": UMLAUT_PASSWORD}  # curl's own NTLM is for ASCII only
    with running_login_px(network, tmp_path, WAYS["ntlm"], f"--client_username={UMLAUTS}", **changes) as px:
        with Client(px.port) as client:
            assert (
                get_by(client, network.origin.url("/"), f"CORP\\{UMLAUTS.upper()}", UMLAUT_PASSWORD).status
                == 200
            )
            assert client.get(network.origin.url("/")).status == 200
        with Client(px.port) as client:
            assert get_by(client, network.origin.url("/"), UMLAUTS, "passwörd:€").status == 407


def test_each_of_many_concurrent_connections_logs_in(network: CorporateNetwork, tmp_path: Path) -> None:
    url = network.origin.url("/counter")

    def work(px: PxProcess, password: str) -> list[int]:
        with Client(px.port) as client:
            first = get_by(client, url, USER, password).status
            return [first, *(client.get(url).status for _ in range(5))]

    with running_login_px(network, tmp_path, WAYS["ntlm"]) as px:
        passwords = [PASSWORD, "wrong"] * 6
        got = at_once([partial(work, px, password) for password in passwords])
    assert got == [[200] * 6, [407] * 6] * 6


def test_requests_and_httpx_log_in(network: CorporateNetwork, tmp_path: Path) -> None:
    with running_login_px(network, tmp_path, WAYS["basic"]) as px:
        for password, status in ((PASSWORD, 200), ("wrong", 407)):
            proxy = f"http://{USER}:{password}@127.0.0.1:{px.port}"
            with requests.Session() as session, httpx.Client(proxy=proxy, trust_env=False) as client:
                session.trust_env = False
                session.proxies = {"http": proxy}
                for _ in range(2):
                    assert session.get(network.origin.url("/"), timeout=30).status_code == status
                    assert client.get(network.origin.url("/"), timeout=30).status_code == status
        tls = network.origin.tls_url("/bytes/10", "localhost")
        proxies = {"https": f"http://{USER}:{PASSWORD}@127.0.0.1:{px.port}"}
        assert requests.get(tls, proxies=proxies, verify=str(network.ca_file), timeout=30).status_code == 200
        refused = {"https": f"http://{USER}:wrong@127.0.0.1:{px.port}"}
        with pytest.raises(requests.exceptions.ProxyError, match="407 Px: log in at this Px"):
            requests.get(tls, proxies=refused, verify=str(network.ca_file), timeout=30)


@pytest.mark.shows("--client_auth", "--gateway")
def test_a_gateway_with_a_password_serves_clients_that_know_it(
    network: CorporateNetwork, tmp_path: Path
) -> None:
    """The case in docs/gateways-and-containers.md."""
    options = ("--noproxy=*", "--gateway", "--client_auth=ANY", "--client_username=team")
    with PxProcess(tmp_path, *options, environment={"PX_CLIENT_PASSWORD": PASSWORD}) as px:
        assert "warning" not in px.output
        gateway, url = f"127.0.0.2:{px.port}", network.origin.url("/")
        assert run_curl(f"http://team:{PASSWORD}@{gateway}", url).statuses == [200]
        run = run_curl(f"http://{gateway}", "--proxy-digest", "--proxy-user", f"team:{PASSWORD}", url)
        assert run.statuses == [407, 200]
        assert run_curl(f"http://{gateway}", url).statuses == [407]


# Px at Px

#: The ways in which one Px logs in at another.
FRONT = {
    "basic": WAYS["basic"],
    "digest": WAYS["digest"],
    "ntlm": WAYS["ntlm"],
    "ticket": WAYS["ticket"],
    "any": WAYS["any"],
    "ntlm-in-negotiate": NTLM_IN_NEGOTIATE,
}


@pytest.fixture
def front(network: CorporateNetwork, tmp_path: Path, request: pytest.FixtureRequest):
    """Yield a Px that logs in at another Px, and that other Px."""
    way: Way = request.param
    (tmp_path / "front").mkdir()
    environment, user = {"PX_PASSWORD": PASSWORD}, [f"--username={USER}"]
    if way.ticket:
        environment, user = ticket_environment(network, tmp_path), []
    with running_login_px(network, tmp_path / "back", way) as back:
        options = (f"--proxy=http://localhost:{back.port}", f"--auth={way.auth}", *user, "--verbose")
        with PxProcess(tmp_path / "front", *options, environment=environment) as px:
            yield px, back


@pytest.mark.parametrize("front", FRONT.values(), ids=FRONT, indirect=True)
def test_a_px_logs_in_at_another_px(network: CorporateNetwork, front: tuple[PxProcess, PxProcess]) -> None:
    px, back = front
    with Client(px.port) as client:
        exchanges.get(client, network)
        asked = back.output.count(" 407 ")
        for exchange in (exchanges.POST, exchanges.PUT_MEDIUM, exchanges.POST_CHUNKED, exchanges.GET):
            exchange.run(client, network)
        assert back.output.count(" 407 ") == asked, "the login was not remembered"
    for exchange in (exchanges.CONNECT, exchanges.CONNECT_TLS):
        with Client(px.port) as client:
            exchange.run(client, network)
    assert "refused the login" not in back.output


@pytest.mark.parametrize("front", FRONT.values(), ids=FRONT, indirect=True)
def test_an_upload_as_the_first_request_through_two_pxs_arrives_once(
    network: CorporateNetwork, front: tuple[PxProcess, PxProcess]
) -> None:
    with Client(front[0].port) as client:
        exchanges.PUT_MEDIUM.run(client, network)
        exchanges.PUT_MEDIUM_CHUNKED.run(client, network)


def test_a_px_with_a_wrong_password_logs_in_twice_at_most(network: CorporateNetwork, tmp_path: Path) -> None:
    (tmp_path / "front").mkdir()
    with running_login_px(network, tmp_path / "back", WAYS["ntlm"]) as back:
        options = (f"--proxy=http://localhost:{back.port}", f"--username={USER}", "--auth=NTLM", "--verbose")
        with PxProcess(tmp_path / "front", *options, environment={"PX_PASSWORD": "wrong"}) as px:
            for _ in range(5):
                with Client(px.port) as client:
                    answer = client.get(network.origin.url("/"))
                    assert answer.status == 502
                    assert f"localhost:{back.port}" in answer.text
        assert back.output.count("refused the login of the client") == 2


@every_way
def test_a_px_in_the_middle_forwards_the_login_of_a_client(
    network: CorporateNetwork, tmp_path: Path, way: Way
) -> None:
    """In a chain of Px, a Px in the middle forwards a login that is bound to the connection."""
    environment = ticket_environment(network, tmp_path) if way.ticket else {}
    (tmp_path / "middle").mkdir()
    url = network.origin.url("/echo-headers")
    with (
        running_login_px(network, tmp_path / "back", way) as back,
        PxProcess(tmp_path / "middle", f"--proxy={back.url}", "--auth=NONE", "--verbose") as px,
    ):
        run = run_curl(f"http://localhost:{px.port}", *way.credentials(), url, url, env=environment)
        assert run.statuses == way.statuses(2)
        assert "roxy-" not in run.body
        assert run_curl(px.url, url).statuses == [407]
        tunnel = run_curl(f"http://localhost:{px.port}", *way.credentials(), "-p", url, env=environment)
        assert tunnel.statuses[-2:] == [200, 200]
    assert "refused the login" not in back.output


def test_px_with_a_keytab_and_a_password_offers_every_scheme(
    network: CorporateNetwork, tmp_path: Path
) -> None:
    environment = {**login_px_environment(network, ticket=True), "PX_CLIENT_PASSWORD": PASSWORD}
    with running_login_px(network, tmp_path, WAYS["any"], **environment) as px, Client(px.port) as client:
        offers = client.get(network.origin.url("/")).header("proxy-authenticate")
    assert re.findall(r"(?:^|, )(Negotiate|NTLM|Digest|Basic)\b", offers) == [
        "Negotiate",
        "NTLM",
        "Digest",
        "Digest",
        "Basic",
    ]


def _parse_objects(text: str) -> list[dict[str, object]]:
    decoder, found, position = json.JSONDecoder(), [], 0
    while position < len(text):
        value, position = decoder.raw_decode(text, position)
        found.append(value)
        position += len(text[position:]) - len(text[position:].lstrip())
    return found
