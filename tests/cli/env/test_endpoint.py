"""What the settings say of a Px."""

from __future__ import annotations

import pytest

from px.cli.env.endpoint import Endpoint
from px.config.settings import default_settings
from px.config.values import parse_listen
from px.core.auth.policy import AuthPolicy
from px.core.rules.host_rules import HostRules

LOCAL = "localhost,127.0.0.1,::1"


def endpoint_with(noproxy: str = "", listen: str = "127.0.0.1", *, gateway: bool = False) -> Endpoint:
    rules = HostRules.parse(noproxy, names=True)
    settings = default_settings(noproxy=rules, listen=parse_listen(listen), port=3129, gateway=gateway)
    return Endpoint.of_settings(settings)


@pytest.mark.parametrize(
    ("noproxy", "added"),
    [
        ("", ""),
        ("10.1.2.3", ",10.1.2.3"),
        ("10.*;192.168.0.*", ",10.0.0.0/8,192.168.0.0/24"),
        ("10.0.0.1-10.0.0.4", ",10.0.0.1,10.0.0.2/31,10.0.0.4"),
        ("fd00::/8, ::2", ",::2,fd00::/8"),
        ("host .corp.example *.dom.example", ",host,corp.example,.dom.example"),
        ("host:8080, 10.1.1.1:80, build*.corp.example, <local>", ""),
        ("*", ""),
        ("0.0.0.0/0", ""),
    ],
)
def test_noproxy_is_written_in_a_form_that_other_programs_understand(noproxy, added):
    values = endpoint_with(noproxy).values
    assert values.no_proxy_list == LOCAL + added
    assert values.variables["no_proxy"] == values.variables["NO_PROXY"] == LOCAL + added


@pytest.mark.parametrize(
    ("listen", "host"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("10.0.0.1,127.0.0.5", "127.0.0.5"),
        ("10.0.0.1", "10.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("::", "[::1]"),
        ("::1", "[::1]"),
    ],
)
def test_the_url_has_an_address_that_px_listens_on(listen, host):
    assert endpoint_with(listen=listen).values.url == f"http://{host}:3129"


def test_the_url_of_a_gateway_has_the_loopback_address():
    endpoint = endpoint_with(listen="10.0.0.1", gateway=True)
    assert endpoint.values.url == "http://127.0.0.1:3129"
    assert not endpoint.is_local
    assert endpoint_with(listen="127.0.0.1,::1").is_local


def test_the_url_has_a_place_for_the_login_if_clients_log_in():
    settings = default_settings(client_auth=AuthPolicy.parse_list("BASIC"))
    assert Endpoint.of_settings(settings).values.url == "http://USER:PASSWORD@127.0.0.1:3128"


def test_a_running_px_reports_its_address_its_rules_and_whether_clients_log_in():
    status = {"listen": ["10.0.0.1:3130", "[::1]:3130"], "noproxy": "10.*", "clients_log_in": True}
    endpoint = Endpoint.of_running(status)
    assert endpoint.values.url == "http://USER:PASSWORD@[::1]:3130"
    assert endpoint.values.no_proxy_list == f"{LOCAL},10.0.0.0/8"
