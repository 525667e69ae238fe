"""Every way to log in, and the number of 407s for each request from the first contact on."""

from __future__ import annotations

from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.corpnet.network import CorporateNetwork

from . import exchanges
from .exchanges import Exchange
from .http_client import Client
from .logins import Login, only
from .squid_watch import LOGIN_REQUIRED, Watch, bad_passwords


class Step(NamedTuple):
    """One request of the sequence.

    Attributes:
        exchange: The request.
        cost: The expected number of 407s: ``first`` or ``cold`` of the login, or 0 for ``kept``.
        is_new: Whether the client opens a new connection for the request.
    """

    exchange: Exchange
    cost: str
    is_new: bool


_KEPT, _COLD, _FIRST = "kept", "cold", "first"

# Each tunnel uses up one connection, whether it is logged in or not.
_SEQUENCE = {
    "GET at first": Step(exchanges.GET, _FIRST, is_new=True),
    "POST, same client": Step(exchanges.POST, _KEPT, is_new=False),
    "PUT 200 MB, same client": Step(exchanges.PUT_LARGE, _KEPT, is_new=False),
    "GET, same client": Step(exchanges.GET, _KEPT, is_new=False),
    "GET, new client": Step(exchanges.GET, _KEPT, is_new=True),
    "CONNECT, new client, kept upstream": Step(exchanges.CONNECT, _KEPT, is_new=True),
    "CONNECT for TLS, new client, cold upstream": Step(exchanges.CONNECT_TLS, _COLD, is_new=True),
    "PUT chunked, new client, cold upstream": Step(exchanges.PUT_MEDIUM_CHUNKED, _COLD, is_new=True),
    "POST, new client": Step(exchanges.POST, _KEPT, is_new=True),
    "CONNECT, same client, kept upstream": Step(exchanges.CONNECT, _KEPT, is_new=False),
    "POST, new client, cold upstream": Step(exchanges.POST, _COLD, is_new=True),
}


@pytest.mark.px_under_wine("ntlm", "ntlm-non-ascii-hash", "ntlm-tls", "digest", "basic")
@pytest.mark.parametrize("login", only())
def test_each_request_costs_the_407s_that_its_login_needs(
    network: CorporateNetwork, tmp_path: Path, login: Login
) -> None:
    check_costs(network, tmp_path, login)


def check_costs(network: CorporateNetwork, directory: Path, login: Login) -> None:
    """Make one request after another, from the first contact on, and check the cost of each."""
    user = login.account(network)
    costs = {_FIRST: login.first, _COLD: login.cold, _KEPT: 0}
    watch = Watch(login.upstream(network))
    counted, schemes, users = {}, set(), set()
    with ExitStack() as stack:
        stack.enter_context(bad_passwords(network, user) if login.is_ad else nullcontext())
        px = stack.enter_context(login.running_px(network, directory))
        clients = stack.enter_context(ExitStack())
        client = clients.enter_context(Client(px.port))
        for name, step in _SEQUENCE.items():
            if step.is_new:
                clients.close()
                client = clients.enter_context(Client(px.port))
            step.exchange.run(client, network)
            if step.exchange.is_tunnel:
                clients.close()  # Squid logs a tunnel when it ends
            entries = watch.entries(answered=1, refused=costs[step.cost])
            counted[name] = sum(entry.status == LOGIN_REQUIRED for entry in entries)
            schemes |= {entry.login_scheme for entry in entries} - {"-"}
            users |= {entry.user for entry in entries if entry.status == 200}
    assert counted == {name: costs[step.cost] for name, step in _SEQUENCE.items()}
    assert schemes == {login.scheme}
    assert [user.name in name.lower() for name in users] == [True]


_FIRST_EXCHANGES = {
    "POST": exchanges.POST,
    "POST-chunked": exchanges.POST_CHUNKED,
    "PUT": exchanges.PUT_MEDIUM,
    "PUT-chunked": exchanges.PUT_MEDIUM_CHUNKED,
    "CONNECT": exchanges.CONNECT,
}


@pytest.mark.parametrize("exchange", [pytest.param(each, id=name) for name, each in _FIRST_EXCHANGES.items()])
@pytest.mark.parametrize(
    "login",
    only(
        "ntlm",
        "ntlm-no-keep-alive",
        "negotiate-no-ticket",
        "kerberos-ad-ticket",
        "kerberos-mit-closing",
        "digest",
        "digest-closing",
        "basic",
        "basic-closing",
    ),
)
def test_the_first_contact_may_be_any_request(
    network: CorporateNetwork, tmp_path: Path, login: Login, exchange: Exchange
) -> None:
    watch = Watch(login.upstream(network))
    with login.running_px(network, tmp_path) as px, Client(px.port) as client:
        exchange.run(client, network)
        client.close()
        watch.check_cost(login.first, answered=1)


@pytest.mark.parametrize("login", only("ntlm", "kerberos-ad-ticket", "digest", "basic", "kerberos-tls"))
def test_a_long_chunked_upload_may_be_the_first_contact(
    network: CorporateNetwork, tmp_path: Path, login: Login
) -> None:
    watch = Watch(login.upstream(network))
    with login.running_px(network, tmp_path) as px, Client(px.port) as client:
        exchanges.PUT_LARGE_CHUNKED.run(client, network)
        watch.check_cost(login.first, answered=1)
