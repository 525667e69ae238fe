"""Uploads over connections that are not logged in: each arrives once, and costs as many 407s as a GET."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest

from px.upstream.request_body import REPLAY_BYTES
from tests.corpnet.network import CorporateNetwork

from . import exchanges
from .http_client import Body, Client
from .logins import Login, only
from .squid_watch import Watch, bad_passwords

# So few that Px prewarms no connections for their tunnels.
_BODIES = [
    Body(1),
    Body(REPLAY_BYTES),
    Body(REPLAY_BYTES + 1, chunked=True),
    Body(5_000_000),
]


@pytest.mark.parametrize(
    "login",
    only(
        "ntlm",
        "ntlm-no-keep-alive",
        "ntlm-tls",
        "negotiate-no-ticket",
        "kerberos-ad-ticket",
        "digest",
        "digest-closing",
        "basic",
    ),
)
def test_an_upload_over_a_cold_connection_arrives_once_and_costs_as_much_as_a_get(
    network: CorporateNetwork, tmp_path: Path, login: Login
) -> None:
    watch = Watch(login.upstream(network))
    counts = bad_passwords(network, login.account(network)) if login.is_ad else nullcontext()
    with counts, login.running_px(network, tmp_path) as px:
        with Client(px.port) as client:
            exchanges.get(client, network)
        watch.entries(answered=1)
        for body in _BODIES:
            with Client(px.port) as client:  # uses up the kept connection
                exchanges.open_tunnel(client, network)
            watch.entries(answered=1)
            with Client(px.port) as client:
                exchanges.upload(client, network, body, "POST")
            watch.check_cost(login.cold, answered=1)


@pytest.mark.parametrize("login", only("ntlm", "negotiate-no-ticket", "digest"))
@pytest.mark.parametrize("body", [Body(200_000), Body(5_000_000)], ids=["short", "long"])
def test_an_upload_can_be_the_first_contact_and_px_sends_the_origin_nothing_else(
    network: CorporateNetwork, tmp_path: Path, login: Login, body: Body
) -> None:
    watch = Watch(login.upstream(network))
    counts = bad_passwords(network, login.account(network)) if login.is_ad else nullcontext()
    with counts, login.running_px(network, tmp_path) as px, Client(px.port) as client:
        exchanges.upload(client, network, body, "POST")
        watch.check_cost(login.first, answered=1)
