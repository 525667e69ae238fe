"""Targets that the upstream denies to a logged-in user, by 407 or by 403."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.corpnet.network import CorporateNetwork
from tests.corpnet.squid_config import DENIED_HOSTS, FORBIDDEN_HOST

from . import exchanges
from .concurrency import at_once
from .exchanges import HOST
from .http_client import Answer, Body, Client
from .logins import Login, only
from .squid_watch import Watch, bad_passwords

Ask = Callable[[Client, CorporateNetwork, str], Answer]


def _get(client: Client, network: CorporateNetwork, host: str) -> Answer:
    return client.get(network.origin.url("/", host))


def _post(client: Client, network: CorporateNetwork, host: str) -> Answer:
    return client.request("POST", network.origin.url("/upload", host), Body(exchanges.SMALL_BYTES))


def _connect(client: Client, network: CorporateNetwork, host: str) -> Answer:
    return client.connect(f"{host}:{network.origin.port}")


_ASKS = [pytest.param(_get, id="GET"), pytest.param(_post, id="POST"), pytest.param(_connect, id="CONNECT")]
_LOGINS = only("ntlm", "kerberos-ad-ticket", "negotiate-no-ticket", "basic-ad-non-ascii")


@pytest.mark.parametrize("ask", _ASKS)
@pytest.mark.parametrize("login", _LOGINS)
def test_a_407_that_means_denied_blocks_only_that_host(
    network: CorporateNetwork, tmp_path: Path, login: Login, ask: Ask
) -> None:
    watch = Watch(login.upstream(network))
    slow = network.origin.url("/slow/0.3", HOST)
    user = login.account(network)
    with bad_passwords(network, user), login.running_px(network, tmp_path) as px:
        with Client(px.port) as first, Client(px.port) as second:
            exchanges.get(first, network)
            at_once([partial(client.get, slow) for client in (first, second)])
            watch.reset()
        with Client(px.port) as client:
            answer = ask(client, network, DENIED_HOSTS[0])
            _check_denial(answer, network, login)
        assert 1 <= watch.count_407(answered=0) <= 3
        for again in (_get, _connect):
            with Client(px.port) as client:
                _check_denial(again(client, network, DENIED_HOSTS[0]), network, login)
        assert watch.entries(answered=0) == []
        with Client(px.port) as client:
            exchanges.get(client, network)
            exchanges.open_tunnel(client, network)
        entries = watch.entries(answered=2)
        # Squid may let a site through without a look at a Basic login: after a refusal Px waits to be asked.
        asked_first = [407] if login.scheme == "basic" else []
        assert [entry.status for entry in entries] == [*asked_first, 200, 200]


def _check_denial(answer: Answer, network: CorporateNetwork, login: Login) -> None:
    assert answer.status == 403
    assert DENIED_HOSTS[0] in answer.text
    assert f"localhost:{login.upstream(network).port}" in answer.text
    assert login.username(network) in answer.text or "the logged-in user" in answer.text
    exchanges.check_no_login_shown(answer)


@pytest.mark.parametrize("login", _LOGINS)
def test_two_denied_hosts_in_turn_do_not_block_the_account(
    network: CorporateNetwork, tmp_path: Path, login: Login
) -> None:
    with bad_passwords(network, login.account(network)), login.running_px(network, tmp_path) as px:
        for _ in range(3):
            for host in DENIED_HOSTS:
                with Client(px.port) as client:
                    exchanges.get(client, network)
                    assert _get(client, network, host).status == 403
        with Client(px.port) as client:
            exchanges.open_tunnel(client, network)


@pytest.mark.parametrize("login", _LOGINS)
def test_denied_hosts_in_the_first_requests_do_not_block_the_account(
    network: CorporateNetwork, tmp_path: Path, login: Login
) -> None:
    """Before the first login a rule looks like a wrong password; a verification tells the two apart."""
    statuses = []
    with bad_passwords(network, login.account(network)), login.running_px(network, tmp_path) as px:
        for host in DENIED_HOSTS * 2:
            with Client(px.port) as client:
                statuses.append(_get(client, network, host).status)
        assert statuses[1:] == [403, 403, 403]
        with Client(px.port) as client:
            exchanges.get(client, network)
            exchanges.open_tunnel(client, network)


@pytest.mark.parametrize("ask", _ASKS)
@pytest.mark.parametrize("login", only("ntlm", "kerberos-ad-ticket"))
def test_a_403_of_the_upstream_reaches_the_client_with_its_page(
    network: CorporateNetwork, tmp_path: Path, login: Login, ask: Ask
) -> None:
    watch = Watch(login.upstream(network))
    with bad_passwords(network, login.account(network)), login.running_px(network, tmp_path) as px:
        with Client(px.port) as client:
            answer = ask(client, network, FORBIDDEN_HOST)
        assert answer.status == 403
        assert "squid" in answer.header("server").lower()
        assert "ERR_ACCESS_DENIED" in answer.header("x-squid-error")
        assert "Access Denied" in answer.text
        assert answer.length == int(answer.header("content-length"))
        watch.check_cost(login.first, answered=1)
        with Client(px.port) as client:
            exchanges.get(client, network)
        assert watch.count_407(answered=1) <= login.cold
