"""--kerberos: with a password, Px fetches tickets from real KDCs before requests need them."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.corpnet.kerberos import Realm, User
from tests.corpnet.mit_kdc import BRIEF_SECONDS
from tests.corpnet.network import CorporateNetwork
from tests.free_ports import free_port
from tests.px_process import PxProcess, until

from . import exchanges
from .concurrency import at_once
from .exchanges import HOST
from .gate import Gate
from .http_client import Answer, Client
from .logins import Kerberos, Login
from .squid_watch import Watch, bad_passwords

WRONG = "Wr0ng-Secret-5c7d"


def _login(user: str, spelling: str, port: str = "kerberos", kerberos: Kerberos = Kerberos.KDC) -> Login:
    return Login(port, "negotiate", 1, 0, user, spelling, kerberos=kerberos, options=("--kerberos",))


def test_px_gets_a_ticket_of_its_own_and_leaves_the_users_cache_unchanged(
    network: CorporateNetwork, tmp_path: Path
) -> None:
    login = _login("mit.alice", "{name}@MIT.TEST", kerberos=Kerberos.TICKET)
    environment = login.environment(network, tmp_path)
    cache = Path(environment["KRB5CCNAME"].removeprefix("FILE:"))
    before, issued = cache.read_bytes(), network.mit.tickets_issued(network.mit.alice, "krbtgt")
    watch = Watch(network.kerberos)
    with PxProcess(tmp_path, *login.arguments(network), environment=environment) as px:
        px.wait_for_output("Kerberos ticket of alice@MIT.TEST")
        with Client(px.port) as client:
            exchanges.get(client, network)
            exchanges.open_tunnel(client, network)
        watch.check_cost(1, answered=2)
    assert network.mit.tickets_issued(network.mit.alice, "krbtgt") == issued + 1
    assert cache.read_bytes() == before


def test_px_does_not_use_the_ticket_of_another_user_in_the_cache(
    network: CorporateNetwork, tmp_path: Path
) -> None:
    login = _login("mit.alice", "{name}@MIT.TEST")
    watch = Watch(network.kerberos)
    bobs = network.mit.realm.kinit(network.mit.bob, tmp_path / "bob")
    with login.running_px(network, tmp_path, **bobs) as px, Client(px.port) as client:
        exchanges.get(client, network)
    assert watch.entries(answered=1)[-1].user.startswith("alice")


def test_no_request_waits_for_the_kdc(network: CorporateNetwork, tmp_path: Path) -> None:
    """The KDC is closed after the first ticket, and no request needs the KDC."""
    port = int(re.findall(r"kdc = .*:(\d+)", network.mit.realm.krb5_config.read_text())[0])
    login = _login("mit.alice", "{name}@MIT.TEST")
    with Gate(port) as gate:
        realm = Realm(network.mit.realm.name, tmp_path / "gate.conf")
        realm.write_config(gate.port)
        with login.running_px(network, tmp_path, **realm.env) as px:
            px.wait_for_output("Kerberos ticket of alice@MIT.TEST")
            gate.shut()
            with Client(px.port) as client:
                exchanges.get(client, network)


def test_a_ticket_is_renewed_before_it_expires(network: CorporateNetwork, tmp_path: Path) -> None:
    login = _login("mit.brief", "{name}@MIT.TEST")
    issued = partial(network.mit.tickets_issued, network.mit.brief)
    watch = Watch(network.kerberos)
    before = issued("krbtgt"), issued("HTTP")
    with login.running_px(network, tmp_path) as px:
        px.wait_for_output("Kerberos ticket of brief@MIT.TEST")
        started, requests = time.monotonic(), 0
        while issued("krbtgt") < before[0] + 3:
            assert time.monotonic() < started + 3 * BRIEF_SECONDS
            with Client(px.port) as client:
                exchanges.open_tunnel(client, network)
            requests += 1
            time.sleep(0.2)
        assert time.monotonic() > started + BRIEF_SECONDS  # the first ticket has expired
        with Client(px.port) as client:
            exchanges.open_tunnel(client, network)
        watch.check_cost(1, answered=requests + 1)
        _wait_for_service_tickets(issued, before)


def _wait_for_service_tickets(issued: partial[int], before: tuple[int, int]) -> None:
    """Wait until Px has fetched a service ticket for each ticket."""
    until(lambda: issued("HTTP") - before[1] >= issued("krbtgt") - before[0])


def test_a_password_of_the_domain_gets_a_ticket(network: CorporateNetwork, tmp_path: Path) -> None:
    watch = Watch(network.negotiate)
    with _login("ad.alice", "{name}@AD.TEST", "negotiate").running_px(network, tmp_path) as px:
        px.wait_for_output("Kerberos ticket of alice@AD.TEST")
        assert "Kerberos ticket of alice@AD.TEST, to be renewed at" in px.command("--status").stdout
        with Client(px.port) as client:
            exchanges.get(client, network)
        watch.check_cost(1, answered=1)


@pytest.mark.parametrize("workers", [1, 3])
def test_px_reports_a_wrong_password_at_the_start_and_tries_it_twice_at_most(
    network: CorporateNetwork, tmp_path: Path, workers: int
) -> None:
    login = replace(
        _login("ad.carol", "{name}@AD.TEST", "negotiate"), options=("--kerberos", f"--workers={workers}")
    )
    carol: User = network.ad.carol

    def ask(port: int) -> Answer:
        with Client(port) as client:
            return client.get(network.origin.url("/", HOST))

    with bad_passwords(network, carol, at_least=1, at_most=2):
        for _ in range(2):  # the record outlives a restart
            with login.running_px(network, tmp_path, PX_PASSWORD=WRONG) as px:
                px.wait_for_output("no new Kerberos ticket")
                assert "no new Kerberos ticket" in px.command("--status").stdout
                for answer in at_once([partial(ask, px.port)] * 10):
                    assert answer.status == 502
                assert WRONG not in px.output


@pytest.mark.parametrize("trouble", ["unknown realm", "unknown host", "KDC is down"])
def test_px_reports_why_it_gets_no_ticket_and_makes_no_other_login(
    network: CorporateNetwork, tmp_path: Path, trouble: str
) -> None:
    """The upstream would accept NTLM, and the domain counts the wrong passwords of the user."""
    login = _login("ad.carol", "{name}@AD.TEST", "multi")
    config = tmp_path / "no-kdc.conf"
    realms = {
        "unknown realm": "",
        "unknown host": "[realms]\n  AD.TEST = {\n    kdc = kdc.invalid:88\n  }\n",
        "KDC is down": f"[realms]\n  AD.TEST = {{\n    kdc = 127.0.0.1:{free_port()}\n  }}\n",
    }
    config.write_text(
        "[libdefaults]\n  dns_lookup_kdc = false\n  dns_lookup_realm = false\n" + realms[trouble]
    )
    said = {
        "unknown realm": "No Kerberos KDC is known for the realm of carol@AD.TEST",
        "unknown host": "Kerberos KDC",
        "KDC is down": "The Kerberos KDC cannot be reached",
    }
    watch = Watch(network.multi)
    with (
        bad_passwords(network, network.ad.carol),
        login.running_px(network, tmp_path, KRB5_CONFIG=str(config), PX_PASSWORD=WRONG) as px,
    ):
        for _ in range(3):
            with Client(px.port) as client:
                answer = client.get(network.origin.url("/", HOST))
            assert answer.status == 502
            assert said[trouble] in answer.text
            assert "krb5.conf" in answer.text
        assert watch.schemes() == []
