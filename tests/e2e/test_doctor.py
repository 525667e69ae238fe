"""``px --doctor`` at a real Squid, domain and KDC: each broken set-up is named by its true cause."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from px.checks.doctor import Patient, examine
from px.checks.step import Step, Verdict
from px.checks.target import parse_test_url
from px.config.settings import default_settings
from px.core.rules.route import parse_upstreams
from px.core.secret import Secret
from px.upstream.connections import resolver
from tests.corpnet.kerberos import User
from tests.corpnet.network import CorporateNetwork
from tests.free_ports import free_port
from tests.px_process import until

from .exchanges import HOST
from .squid_watch import bad_passwords

WRONG = "Wr0ng-Secret-77e1"
#: A name of this computer that no certificate and no KDC knows.
OTHER_NAME = "other.corp.test"

Environment = Callable[[CorporateNetwork, Path], dict[str, str]]


def ad_realm(network: CorporateNetwork, directory: Path) -> dict[str, str]:
    """A KDC of the domain, and no ticket."""
    return {**network.ad.realm.env, "KRB5CCNAME": f"FILE:{directory / 'none'}"}


def mit_realm(network: CorporateNetwork, directory: Path) -> dict[str, str]:
    """A KDC of MIT.TEST, and no ticket."""
    return {**network.mit.realm.env, "KRB5CCNAME": f"FILE:{directory / 'none'}"}


def mit_ticket(network: CorporateNetwork, directory: Path) -> dict[str, str]:
    """A ticket of MIT.TEST."""
    return network.mit.realm.kinit(network.mit.alice, directory / "ccache")


def expired_ticket(network: CorporateNetwork, directory: Path) -> dict[str, str]:
    """A ticket of MIT.TEST that was good for a second."""
    environment = network.mit.realm.kinit(network.mit.alice, directory / "ccache", life="1s")
    klist = ["klist", "-s", "-c", str(directory / "ccache")]
    until(lambda: subprocess.run(klist, env=environment, check=False).returncode)
    return environment


def kdc_down(network: CorporateNetwork, directory: Path) -> dict[str, str]:
    """A configuration whose KDC does not run."""
    config = directory / "krb5.conf"
    with (directory / "krb5.conf").open("w") as stream:
        for line in network.mit.realm.krb5_config.read_text().splitlines(keepends=True):
            stream.write(line if "kdc = " not in line else f"    kdc = 127.0.0.1:{free_port()}\n")
    return {"KRB5_CONFIG": str(config), "KRB5CCNAME": f"FILE:{directory / 'none'}"}


def trust(network: CorporateNetwork, directory: Path) -> dict[str, str]:
    """The certificate authority of the company, and no Kerberos."""
    return {"SSL_CERT_FILE": str(network.ca_file), **mit_realm(network, directory)}


@dataclass(frozen=True)
class SetUp:
    """A set-up, and the step that has to name what is wrong with it.

    Attributes:
        port: Name of the upstream in `CorporateNetwork`.
        failed: The step that fails; empty: none.
        said: What its text has.
        fix: What its advice has.
        user: ``mit.alice``...; empty: none is named.
        username: How the user is spelt.
        password: Another one than the user's.
        environment: What Kerberos and TLS find.
        name: The upstream's name.
        site: The site that the requests are for.
        kerberos: Whether Px keeps a ticket of its own.
    """

    port: str
    failed: str
    said: str
    fix: str = ""
    user: str = ""
    username: str = "{}"
    password: str = ""
    environment: Environment = mit_realm
    name: str = "localhost"
    site: str = HOST
    kerberos: bool = False

    def account(self, network: CorporateNetwork) -> User | None:
        realm, _, name = self.user.partition(".")
        return getattr(getattr(network, realm), name) if name else None

    def patient(self, network: CorporateNetwork, state: Path) -> Patient:
        upstream, account = getattr(network, self.port), self.account(network)
        scheme = "https" if upstream.tls else "http"
        password = self.password or (account.password if account else "")
        settings = default_settings(
            proxy=parse_upstreams(f"{scheme}://{self.name}:{upstream.port}"),
            port=free_port(),
            username=self.username.format(account.name) if account else "",
            password=Secret(password, "PX_PASSWORD") if password else None,
            kerberos=self.kerberos,
        )
        return Patient(settings=settings, state=state, config_file=None, warnings=(), environ={})


_DOMAIN = "ADTEST\\{}"
SET_UPS = {
    "ntlm": SetUp("ntlm", "", "by NTLM", user="ad.bob", username=_DOMAIN),
    "ticket": SetUp("kerberos", "", "by Negotiate (Kerberos)", environment=mit_ticket),
    "password at a KDC": SetUp(
        "kerberos", "", "by Negotiate (Kerberos)", user="mit.alice", username="{}@MIT.TEST"
    ),
    "negotiate without Kerberos": SetUp(
        "negotiate", "", "by Negotiate (NTLM)", user="ad.bob", username=_DOMAIN
    ),
    "wrong password": SetUp(
        "ntlm",
        "Login",
        "refused the login of ADTEST\\carol by NTLM",
        "Check the user name and the password",
        user="ad.carol",
        username=_DOMAIN,
        password=WRONG,
    ),
    "wrong password at a KDC": SetUp(
        "multi",
        "Ticket",
        "KDC refused the password of carol@AD.TEST",
        "PX_PASSWORD",
        user="ad.carol",
        username="{}@AD.TEST",
        password=WRONG,
        environment=ad_realm,
    ),
    "wrong password for a ticket of Px's own": SetUp(
        "multi",
        "Ticket",
        "KDC refused the password of carol@AD.TEST",
        "PX_PASSWORD",
        user="ad.carol",
        username="{}@AD.TEST",
        password=WRONG,
        environment=ad_realm,
        kerberos=True,
    ),
    "account locked": SetUp(
        "all_mit",
        "Ticket",
        "the account locked@MIT.TEST is locked or disabled",
        "unlock",
        user="mit.locked",
        username="{}@MIT.TEST",
    ),
    "password expired": SetUp(
        "all_mit",
        "Ticket",
        "the password of expired@MIT.TEST has expired",
        "Change the password",
        user="mit.expired",
        username="{}@MIT.TEST",
    ),
    "no ticket": SetUp("kerberos", "Ticket", "There is no valid Kerberos ticket", "kinit"),
    "ticket expired": SetUp(
        "kerberos", "Ticket", "The Kerberos ticket of", "kinit", environment=expired_ticket
    ),
    "no such service": SetUp(
        "kerberos",
        "Ticket",
        f"knows no service HTTP/{OTHER_NAME}",
        "SPN",
        environment=mit_ticket,
        name=OTHER_NAME,
    ),
    "upstream by address": SetUp(
        "kerberos", "Ticket", "Kerberos needs the upstream's name", environment=mit_ticket, name="127.0.0.1"
    ),
    # Px goes on to NTLM, which this upstream does not know.
    "KDC down": SetUp(
        "kerberos",
        "Ticket",
        "The Kerberos KDC cannot be reached",
        "VPN",
        user="mit.alice",
        username="{}@MIT.TEST",
        environment=kdc_down,
    ),
    "only NTLM and no password": SetUp(
        "ntlm", "Identity", "It offers NTLM, but Px has no password", "--username"
    ),
    "certificate of another name": SetUp(
        "ntlm_tls",
        "TLS",
        f"not valid for '{OTHER_NAME}'",
        "as its certificate does",
        environment=trust,
        name=OTHER_NAME,
    ),
    "certificate not trusted": SetUp("ntlm_tls", "TLS", "is not trusted", "SSL_CERT_FILE"),
    "site denied by a 407": SetUp(
        "ntlm",
        "GET",
        "accepts the login of ADTEST\\bob, but refuses denied.test",
        "administrator",
        user="ad.bob",
        username=_DOMAIN,
        site="denied.test",
    ),
    "site denied by a 403": SetUp(
        "ntlm", "GET", "a rule of the upstream", user="ad.bob", username=_DOMAIN, site="denied403.test"
    ),
}


@pytest.mark.parametrize("set_up", [pytest.param(set_up, id=name) for name, set_up in SET_UPS.items()])
async def test_the_first_step_that_fails_is_the_true_cause(
    network: CorporateNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, set_up: SetUp
) -> None:
    for name, value in set_up.environment(network, tmp_path).items():
        monkeypatch.setenv(name, value)
    if set_up.name == OTHER_NAME:
        monkeypatch.setattr(resolver, "_get_addresses", lambda _: ["127.0.0.1"])
    steps: list[Step] = []
    account, patient = set_up.account(network), set_up.patient(network, tmp_path)
    requests = parse_test_url(network.origin.url("/", set_up.site), "--doctor")
    with contextlib.ExitStack() as counted:
        if account in network.ad.users:
            wrong = int(set_up.password == WRONG)
            counted.enter_context(bad_passwords(network, account, at_least=wrong, at_most=wrong))
        await examine(patient, requests, steps.append)
    failed = [step for step in steps if step.verdict is Verdict.FAILED]
    shown = "\n".join(map(str, steps))
    assert WRONG not in shown
    if not set_up.failed:
        assert not failed, shown
        assert any(step.name == "Login" and set_up.said in step.detail for step in steps), shown
        assert [step.verdict for step in steps[-2:]] == [Verdict.OK, Verdict.OK], shown
        return
    assert failed, shown
    assert failed[0].name == set_up.failed, shown
    assert set_up.said in failed[0].detail, shown
    assert set_up.fix in failed[0].fix, shown
