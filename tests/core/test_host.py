from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest

from px.core.host import is_host, parse_host_port, to_address, to_plain_address, to_plain_name


@pytest.mark.parametrize(
    "text", ["a", "a.b", "a_b.c", "xn--x", "10.1.2.3", "a.b.", "bücher.example", "3com.com"]
)
def test_names_and_ipv4_addresses_are_hosts(text):
    assert is_host(text)


@pytest.mark.parametrize(
    "text", ["", ".", "a..b", ".a", "a b", "a/b", "10.1.2", "10.1.2.300", "a.1", "a" * 254, "::1"]
)
def test_other_texts_are_no_hosts(text):
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
def test_what_is_no_host_and_port_is_an_error_with_the_name_it_was_given(text):
    with pytest.raises(ValueError, match=r"^entry 7: "):
        parse_host_port(text, "entry 7")


def test_plain_names_compare_equal_for_equal_hosts():
    assert to_plain_name("Host.Example.") == "host.example"
    assert to_plain_name("[::1]") == "::1"
    assert to_plain_name("Bücher.example") == "xn--bcher-kva.example"


def test_what_idna_cannot_encode_stays_as_it_is():
    assert to_plain_name("é..x") == "é..x"


def test_plain_addresses_have_no_mapping_and_no_zone():
    assert to_plain_address(IPv6Address("::ffff:10.1.2.3")) == IPv4Address("10.1.2.3")
    assert to_plain_address(IPv6Address("fe80::1%eth0")) == IPv6Address("fe80::1")


@pytest.mark.parametrize("name", ["", "host", "a.b1", "10.1.2", "host:1"])
def test_names_are_no_addresses(name):
    assert to_address(name) is None
