"""The clients that may use Px: every combination of the four options, with every kind of client."""

from __future__ import annotations

from functools import partial
from ipaddress import ip_address

import pytest

from px.core.host import Address
from px.core.http.target import Authority
from px.core.rules.access import ALL_INTERFACES, LOCALHOST, Access, ListenAddresses, is_px_itself
from px.core.rules.host_rules import HostRules

LOOPBACK, OWN, OWN6, GUEST, GUEST6, STRANGER = (
    "127.0.0.1",
    "192.0.2.10",
    "2001:db8::10",
    "172.17.0.5",
    "2001:db8:17::5",
    "203.0.113.7",
)
EVERYBODY = {LOOPBACK, OWN, OWN6, GUEST, GUEST6, STRANGER}
HOST = {LOOPBACK, OWN, OWN6}
GUESTS = {GUEST, GUEST6}

ALLOW_ALL, ALLOW_GUESTS = "*.*.*.*", "172.*.*.*,2001:db8:17::/48"
LISTEN_DEFAULT, LISTEN_TWO = "127.0.0.1", "192.0.2.10,2001:db8::10"
ALL = tuple(map(str, ALL_INTERFACES))


def is_own(peer: str) -> bool:
    return peer in HOST


def access(listen: str, allow: str, *, gateway: bool, hostonly: bool) -> Access:
    return Access.decide(
        listen=ListenAddresses(tuple(map(ip_address, listen.split(",")))),
        gateway=gateway,
        hostonly=hostonly,
        allow=HostRules.parse(allow, names=False),
    )


@pytest.mark.parametrize(
    ("listen", "gateway", "hostonly", "allow", "listens_on", "admitted"),
    [
        (LISTEN_DEFAULT, 0, 0, ALLOW_ALL, (LISTEN_DEFAULT,), EVERYBODY),
        (LISTEN_DEFAULT, 0, 0, ALLOW_GUESTS, (LISTEN_DEFAULT,), GUESTS),
        (LISTEN_DEFAULT, 0, 1, ALLOW_ALL, ALL, HOST),
        (LISTEN_DEFAULT, 0, 1, ALLOW_GUESTS, ALL, HOST),
        (LISTEN_DEFAULT, 1, 0, ALLOW_ALL, ALL, EVERYBODY),
        (LISTEN_DEFAULT, 1, 0, ALLOW_GUESTS, ALL, GUESTS),
        (LISTEN_DEFAULT, 1, 1, ALLOW_ALL, ALL, EVERYBODY),
        (LISTEN_DEFAULT, 1, 1, ALLOW_GUESTS, ALL, HOST | GUESTS),
        (LISTEN_TWO, 0, 0, ALLOW_ALL, tuple(LISTEN_TWO.split(",")), EVERYBODY),
        (LISTEN_TWO, 0, 0, ALLOW_GUESTS, tuple(LISTEN_TWO.split(",")), GUESTS),
        (LISTEN_TWO, 0, 1, ALLOW_ALL, ALL, HOST),
        (LISTEN_TWO, 0, 1, ALLOW_GUESTS, ALL, HOST),
        (LISTEN_TWO, 1, 0, ALLOW_ALL, ALL, EVERYBODY),
        (LISTEN_TWO, 1, 0, ALLOW_GUESTS, ALL, GUESTS),
        (LISTEN_TWO, 1, 1, ALLOW_ALL, ALL, EVERYBODY),
        (LISTEN_TWO, 1, 1, ALLOW_GUESTS, ALL, HOST | GUESTS),
    ],
)
def test_each_combination_listens_and_admits_as_the_table_says(
    listen: str, gateway: int, hostonly: int, allow: str, listens_on: tuple[str, ...], admitted: set[str]
) -> None:
    decided = access(listen, allow, gateway=bool(gateway), hostonly=bool(hostonly))
    assert tuple(map(str, decided.listen)) == listens_on
    assert {peer for peer in EVERYBODY if decided.admits(peer, is_own)} == admitted


@pytest.mark.parametrize(
    ("allow", "listens_on"),
    [
        (ALLOW_ALL, LOCALHOST),
        ("127.0.0.1", LOCALHOST[:1]),
        ("127.0.0.1,::1", LOCALHOST),
        ("10.*", LOCALHOST[:1]),
    ],
)
def test_an_optional_address_whose_clients_are_not_admitted_is_left_out(
    allow: str, listens_on: tuple[Address, ...]
) -> None:
    decided = Access.decide(
        listen=ListenAddresses(LOCALHOST, frozenset(LOCALHOST[1:])),
        gateway=False,
        hostonly=False,
        allow=HostRules.parse(allow, names=False),
    )
    assert decided.listen == listens_on
    assert decided.optional == frozenset(listens_on[1:])


@pytest.mark.parametrize("hostonly", [False, True])
def test_an_ipv4_client_of_an_ipv6_socket_is_an_ipv4_client(hostonly: bool) -> None:
    decided = access(LISTEN_DEFAULT, "172.*.*.*", gateway=True, hostonly=hostonly)
    assert decided.admits(f"::ffff:{GUEST}", is_own)
    assert not decided.admits(f"::ffff:{STRANGER}", is_own)


