"""Lists of static tunnels."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from px.core.http.target import Authority
from px.core.rules.tunnel_list import TunnelPort, parse_tunnels
from px.downstream.front_end import tunnel_request

GIT = TunnelPort(2222, Authority("git.example", 22))


@pytest.mark.parametrize(
    ("text", "tunnels"),
    [
        ("", ()),
        ("2222:git.example:22", (GIT,)),
        ("2222:GIT.example.:22", (GIT,)),
        ("2222:git.example:22, 25:192.0.2.1:25", (GIT, TunnelPort(25, Authority("192.0.2.1", 25)))),
        (",2222:git.example:22;", (GIT,)),
        ("80:[2001:DB8::1]:8080", (TunnelPort(80, Authority("2001:db8::1", 8080)),)),
        ("80:bücher.example:80", (TunnelPort(80, Authority("xn--bcher-kva.example", 80)),)),
    ],
)
def test_a_tunnel_is_a_port_and_a_target(text: str, tunnels: tuple[TunnelPort, ...]) -> None:
    assert parse_tunnels(text) == tunnels
    assert parse_tunnels(",".join(map(str, tunnels))) == tunnels


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2222", "a tunnel is LPORT:HOST:PORT"),
        ("2222:22", "a tunnel is LPORT:HOST:PORT"),
        ("git.example:22", "a tunnel is LPORT:HOST:PORT"),
        ("0:git.example:22", "a tunnel is LPORT:HOST:PORT"),
        ("65536:git.example:22", "a tunnel is LPORT:HOST:PORT"),
        ("127.0.0.1:2222:git.example:22", "a tunnel is LPORT:HOST:PORT"),
        ("2222:git.example:", "no valid port"),
        ("2222:git.example:ssh", "no valid port"),
        ("2222:2001:db8::1:22", "brackets"),
        ("2222:[::1]", "needs the port of its target"),
        ("2222:a b:22", "a tunnel is LPORT:HOST:PORT"),
        ("2222:0x7f:22", "no valid host name or address"),
        ("2222:http://git.example:22", "more than one colon"),
    ],
)
def test_the_error_for_another_text_says_what_is_wrong(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_tunnels(text)


@given(some.text(max_size=30).map("2222:{}:22".format))
def test_each_target_that_is_read_can_be_asked_for(text: str) -> None:
    try:
        tunnels = parse_tunnels(text)
    except ValueError:
        return
    for tunnel in tunnels:
        assert tunnel_request(tunnel.target).authority == tunnel.target
