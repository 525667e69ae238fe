"""The ports on which Px listens, and the logins of their clients."""

from __future__ import annotations

import pytest

from px.config.ports import check_client_logins, check_ports, name_ports
from px.core.auth.policy import AuthPolicy
from px.core.rules.tunnel_list import parse_tunnels
from px.core.startup_errors import ConfigError

TUNNELS = parse_tunnels("2222:git.example:22,2525:mail.example:25")


def test_each_port_has_the_option_that_names_it() -> None:
    ports = ((3128, "--port"), (1080, "--socks"), (2222, "--tunnel"), (2525, "--tunnel"))
    assert name_ports(3128, 1080, TUNNELS) == ports
    assert name_ports(3128, 0, ()) == ((3128, "--port"),)
    check_ports(ports)


@pytest.mark.parametrize(
    ("port", "socks", "fault"),
    [
        (3128, 3128, "--socks: port 3128 is that of --port"),
        (2222, 0, "--tunnel: port 2222 is that of --port"),
        (3128, 2525, "--tunnel: port 2525 is that of --socks"),
    ],
)
def test_a_port_can_have_only_one_use(port: int, socks: int, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        check_ports(name_ports(port, socks, TUNNELS))


@pytest.mark.parametrize("policy", ["ANY", "BASIC", "NTLM", "NONE"])
def test_tunnels_are_an_error_if_clients_have_to_log_in(policy: str) -> None:
    client_auth = AuthPolicy.parse_list(policy)
    if policy == "NONE":
        check_client_logins(client_auth, 0, TUNNELS)
        return
    with pytest.raises(ConfigError, match=r"^--tunnel=2222:git\.example:22: its clients cannot log in"):
        check_client_logins(client_auth, 0, TUNNELS)


@pytest.mark.parametrize("policy", ["NONE", "ANY", "BASIC", "NTLM,BASIC"])
def test_socks_is_allowed_if_clients_may_log_in_by_basic_or_need_no_login(policy: str) -> None:
    check_client_logins(AuthPolicy.parse_list(policy), 1080, ())


@pytest.mark.parametrize("policy", ["NTLM", "NEGOTIATE", "DIGEST", "ANYSAFE", "NOBASIC"])
def test_socks_is_an_error_if_clients_may_not_send_their_password_in_clear(policy: str) -> None:
    client_auth = AuthPolicy.parse_list(policy)
    with pytest.raises(ConfigError, match=f"^--socks=1080: .*--client_auth={policy} does not allow"):
        check_client_logins(client_auth, 1080, ())
    check_client_logins(client_auth, 0, ())
