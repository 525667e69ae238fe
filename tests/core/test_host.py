from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest

from px.core.host import (
    is_host,
    is_local_target,
    parse_host_port,
    to_address,
    to_plain_address,
    to_plain_name,
)


@pytest.mark.parametrize(
    "text", ["a", "a.b", "a_b.c", "xn--x", "10.1.2.3", "a.b.", "bücher.example", "3com.com"]
)
def test_names_and_ipv4_addresses_are_hosts(text):
    assert is_host(text)


@pytest.mark.parametrize(
    "text", ["", ".", "a..b", ".a", "a b", "a/b", "10.1.2", "10.1.2.300", "a.1", "a" * 254, "::1"]
)
def test_other_texts_are_not_hosts(text):
    assert not is_host(text)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("h", "h", None),
        ("h:1", "h", 1),
        ("[::1]", "::1", None),
        ("[fe80::1%eth0]:65535", "fe80::1%eth0", 65535),
    ],
)
def test_host_and_port_are_split(text, host, port):
    assert parse_host_port(text, text) == (host, port)


@pytest.mark.parametrize(
    "text", ["", ":1", "h:", "h:0", "h:65536", "h:x", "h:1:2", "::1", "[::1", "[h]:1", "[::1]1", "h:²"]
)
def test_an_invalid_host_or_port_is_an_error_with_the_given_name(text):
    with pytest.raises(ValueError, match=r"^entry 7: "):
        parse_host_port(text, "entry 7")


def test_plain_names_compare_equal_for_equal_hosts():
    assert to_plain_name("Host.Example.") == "host.example"
    assert to_plain_name("[::1]") == "::1"
    assert to_plain_name("Bücher.example") == "xn--bcher-kva.example"


def test_a_name_that_idna_cannot_encode_stays_as_it_is():
    assert to_plain_name("é..x") == "é..x"


def test_plain_addresses_have_no_mapping_and_no_zone():
    assert to_plain_address(IPv6Address("::ffff:10.1.2.3")) == IPv4Address("10.1.2.3")
    assert to_plain_address(IPv6Address("fe80::1%eth0")) == IPv6Address("fe80::1")


LOCAL = """localhost LocalHost. a.b.localhost 127.0.0.1 127.255.0.1 ::1 [::1] ::ffff:127.0.0.1
    169.254.0.1 169.254.255.255 ::ffff:169.254.1.1 fe80::1 febf::1 fe80::1%eth0"""
NOT_LOCAL = """localhost6 notlocalhost localhost.test loopback intranet
    0.0.0.0 128.0.0.1 169.253.0.1 10.0.0.1 :: fec0::1"""


@pytest.mark.parametrize("host", LOCAL.split())
def test_local_targets_are_this_computer_and_its_link(host):
    assert is_local_target(host)


@pytest.mark.parametrize("host", ["", *NOT_LOCAL.split()])
def test_a_host_that_only_looks_local_is_no_local_target(host):
    assert not is_local_target(host)


@pytest.mark.parametrize("name", ["", "host", "a.b1", "10.1.2", "host:1"])
def test_names_are_not_addresses(name):
    assert to_address(name) is None
