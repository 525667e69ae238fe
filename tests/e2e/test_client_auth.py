"""Real clients that have to log in at Px, by every scheme, and nothing of their logins goes on."""

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
from .client_doors import (
    NTLM_IN_NEGOTIATE,
    PASSWORD,
    USER,
    WAYS,
    CurlRun,
    Way,
    door_environment,
    run_curl,
    running_door,
    ticket_environment,
)
from .concurrency import at_once
from .http_client import Client
from .ntlm_client import get_by

UMLAUTS, UMLAUT_PASSWORD = "jürgen", "pässwörd:€"
LARGE_BYTES = 5_000_000

every_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
by_password = pytest.mark.parametrize("name", ["basic", "digest", "ntlm", "any"])


class Door:
    """A Px with a door, and curl at it."""

    def __init__(self, network: CorporateNetwork, directory: Path, px: PxProcess, way: Way) -> None:
        self._network = network
        self.px = px
        self.way = way
        self._env = ticket_environment(network, directory) if way.ticket else {}

    def curl(self, *options: str, password: str = PASSWORD) -> CurlRun:
        return run_curl(self.url, *self.way.credentials(password), *options, env=self._env)

    @property
    def url(self) -> str:
        return f"http://localhost:{self.px.port}"  # the name that the ticket is for

    @property
    def refusals(self) -> int:
        return self.px.output.count("refused the login of the client")


@pytest.fixture
def door(network: CorporateNetwork, tmp_path: Path, way: Way):
    with running_door(network, tmp_path, way) as px:
        yield Door(network, tmp_path, px, way)


@pytest.mark.shows("--client_auth", "--client_username")
@every_way
def test_curl_logs_in_once_for_a_connection_of_gets(network: CorporateNetwork, door: Door) -> None:
    url = network.origin.url("/echo-headers")
    run = door.curl(url, url, url)
    assert run.statuses == door.way.statuses(3)
    assert run.connections == 1
    assert "roxy-" not in run.body  # the origin shows what reached it
    assert door.refusals == 0


@every_way
def test_curl_posts(network: CorporateNetwork, door: Door) -> None:
    url = network.origin.url("/upload")
    run = door.curl("--data-binary", "x" * 1000, url, url)
    assert run.statuses == door.way.statuses(2)
    assert [each["length"] for each in _parse_objects(run.body)] == [1000, 1000]


