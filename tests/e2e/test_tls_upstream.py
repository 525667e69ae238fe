"""An upstream that speaks TLS."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.corpnet.network import CorporateNetwork
from tests.px_process import PxProcess

from .exchanges import HOST
from .http_client import Client
from .logins import Login, only
from .squid_watch import Watch, bad_passwords


@pytest.mark.parametrize("login", only("kerberos-tls", "ntlm-tls"))
@pytest.mark.parametrize("method", ["GET", "CONNECT"])
def test_the_error_for_an_untrusted_certificate_names_the_certificate(
    network: CorporateNetwork, tmp_path: Path, login: Login, method: str
) -> None:
    environment = login.environment(network, tmp_path)
    del environment["SSL_CERT_FILE"]
    watch = Watch(login.upstream(network))
    target = f"{HOST}:{network.origin.port}" if method == "CONNECT" else network.origin.url("/", HOST)
    with PxProcess(tmp_path, *login.arguments(network), environment=environment) as px:
        started = time.monotonic()
        with Client(px.port) as client:
            answer = client.request(method, target)
        assert time.monotonic() - started < 5
    assert answer.status == 502
    assert "certificate" in answer.text
    assert f"localhost:{login.upstream(network).port}" in answer.text
    assert "SSL_CERT_FILE" in answer.text
    assert "tls_certificate_error" in answer.header("proxy-status")
    assert watch.entries(answered=0) == []


def test_the_certificate_has_to_be_for_the_name_of_the_upstream(
    network: CorporateNetwork, tmp_path: Path
) -> None:
    upstream = network.ntlm_tls
    environment = {"SSL_CERT_FILE": str(network.ca_file)}
    proxy = f"--proxy=https://localhost.localdomain:{upstream.port}"
    by_other_name = {**environment, **network.nss_wrapper_env()}
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost.localdomain\n")
    by_other_name["NSS_WRAPPER_HOSTS"] = str(hosts)
    with PxProcess(tmp_path, proxy, environment=by_other_name) as px, Client(px.port) as client:
        answer = client.get(network.origin.url("/", HOST))
    assert answer.status == 502
    assert "certificate" in answer.text
    assert "localhost.localdomain" in answer.text


def test_a_login_with_channel_bindings_works_if_the_domain_ignores_them(
    network: CorporateNetwork, tmp_path: Path
) -> None:
    login = Login("ntlm_tls", "ntlm", 2, 1, "ad.carol", "ADTEST\\{name}")
    with (
        bad_passwords(network, network.ad.carol),
        login.running_px(network, tmp_path) as px,
        Client(px.port) as client,
    ):
        assert client.get(network.origin.url("/", HOST)).text == "origin\n"
