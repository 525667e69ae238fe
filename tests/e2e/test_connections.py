"""Which connection a request takes, and how Px uses the logins and nonces of that connection."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.corpnet.network import CorporateNetwork

from . import exchanges
from .concurrency import at_once
from .exchanges import HOST, Exchange
from .http_client import Body, Client
from .logins import LOGINS, Login, only
from .squid_watch import LOGIN_REQUIRED, Watch, bad_passwords

_CLIENTS = 5


@pytest.mark.parametrize("login", only("ntlm", "kerberos-ad-ticket", "negotiate-no-ticket"))
def test_a_connect_uses_the_connection_that_a_get_has_logged_in(
    network: CorporateNetwork, tmp_path: Path, login: Login
) -> None:
    watch = Watch(login.upstream(network))
    with login.running_px(network, tmp_path) as px:
        with Client(px.port) as client:
            exchanges.get(client, network)
        get = watch.entries(answered=1)[-1]
        with Client(px.port) as client:
            exchanges.open_tunnel(client, network)
        (connect,) = watch.entries(answered=1)
    assert (connect.method, connect.status) == ("CONNECT", 200)
    assert connect.client == get.client


@pytest.mark.px_under_wine("ntlm")
@pytest.mark.parametrize("login", only("ntlm", "negotiate-no-ticket", "kerberos-mit-ticket", "basic"))
def test_concurrent_clients_cost_one_login_for_each_connection(
    network: CorporateNetwork, tmp_path: Path, login: Login
) -> None:
    watch = Watch(login.upstream(network), ignores_verifications=True)  # Px verifies while an origin is slow
    slow = network.origin.url("/slow/0.5", HOST)
    with login.running_px(network, tmp_path) as px, ExitStack() as stack:
        clients = [stack.enter_context(Client(px.port)) for _ in range(_CLIENTS)]
        exchanges.get(clients[0], network)
        entries = watch.entries(answered=1, refused=login.first)
        assert sum(entry.status == LOGIN_REQUIRED for entry in entries) == login.first
        connections = {entries[-1].client}
        for _ in range(2):
            # All clients wait for the origin at the same time, so they need several connections.
            answers = at_once([partial(client.get, slow) for client in clients])
            assert [answer.text for answer in answers] == ["at last\n"] * _CLIENTS
            entries = watch.entries(answered=_CLIENTS)
            fresh = {entry.client for entry in entries} - connections
            refusals = Counter(entry.client for entry in entries if entry.status == LOGIN_REQUIRED)
            assert refusals == Counter(dict.fromkeys(fresh, login.cold)), entries
            connections |= fresh
        assert 3 <= len(connections) <= 2 * _CLIENTS


def test_digest_costs_one_407_for_each_nonce(network: CorporateNetwork, tmp_path: Path) -> None:
    login = LOGINS["digest"]
    watch = Watch(login.upstream(network), ignores_verifications=True)
    slow = network.origin.url("/slow/0.3", HOST)
    with login.running_px(network, tmp_path) as px, ExitStack() as stack:
        clients = [stack.enter_context(Client(px.port)) for _ in range(_CLIENTS)]
        at_once([partial(client.get, slow) for client in clients])
        watch.check_cost(_CLIENTS, answered=_CLIENTS)
        answers = at_once([partial(client.get, slow) for client in clients])
        assert [answer.status for answer in answers] == [200] * _CLIENTS
        watch.check_cost(0, answered=_CLIENTS)


#: A nonce of the port digest_stale is valid for three requests, and at most for this time.
_NONCE_SECONDS = 2.0
#: Squid counts a nonce's age in whole seconds, and accepts an old nonce until it has removed the nonce, which
#: it does once a second.
_NONCE_GONE_SECONDS = _NONCE_SECONDS + 1.0 + 1.0 + 0.5


def test_px_replaces_a_used_up_digest_nonce_without_a_407(network: CorporateNetwork, tmp_path: Path) -> None:
    login = Login("digest_stale", "digest", 1, 0, "mit.alice")
    watch = Watch(login.upstream(network))
    costs = []
    with login.running_px(network, tmp_path) as px, Client(px.port) as client:
        for _ in range(12):
            exchanges.get(client, network)
            costs.append(watch.count_407(answered=1))
    # Squid sends the next nonce with the last answer of the old one. Only an expired nonce costs more.
    assert costs[0] == 1
    assert sum(costs) <= 2


@pytest.mark.parametrize(
    "exchange",
    [
        pytest.param(exchanges.GET, id="GET"),
        pytest.param(exchanges.POST, id="POST"),
        pytest.param(exchanges.PUT_LARGE, id="PUT-large"),
        pytest.param(exchanges.PUT_MEDIUM_CHUNKED, id="PUT-chunked"),
        pytest.param(exchanges.CONNECT, id="CONNECT"),
    ],
)
def test_an_expired_digest_nonce_costs_one_407(
    network: CorporateNetwork, tmp_path: Path, exchange: Exchange
) -> None:
    login = Login("digest_stale", "digest", 1, 0, "mit.alice")
    watch = Watch(login.upstream(network))
    with login.running_px(network, tmp_path) as px, Client(px.port) as client:
        exchanges.get(client, network)
        watch.check_cost(1, answered=1)
        time.sleep(_NONCE_GONE_SECONDS)
        exchange.run(client, network)
        client.close()
        watch.check_cost(1, answered=1)


@pytest.mark.parametrize("login", only("ntlm", "negotiate-no-ticket"))
def test_px_reports_that_ntlm_fails_at_an_upstream_that_closes_after_each_407(
    network: CorporateNetwork, tmp_path: Path, login: Login
) -> None:
    user = login.account(network)
    watch = Watch(login.upstream(network))
    by_relay = replace(login, closing=True)
    target = network.origin.url("/upload", HOST)
    with bad_passwords(network, user), by_relay.running_px(network, tmp_path) as px:
        name = f"localhost:{by_relay.upstream(network).port}"
        with Client(px.port) as client:
            answer = client.get(target)
            assert answer.status == 502
            assert name in answer.text
            assert "closes the connection in the middle of the handshake" in answer.text
            # Px does not send the POST: it notices the end of the connection before the last token.
            answer = client.request("POST", target, Body(exchanges.SMALL_BYTES))
            assert answer.status == 502
            assert name in answer.text
            assert "closes the connection in the middle of the handshake" in answer.text
    assert 2 <= watch.count_407(answered=0) <= 12