@every_way
def test_curl_posts_megabytes(network: CorporateNetwork, door: Door, tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(payload_bytes(LARGE_BYTES))
    for more in ((), ("-H", "Expect:"), ("-H", "Transfer-Encoding: chunked")):
        run = door.curl("--data-binary", f"@{body}", *more, network.origin.url("/upload"))
        (got,) = _parse_objects(run.body)
        assert (got["length"], got["sha256"]) == (LARGE_BYTES, exchanges.checksum(LARGE_BYTES))
        assert run.challenges <= 2


@every_way
def test_curl_opens_tunnels_and_speaks_tls_inside(network: CorporateNetwork, door: Door) -> None:
    plain = door.curl("-p", network.origin.url("/bytes/10"))
    assert plain.statuses == [407] * door.way.first + [200, 200]
    tls = door.curl("--cacert", str(network.ca_file), network.origin.tls_url("/bytes/10", "localhost"))
    assert tls.statuses[-2:] == [200, 200]


@by_password
def test_a_wrong_password_gets_nobody_in(network: CorporateNetwork, tmp_path: Path, name: str) -> None:
    way, url = WAYS[name], network.origin.url("/")
    with running_door(network, tmp_path, way) as px:
        door = Door(network, tmp_path, px, way)
        for options in ((url,), ("--data-binary", "x", url), ("-p", url)):
            assert set(door.curl(*options, password="wrong").statuses) == {407}
        assert door.refusals == 3
        assert set(door.curl(url).statuses[-1:]) == {200}


@every_way
def test_without_a_login_it_is_a_407(network: CorporateNetwork, door: Door) -> None:
    for options in ((), ("-p",), ("--data-binary", "x"), ("-I",)):
        run = run_curl(door.url, *options, network.origin.url("/"))
        assert run.statuses == [407]
    assert door.refusals == 0


def test_a_ticket_of_somebody_else_is_refused(network: CorporateNetwork, tmp_path: Path) -> None:
    environment = network.mit.realm.kinit(network.mit.bob, tmp_path / "bobs")
    with running_door(network, tmp_path / "px", WAYS["ticket"]) as px:
        run = run_curl(
            f"http://localhost:{px.port}",
            *WAYS["ticket"].credentials(),
            network.origin.url("/"),
            env=environment,
        )
        assert set(run.statuses) == {407}
        assert "'bob@MIT.TEST' is not alice" in px.output


def test_without_client_username_any_ticket_of_the_realm_will_do(
    network: CorporateNetwork, tmp_path: Path
) -> None:
    environment = network.mit.realm.kinit(network.mit.bob, tmp_path / "bobs")
    with running_door(network, tmp_path / "px", WAYS["ticket"], "--client_username=") as px:
        run = run_curl(
            f"http://localhost:{px.port}",
            *WAYS["ticket"].credentials(),
            network.origin.url("/"),
            env=environment,
        )
        assert run.statuses == [200]


@pytest.mark.parametrize("name", ["basic", "digest"])
def test_umlauts_in_user_and_password_are_utf_8(network: CorporateNetwork, tmp_path: Path, name: str) -> None:
    way, url = WAYS[name], network.origin.url("/")
    changes = {"PX_CLIENT_PASSWORD": UMLAUT_PASSWORD}
    with running_door(network, tmp_path, way, f"--client_username={UMLAUTS}", **changes) as px:
        run = run_curl(px.url, *way.credentials(UMLAUT_PASSWORD, UMLAUTS), url)
        assert run.statuses == [407] * way.first + [200]
        assert set(run_curl(px.url, *way.credentials(UMLAUT_PASSWORD, "jurgen"), url).statuses) == {407}


def test_umlauts_in_ntlm(network: CorporateNetwork, tmp_path: Path) -> None:
    changes = {"PX_CLIENT_PASSWORD": UMLAUT_PASSWORD}  # curl's own NTLM is for ASCII only
    with running_door(network, tmp_path, WAYS["ntlm"], f"--client_username={UMLAUTS}", **changes) as px:
        with Client(px.port) as client:
            assert (
                get_by(client, network.origin.url("/"), f"CORP\\{UMLAUTS.upper()}", UMLAUT_PASSWORD).status
                == 200
            )
            assert client.get(network.origin.url("/")).status == 200
        with Client(px.port) as client:
            assert get_by(client, network.origin.url("/"), UMLAUTS, "passwörd:€").status == 407


def test_many_connections_at_once_log_in_each_for_itself(network: CorporateNetwork, tmp_path: Path) -> None:
    url = network.origin.url("/counter")

    def work(px: PxProcess, password: str) -> list[int]:
        with Client(px.port) as client:
            first = get_by(client, url, USER, password).status
            return [first, *(client.get(url).status for _ in range(5))]

    with running_door(network, tmp_path, WAYS["ntlm"]) as px:
        passwords = [PASSWORD, "wrong"] * 6
        got = at_once([partial(work, px, password) for password in passwords])
    assert got == [[200] * 6, [407] * 6] * 6


def test_requests_and_httpx_log_in(network: CorporateNetwork, tmp_path: Path) -> None:
    with running_door(network, tmp_path, WAYS["basic"]) as px:
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
def test_a_gateway_with_a_password_serves_who_knows_it(network: CorporateNetwork, tmp_path: Path) -> None:
    """The case in README.md."""
    options = ("--noproxy=*", "--gateway", "--client_auth=ANY", "--client_username=team")
    with PxProcess(tmp_path, *options, environment={"PX_CLIENT_PASSWORD": PASSWORD}) as px:
        assert "warning" not in px.output
        gateway, url = f"127.0.0.2:{px.port}", network.origin.url("/")
        assert run_curl(f"http://team:{PASSWORD}@{gateway}", url).statuses == [200]
        run = run_curl(f"http://{gateway}", "--proxy-digest", "--proxy-user", f"team:{PASSWORD}", url)
        assert run.statuses == [407, 200]
        assert run_curl(f"http://{gateway}", url).statuses == [407]


# Px at Px

#: How one Px logs in at another.
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
    """Give a Px that logs in at another Px, and that one."""
    way: Way = request.param
    (tmp_path / "front").mkdir()
    environment, user = {"PX_PASSWORD": PASSWORD}, [f"--username={USER}"]
    if way.ticket:
        environment, user = ticket_environment(network, tmp_path), []
    with running_door(network, tmp_path / "back", way) as back:
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


def test_a_px_with_a_wrong_password_tries_twice_at_most(network: CorporateNetwork, tmp_path: Path) -> None:
    (tmp_path / "front").mkdir()
    with running_door(network, tmp_path / "back", WAYS["ntlm"]) as back:
        options = (f"--proxy=http://localhost:{back.port}", f"--username={USER}", "--auth=NTLM", "--verbose")
        with PxProcess(tmp_path / "front", *options, environment={"PX_PASSWORD": "wrong"}) as px:
            for _ in range(5):
                with Client(px.port) as client:
                    answer = client.get(network.origin.url("/"))
                    assert answer.status == 502
                    assert f"localhost:{back.port}" in answer.text
        assert back.output.count("refused the login of the client") == 2


@every_way
def test_a_client_logs_in_at_a_px_behind_one_that_keeps_out_of_it(
    network: CorporateNetwork, tmp_path: Path, way: Way
) -> None:
    """Connection-bound logins through a Px in the middle, as in chains of them."""
    environment = ticket_environment(network, tmp_path) if way.ticket else {}
    (tmp_path / "middle").mkdir()
    url = network.origin.url("/echo-headers")
    with (
        running_door(network, tmp_path / "back", way) as back,
        PxProcess(tmp_path / "middle", f"--proxy={back.url}", "--auth=NONE", "--verbose") as px,
    ):
        run = run_curl(f"http://localhost:{px.port}", *way.credentials(), url, url, env=environment)
        assert run.statuses == way.statuses(2)
        assert "roxy-" not in run.body
        assert run_curl(px.url, url).statuses == [407]
        tunnel = run_curl(f"http://localhost:{px.port}", *way.credentials(), "-p", url, env=environment)
        assert tunnel.statuses[-2:] == [200, 200]
    assert "refused the login" not in back.output


def test_a_keytab_and_a_password_offer_everything(network: CorporateNetwork, tmp_path: Path) -> None:
    environment = {**door_environment(network, ticket=True), "PX_CLIENT_PASSWORD": PASSWORD}
    with running_door(network, tmp_path, WAYS["any"], **environment) as px, Client(px.port) as client:
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
