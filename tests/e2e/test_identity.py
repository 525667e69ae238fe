"""The user as which Px logs in, and the schemes that it uses."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.corpnet.network import CorporateNetwork
from tests.px_process import PxProcess

from . import exchanges
from .exchanges import HOST
from .http_client import Client
from .logins import Kerberos, Login, Secret, kerberos_environment
from .ntlm_client import get_by
from .squid_watch import Watch, bad_passwords


@pytest.mark.shows("--proxy")
def test_an_upstream_in_px_ini_has_its_own_identity(network: CorporateNetwork, tmp_path: Path) -> None:
    """Px logs in at the first upstream as bob in spite of --username; no output shows the password."""
    bob, alice = network.ad.bob, network.ad.alice
    userinfo = f"{quote('ADTEST' + chr(92) + bob.name, safe='')}:{quote(bob.password, safe='')}"
    ini = tmp_path / "px.ini"
    ini.write_text(f"[proxy]\nserver = http://{userinfo}@localhost:{network.ntlm.port}\n")
    ini.chmod(0o600)
    environment = kerberos_environment(Kerberos.NOTHING, network.ad.realm, bob, tmp_path)
    watch = Watch(network.ntlm)
    with (
        bad_passwords(network, bob),
        PxProcess(
            tmp_path,
            f"--username=ADTEST\\{alice.name}",
            "--verbose",
            environment={**environment, "PX_PASSWORD": "of no use here"},
        ) as px,
    ):
        with Client(px.port) as client:
            exchanges.get(client, network)
            exchanges.open_tunnel(client, network)
        assert {entry.user for entry in watch.entries(answered=2) if entry.status == 200} == {"ADTEST\\bob"}
        assert bob.password not in px.output
        command_line = Path(f"/proc/{px.pid}/cmdline").read_bytes()
        assert bob.password.encode() not in command_line


def test_each_upstream_of_a_list_has_its_own_identity(network: CorporateNetwork, tmp_path: Path) -> None:
    bob, carol = network.ad.bob, network.ad.carol
    servers = ",".join(
        f"http://ADTEST%5C{user.name}:{user.password}@localhost:{port}"
        for user, port in ((carol, 1), (bob, network.ntlm.port))
    )
    watch = Watch(network.ntlm)
    with (
        bad_passwords(network, carol),
        bad_passwords(network, bob),
        PxProcess(tmp_path, "--verbose", environment={"PX_SERVER": servers}) as px,
    ):
        with Client(px.port) as client:
            exchanges.get(client, network)
        assert watch.entries(answered=1)[-1].user == "ADTEST\\bob"
        assert carol.password not in px.output


@pytest.mark.parametrize(
    ("options", "workstation"),
    [(("--workstation=desk-7",), "DESK-7"), ((), socket.gethostname().partition(".")[0][:15].upper())],
)
def test_the_domain_gets_the_name_of_the_workstation(
    network: CorporateNetwork, tmp_path: Path, options: tuple[str, ...], workstation: str
) -> None:
    before = len(network.ad.workstations_of(network.ad.bob))
    for port in ("ntlm", "negotiate"):
        login = Login(port, port, 2, 1, "ad.bob", "ADTEST\\{name}", options=options)
        with login.running_px(network, tmp_path) as px, Client(px.port) as client:
            exchanges.get(client, network)
    assert network.ad.workstations_of(network.ad.bob)[before:] == [workstation, workstation]


_AD = Login("multi", "negotiate", 1, 0, "ad.alice", "{name}@AD.TEST", kerberos=Kerberos.TICKET)
_AD_NO_TICKET = replace(_AD, first=2, spelling="ADTEST\\{name}", kerberos=Kerberos.NOTHING)
_MIT = Login("all_mit", "negotiate", 1, 0, "mit.alice", kerberos=Kerberos.TICKET)
_MIT_NO_TICKET = replace(_MIT, kerberos=Kerberos.NOTHING)


@pytest.mark.parametrize(
    ("login", "policy", "scheme", "first"),
    [
        pytest.param(_AD, "ANY", "negotiate", 1, id="ad-ANY"),
        pytest.param(_AD, "KERBEROS", "negotiate", 1, id="ad-KERBEROS"),
        pytest.param(_AD, "ONLYNTLM", "ntlm", 2, id="ad-ONLYNTLM"),
        pytest.param(_AD, "NONEGOTIATE", "ntlm", 2, id="ad-NONEGOTIATE"),
        # Two 407s show NTLM in Negotiate, although a ticket exists.
        pytest.param(_AD, "NOKERBEROS", "negotiate", 2, id="ad-NOKERBEROS"),
        pytest.param(_AD_NO_TICKET, "NONTLM", "basic", 1, id="ad-no-ticket-NONTLM"),
        pytest.param(_AD_NO_TICKET, "ANYSAFE", "negotiate", 2, id="ad-no-ticket-ANYSAFE"),
        pytest.param(_AD_NO_TICKET, "BASIC", "basic", 1, id="ad-no-ticket-BASIC"),
        pytest.param(_MIT, "ANYSAFE", "negotiate", 1, id="mit-ANYSAFE"),
        pytest.param(_MIT, "DIGEST", "digest", 1, id="mit-DIGEST"),
        pytest.param(_MIT_NO_TICKET, "SAFENONEGOTIATE", "digest", 1, id="mit-no-ticket-SAFENONEGOTIATE"),
        pytest.param(_MIT_NO_TICKET, "SAFENONTLM", "digest", 1, id="mit-no-ticket-SAFENONTLM"),
        pytest.param(_MIT_NO_TICKET, "ONLYBASIC", "basic", 1, id="mit-no-ticket-ONLYBASIC"),
    ],
)
@pytest.mark.shows("--auth", "--username")
def test_px_uses_the_scheme_that_the_policy_selects(
    network: CorporateNetwork, tmp_path: Path, login: Login, policy: str, scheme: str, first: int
) -> None:
    watch = Watch(login.upstream(network))
    with login.running_px(network, tmp_path, f"--auth={policy}") as px, Client(px.port) as client:
        exchanges.get(client, network)
        schemes = set(watch.schemes())
        watch.check_cost(first, answered=1)
        exchanges.get(client, network)
        watch.check_cost(0, answered=1)
    assert schemes == {scheme}


@pytest.mark.parametrize(
    ("login", "policy"),
    [
        pytest.param(replace(_AD, port="basic_ad"), "ANYSAFE", id="ANYSAFE-basic"),
        pytest.param(replace(_AD_NO_TICKET, port="negotiate"), "ONLYNTLM", id="ONLYNTLM-negotiate"),
        pytest.param(replace(_AD_NO_TICKET, port="multi"), "KERBEROS", id="KERBEROS-no-ticket"),
        pytest.param(replace(_MIT, port="digest"), "NODIGEST", id="NODIGEST-digest"),
    ],
)
def test_px_reports_a_policy_that_allows_no_offered_scheme_and_sends_no_login(
    network: CorporateNetwork, tmp_path: Path, login: Login, policy: str
) -> None:
    watch = Watch(login.upstream(network))
    with login.running_px(network, tmp_path, f"--auth={policy}") as px, Client(px.port) as client:
        for _ in range(2):
            answer = client.get(network.origin.url("/", HOST))
            assert answer.status == 502
            assert f"localhost:{login.upstream(network).port}" in answer.text
            assert policy in answer.text or "ticket" in answer.text
    assert watch.schemes() == []


def test_at_a_kerberos_only_upstream_ntlm_in_negotiate_is_tried_once(
    network: CorporateNetwork, tmp_path: Path
) -> None:
    """Px has a password but no ticket. all_mit refuses NTLM in Negotiate, and Px learns this only once."""
    watch = Watch(network.all_mit)
    with _MIT_NO_TICKET.running_px(network, tmp_path) as px:
        with Client(px.port) as client:
            exchanges.get(client, network)
        assert 1 <= watch.count_407(answered=1) <= 3
        for exchange in (exchanges.get, exchanges.open_tunnel, exchanges.get):
            with Client(px.port) as client:
                exchange(client, network)
            watch.check_cost(0, answered=1)


@pytest.mark.parametrize("secret", [Secret.NOTHING, Secret.NT_HASH])
@pytest.mark.parametrize("port", ["digest", "basic"])
def test_px_reports_what_is_missing_for_a_login(
    network: CorporateNetwork, tmp_path: Path, secret: Secret, port: str
) -> None:
    login = Login(port, port, 1, 0, "mit.alice", secret=secret)
    with login.running_px(network, tmp_path) as px, Client(px.port) as client:
        answer = client.get(network.origin.url("/", HOST))
    assert answer.status == 502
    assert port.capitalize() in answer.text
    assert "password" in answer.text


def test_the_domain_accepts_only_ntlmv2(network: CorporateNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    """All NTLM tests rely on this: the domain refuses a response by NTLMv1."""
    bob = network.ad.bob
    statuses = {}
    with bad_passwords(network, bob, at_most=1):
        for level in ("3", "0"):  # LM_COMPAT_LEVEL of pyspnego: NTLMv2, NTLMv1
            monkeypatch.setitem(os.environ, "LM_COMPAT_LEVEL", level)
            with Client(network.ntlm.port) as client:
                url = network.origin.url("/", HOST)
                statuses[level] = get_by(client, url, f"ADTEST\\{bob.name}", bob.password).status
    assert statuses == {"3": 200, "0": 407}
