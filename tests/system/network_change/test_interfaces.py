"""This computer's own addresses are read, and read again when they may have changed."""

from __future__ import annotations

import logging
from ipaddress import ip_address

import pytest

from px.core.host import Address
from px.system.network_change.interfaces import OwnAddresses, load_addresses


class Interfaces:
    """Interfaces whose addresses a test sets, and a clock."""

    def __init__(self, *addresses: str) -> None:
        self.time = 100.0
        self.reads = 0
        self.error: OSError | None = None
        self.addresses = addresses

    def now(self) -> float:
        return self.time

    def load(self) -> frozenset[Address]:
        self.reads += 1
        if self.error:
            raise self.error
        return frozenset(map(ip_address, self.addresses))

    def own(self) -> OwnAddresses:
        return OwnAddresses(self.now, self.load)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "::ffff:127.0.0.1"])
def test_loopback_is_own_without_reading_the_interfaces(host: str) -> None:
    interfaces = Interfaces()
    assert interfaces.own().has(host)
    assert interfaces.reads == 0


@pytest.mark.parametrize(
    ("host", "is_own"),
    [
        ("192.0.2.10", True),
        ("::ffff:192.0.2.10", True),
        ("192.0.2.11", False),
        ("2001:db8::10", True),
        ("2001:db8:0:0::10", True),
        ("2001:db8::11", False),
        ("fe80::1%2", True),
        ("fe80::1%3", False),
        ("fe80::2%2", True),
        ("0.0.0.0", False),
    ],
)
def test_an_address_is_own_on_its_link(host: str, is_own: bool) -> None:
    interfaces = Interfaces("192.0.2.10", "2001:db8::10", "fe80::1%2", "fe80::2")
    assert interfaces.own().has(host) is is_own


def test_many_unknown_addresses_cost_one_read_a_second() -> None:
    interfaces = Interfaces("192.0.2.10")
    own = interfaces.own()
    for number in range(200):
        assert not own.has(f"198.51.100.{number}")
        assert own.has("192.0.2.10")
    assert interfaces.reads == 1
    interfaces.time += 1.01
    assert not own.has("198.51.100.1")
    assert interfaces.reads == 2


def test_a_new_or_removed_address_is_noticed_after_a_second() -> None:
    interfaces = Interfaces("192.0.2.10")
    own = interfaces.own()
    assert own.has("192.0.2.10")
    interfaces.addresses = ("192.0.2.11",)
    interfaces.time += 1.01
    assert own.has("192.0.2.11")
    assert not own.has("192.0.2.10")


def test_without_readable_interfaces_only_loopback_is_own(caplog: pytest.LogCaptureFixture) -> None:
    interfaces = Interfaces("192.0.2.10")
    own = interfaces.own()
    assert own.has("192.0.2.10")
    interfaces.error = OSError("no more")
    interfaces.time += 1.01
    with caplog.at_level(logging.WARNING, "px"):
        assert not own.has("192.0.2.10")
    assert "cannot be read: no more" in caplog.text
    assert own.has("127.0.0.1")


def test_the_real_interfaces_are_read() -> None:
    addresses = load_addresses()
    assert ip_address("127.0.0.1") in addresses
    assert not {address for address in addresses if address.is_unspecified or address.is_multicast}
