"""Logins that are bound to a client's connection: Px forwards them and never shares the connection."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.corpnet import ntlm_messages
from tests.corpnet.checks import curl
from tests.corpnet.network import CorporateNetwork
from tests.corpnet.samba_ad import DOMAIN
from tests.px_process import PxProcess

from .concurrency import at_once
from .exchanges import HOST
from .http_client import Answer, Client
from .logins import LOGINS
from .ntlm_client import get_by
from .squid_watch import Watch, bad_passwords


def _px_without_logins(network: CorporateNetwork, directory: Path) -> PxProcess:
    return PxProcess(directory, f"--proxy={network.ntlm.url}", "--auth=NONE", "--verbose")


@pytest.mark.parametrize("option", [(), ("-p",)], ids=["GET", "CONNECT"])
def test_curl_logs_in_through_px(network: CorporateNetwork, tmp_path: Path, option: tuple[str, ...]) -> None:
    user = network.ad.bob
    watch = Watch(network.ntlm)
    with bad_passwords(network, user), _px_without_logins(network, tmp_path) as px:
        by_px = ("--noproxy", "", "-x", px.url, *option)
        login = ("--proxy-ntlm", "-U", f"{DOMAIN}\\{user.name}:{user.password}")
        url = network.origin.url("/bytes/1000", HOST)
        assert curl(url, *by_px, *login) == "200"
        watch.check_cost(1, answered=1)  # to type 1; curl is told to begin with it
        assert curl(url, *by_px) == "407"
        assert watch.schemes() == []
        watch.check_cost(1, answered=0)


def test_two_clients_that_log_in_themselves_never_share_a_connection(
    network: CorporateNetwork, tmp_path: Path
) -> None:
    url = network.origin.url("/", HOST)
    watch = Watch(network.ntlm)
    users = (network.ad.bob, network.ad.carol)
    with _px_without_logins(network, tmp_path) as px, ExitStack() as stack:
        clients = [stack.enter_context(Client(px.port)) for _ in users]
        for client, user in zip(clients, users, strict=True):
            assert get_by(client, url, f"{DOMAIN}\\{user.name}", user.password).status == 200
        watch.reset()
        for user_number in (0, 1, 0, 1):
            assert clients[user_number].get(url).status == 200
        names = [entry.user for entry in watch.entries(answered=4)]
        assert names == [f"{DOMAIN}\\{users[number].name}" for number in (0, 1, 0, 1)]
        with Client(px.port) as unauthenticated:
            answer = unauthenticated.get(url)
            assert answer.status == 407
            assert "NTLM" in answer.header("proxy-authenticate")
        clients[0].close()  # so that no other client inherits its login
        with Client(px.port) as unauthenticated:
            assert unauthenticated.get(url).status == 407


def _site_login(client: Client, url: str, name: str) -> Answer:
    challenge = client.get(url, [("Authorization", ntlm_messages.negotiate_message())])
    assert challenge.status == 401, challenge
    assert challenge.header("www-authenticate").startswith("NTLM ")
    assert challenge.header("proxy-support") == "Session-Based-Authentication"
    return client.get(url, [("Authorization", ntlm_messages.authenticate_message(name))])


@pytest.fixture(params=["upstream", "direct"])
def site(request: pytest.FixtureRequest, network: CorporateNetwork, tmp_path: Path):
    """Give a running Px and the URL of a site that binds its logins to connections."""
    if request.param == "direct":
        with PxProcess(tmp_path, "--noproxy=*", "--verbose") as px:
            yield px, network.origin.url("/ntlm-login")
    else:
        with LOGINS["ntlm"].running_px(network, tmp_path) as px:
            yield px, network.origin.url("/ntlm-login", HOST)


def test_clients_log_in_at_a_site_in_alternate_steps(site: tuple[PxProcess, str]) -> None:
    px, url = site
    with Client(px.port) as ann, Client(px.port) as ben, Client(px.port) as unauthenticated:
        assert [client.get(url).status for client in (ann, ben)] == [401, 401]
        for client in (ann, ben):
            answer = client.get(url, [("Authorization", ntlm_messages.negotiate_message())])
            assert answer.status == 401
        for client, name in ((ann, "ann"), (ben, "ben")):
            login = [("Authorization", ntlm_messages.authenticate_message(name))]
            assert client.get(url, login).json["user"] == name
        assert [client.get(url).json["user"] for client in (ann, ben, ann)] == ["ann", "ben", "ann"]
        assert unauthenticated.get(url).status == 401
        ann.close()
        with Client(px.port) as other:
            assert other.get(url).status == 401
        assert ben.get(url).json["user"] == "ben"


def test_many_clients_log_in_at_a_site_concurrently(site: tuple[PxProcess, str]) -> None:
    px, url = site
    names = [f"user{number}" for number in range(8)]

    def work(name: str) -> list[str]:
        with Client(px.port) as client:
            first = _site_login(client, url, name).json["user"]
            return [first, *(client.get(url).json["user"] for _ in range(10))]

    assert at_once([partial(work, name) for name in names]) == [[name] * 11 for name in names]