def test_a_client_has_the_zone_of_its_link() -> None:
    assert access(LISTEN_DEFAULT, "fe80:*", gateway=True, hostonly=False).admits("fe80::1%eth0", is_own)


@pytest.mark.parametrize(
    ("gateway", "hostonly", "from_here"),
    [(0, 0, {LOOPBACK}), (1, 0, {LOOPBACK}), (0, 1, HOST), (1, 1, HOST)],
)
def test_a_client_counts_as_a_program_of_this_computer_by_its_address(
    gateway: int, hostonly: int, from_here: set[str]
) -> None:
    decided = access(LISTEN_TWO, ALLOW_ALL, gateway=bool(gateway), hostonly=bool(hostonly))
    assert {peer for peer in EVERYBODY if decided.is_from_here(peer, is_own)} == from_here


def test_a_loopback_address_is_one_in_every_form() -> None:
    decided = access(LISTEN_DEFAULT, ALLOW_ALL, gateway=True, hostonly=False)
    assert all(decided.is_from_here(peer, is_own) for peer in ("127.8.9.1", "::1", "::ffff:127.0.0.1"))
    others = ("fe80::1%2", "::ffff:172.17.0.5", "169.254.1.1", "")
    assert not any(decided.is_from_here(peer, is_own) for peer in others)


def test_own_addresses_are_looked_up_only_where_they_matter() -> None:
    def fail(peer: str) -> bool:
        raise AssertionError(peer)

    assert not access(LISTEN_DEFAULT, ALLOW_GUESTS, gateway=True, hostonly=False).is_from_here(STRANGER, fail)
    assert access(LISTEN_DEFAULT, ALLOW_GUESTS, gateway=True, hostonly=True).is_from_here(LOOPBACK, fail)
    assert not access(LISTEN_DEFAULT, ALLOW_GUESTS, gateway=True, hostonly=False).admits(STRANGER, fail)
    assert access(LISTEN_DEFAULT, ALLOW_GUESTS, gateway=True, hostonly=True).admits(GUEST, fail)


@pytest.mark.parametrize(
    ("listen", "gateway", "hostonly", "allow", "audience", "warns"),
    [
        (LISTEN_DEFAULT, 0, 0, ALLOW_ALL, "this computer", False),
        ("127.0.0.1,::1", 0, 0, ALLOW_ALL, "this computer", False),
        (LISTEN_DEFAULT, 0, 0, "127.0.0.1", "127.0.0.1", False),
        (LISTEN_TWO, 0, 0, ALLOW_ALL, "everyone who reaches it", True),
        (LISTEN_DEFAULT, 0, 1, ALLOW_ALL, "this computer's own addresses", False),
        (LISTEN_DEFAULT, 1, 0, ALLOW_ALL, "everyone who reaches it", True),
        (LISTEN_DEFAULT, 1, 0, "0.0.0.0/0", "everyone who reaches it", True),
        (LISTEN_DEFAULT, 1, 0, "172.*.*.*", "172.*.*.*", False),
        (LISTEN_DEFAULT, 1, 1, ALLOW_ALL, "everyone who reaches it", True),
        (LISTEN_DEFAULT, 1, 1, "172.*.*.*", "this computer's own addresses and 172.*.*.*", False),
    ],
)
def test_the_admitted_clients_are_named_and_admitting_everyone_is_warned_of(
    listen: str, gateway: int, hostonly: int, allow: str, audience: str, warns: bool
) -> None:
    decided = access(listen, allow, gateway=bool(gateway), hostonly=bool(hostonly))
    assert decided.audience == audience
    assert bool(decided.warning) is warns
    assert ("can use your login" in decided.warning and "--allow" in decided.warning) is warns


def test_the_refusal_names_the_option_that_would_help() -> None:
    assert "--gateway and --allow" in access(LISTEN_DEFAULT, ALLOW_ALL, gateway=False, hostonly=True).hint
    assert access(LISTEN_DEFAULT, ALLOW_GUESTS, gateway=True, hostonly=True).hint.endswith("with --allow.")


@pytest.mark.parametrize(
    ("listening", "host", "is_it"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "localhost", True),
        ("127.0.0.1", "0.0.0.0", True),
        ("127.0.0.1", "10.0.0.1", False),
        ("127.0.0.1", OWN, False),
        ("0.0.0.0", "127.0.0.5", True),
        ("0.0.0.0", OWN, True),
        ("0.0.0.0", OWN6, False),
        ("0.0.0.0", STRANGER, False),
        ("::", OWN6, True),
        ("::", "::1", True),
        ("::", GUEST6, False),
        ("::1", "::1", True),
        ("127.0.0.1", "www.test", False),
    ],
)
def test_px_knows_where_it_listens(listening: str, host: str, is_it: bool) -> None:
    is_px = partial(is_px_itself, listening={(listening, 3128)}, is_own=is_own)
    assert is_px(Authority(host, 3128)) is is_it
    assert not is_px(Authority(host, 3129))
