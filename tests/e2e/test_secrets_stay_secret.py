"""Px never shows a secret, even if something fails."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

from px.core.auth.ntlm.md4 import nt_hash
from tests.corpnet.network import CorporateNetwork
from tests.leaks import ProcessWatch, check_files, check_text, forms_of
from tests.px_process import PxProcess, until

from . import exchanges
from .exchanges import HOST
from .http_client import Answer, Body, Client
from .logins import Kerberos, Login, Secret, kerberos_environment
from .squid_watch import bad_passwords

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")

#: Wrong for every user; contains characters that some formats escape.
WRONG = "Wr0ng ü'\"\\%5c-7d"
_DOMAIN = "ADTEST\\{name}"

#: Each way in which Px uses a secret, with a wrong secret.
_REFUSED = {
    "ntlm": Login("ntlm", "ntlm", 2, 1, "ad.carol", _DOMAIN),
    "ntlm-hash": Login("ntlm", "ntlm", 2, 1, "ad.carol", _DOMAIN, secret=Secret.NT_HASH),
    "negotiate": Login("negotiate", "negotiate", 2, 1, "ad.carol", _DOMAIN),
    "kdc": Login("negotiate", "negotiate", 2, 1, "ad.carol", "{name}@AD.TEST", kerberos=Kerberos.KDC),
    "own-ticket": Login(
        "negotiate", "negotiate", 2, 1, "ad.carol", "{name}@AD.TEST", kerberos=Kerberos.KDC,
        options=("--kerberos",),
    ),
    "basic": Login("basic_ad", "basic", 1, 0, "ad.carol", _DOMAIN),
    "digest": Login("digest", "digest", 1, 0, "mit.bob"),
    "tls-not-trusted": Login("ntlm_tls", "ntlm", 2, 1, "ad.carol", _DOMAIN),
}  # fmt: skip


def _ask_in_every_way(px: PxProcess, network: CorporateNetwork) -> list[Answer]:
    url = network.origin.url("/", HOST)
    answers = []
    for _ in range(2):
        with Client(px.port) as client:
            answers.append(client.get(url))
        with Client(px.port) as client:
            answers.append(client.request("POST", url, Body(exchanges.SMALL_BYTES)))
        with Client(px.port) as client:
            answers.append(client.connect(f"{HOST}:{network.origin.tls_port}"))
    return answers


def _show(answer: Answer) -> str:
    return f"{answer.status} {answer.reason} {answer.headers} {answer.body!r}"


@pytest.mark.parametrize("login", [pytest.param(login, id=name) for name, login in _REFUSED.items()])
def test_px_never_shows_a_refused_secret(network: CorporateNetwork, tmp_path: Path, login: Login) -> None:
    user = login.account(network)
    forms = forms_of(WRONG, user.name, login.username(network))
    variables = (
        {"PX_NTHASH": nt_hash(WRONG).hex()} if login.secret is Secret.NT_HASH else {"PX_PASSWORD": WRONG}
    )
    if login.port == "ntlm_tls":
        variables["SSL_CERT_FILE"] = "/dev/null"
    if login.is_ad:
        network.ad.reset_bad_password_count(user)
    with login.running_px(network, tmp_path, "--debug", "--workers=2", **variables) as px:
        with ProcessWatch(px.pid) as watch:
            # the supervisor and two workers
            until(lambda: len(list(tmp_path.rglob(f"debug-{px.port}-*.log"))) == 3)
            answers = _ask_in_every_way(px, network)
        check_text("the command lines", watch.command_lines, forms)
        assert len(watch.pids) >= 4  # the supervisor, the template, two workers
    if login.is_ad:
        network.ad.reset_bad_password_count(user)
    assert {answer.status for answer in answers} == {502}
    for answer in answers:
        check_text("an answer", _show(answer), forms)
    check_text("the output", px.output, forms)
    assert check_files(tmp_path, forms)


def test_px_never_shows_an_accepted_password(network: CorporateNetwork, tmp_path: Path) -> None:
    bob = network.ad.bob
    forms = forms_of(bob.password, bob.name, f"ADTEST\\{bob.name}", f"{bob.name}@AD.TEST")
    ways = [
        Login("multi", "negotiate", 2, 1, "ad.bob", _DOMAIN),
        Login("ntlm", "ntlm", 2, 1, "ad.bob", _DOMAIN),
        Login("basic_ad", "basic", 1, 0, "ad.bob", _DOMAIN),
        Login("negotiate", "negotiate", 1, 0, "ad.bob", "{name}@AD.TEST", kerberos=Kerberos.KDC),
    ]
    for number, login in enumerate(ways):
        directory = tmp_path / str(number)
        directory.mkdir()
        with login.running_px(network, directory, "--log=5") as px, ProcessWatch(px.pid) as watch:
            answers = _ask_in_every_way(px, network)
        check_text("the command lines", watch.command_lines, forms)
        check_text("the output", px.output, forms)
        assert {answer.status for answer in answers} == {200}
    assert check_files(tmp_path, forms)


def test_px_never_shows_the_login_of_an_upstream_in_the_environment(
    network: CorporateNetwork, tmp_path: Path
) -> None:
    """The upstreams do not exist, do not speak TLS, or refuse the login."""
    forms = forms_of(WRONG, "carol", "ADTEST\\carol")
    userinfo = f"ADTEST%5Ccarol:{quote(WRONG, safe='')}"
    ports = [f"http://{userinfo}@{where}" for where in ("127.0.0.1:1", "no-such-host.invalid:1")]
    ports += [
        f"https://{userinfo}@localhost:{network.ntlm.port}",
        f"http://{userinfo}@localhost:{network.ntlm.port}",
    ]
    environment = kerberos_environment(Kerberos.NOTHING, network.ad.realm, network.ad.carol, tmp_path)
    with (
        bad_passwords(network, network.ad.carol, at_most=2),
        PxProcess(
            tmp_path, "--verbose", "--debug", environment={**environment, "PX_SERVER": ",".join(ports)}
        ) as px,
        ProcessWatch(px.pid) as watch,
    ):
        answers = _ask_in_every_way(px, network)
    assert {answer.status for answer in answers} == {502}
    for answer in answers:
        check_text("an answer", _show(answer), forms)
    check_text("the output and the command lines", px.output + watch.command_lines, forms)
    assert check_files(tmp_path, forms)


def test_px_does_not_log_the_logins_of_clients(network: CorporateNetwork, tmp_path: Path) -> None:
    forms = forms_of(WRONG, "alice")
    basic = forms["Basic credentials of alice"]
    fields = [
        ("Authorization", f"Basic {basic}"),
        ("Proxy-Authorization", f"Basic {basic}"),
        ("Cookie", "x=1"),
    ]
    login = replace(_REFUSED["ntlm"], user="ad.bob")
    with login.running_px(network, tmp_path, "--debug") as px:
        for url in (network.origin.url("/", HOST), f"http://alice:{quote(WRONG)}@{HOST}/", "nonsense"):
            with Client(px.port) as client:
                client.get(url, fields)
        with Client(px.port) as client:
            client.send(
                f"GET http://{HOST}/ HTTP/1.1\r\nProxy-Authorization : Basic {basic}\r\n\r\n".encode()
            )
            assert b" 400 " in client.read_to_end()
    check_text("the output", px.output, forms)
    assert check_files(tmp_path, forms)
