"""Allow and Deny of cntlm as a set of clients, compared with the list itself."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from px.config.imports.cntlm_access import take_access
from px.config.imports.draft import Entry, ImportDraft
from px.core.rules.host_rules import HostRules
from px.core.startup_errors import ConfigError

from .conversion import Converter

LOGIN = "Proxy proxy.corp.example:8080\n"

addresses = st.builds(lambda net, host: f"10.{net}.0.{host}", st.integers(0, 2), st.integers(0, 4))
rules = st.tuples(st.sampled_from(["Allow", "Deny"]), addresses, st.sampled_from([0, 8, 14, 16, 30, 31, 32]))


def is_allowed(address: str, listed: list[tuple[str, str, int]]) -> bool:
    """Return what cntlm decides: the first rule that matches, else admission."""
    for kind, network, length in listed:
        if IPv4Address(address) in IPv4Network(f"{network}/{length}", strict=False):
            return kind == "Allow"
    return True


@given(st.lists(rules, min_size=1, max_size=4), st.lists(addresses, min_size=1, max_size=5))
def test_px_admits_the_clients_that_cntlm_admits(listed, clients):
    entries = [Entry(kind, f"{network}/{length}") for kind, network, length in listed]
    draft = ImportDraft("cntlm.conf", entries, Path(), 3128)
    wanted = [is_allowed(client, listed) for client in clients]
    try:
        for entry in entries:
            take_access(draft, entry)
    except ConfigError:
        assert not any(wanted)
    else:
        allow = HostRules.parse(draft.given["allow"].text, names=False)
        assert [allow.matches_address(client) for client in clients] == wanted


@pytest.mark.parametrize(
    ("lines", "allow"),
    [
        ("", "*.*.*.*"),
        ("Allow 10.0.0.0/8\n", "*.*.*.*"),  # without a Deny line, cntlm admits all others too
        ("Allow 10.0.0.0/8\nAllow localhost\nDeny *\n", "10.0.0.0/8, 127.0.0.1"),
        ("Deny 10.0.0.5\nAllow 10.0.0.0/8\nDeny 0/0\n", "10.0.0.0-10.0.0.4, 10.0.0.6-10.255.255.255"),
        ("Deny 192.0.2.0/24\n", "0.0.0.0-192.0.1.255, 192.0.3.0-255.255.255.255"),
    ],
)
def test_the_set_is_written_in_few_rules(converter: Converter, lines, allow):
    assert str(converter.convert(LOGIN + lines).settings.allow) == allow


def test_a_name_is_not_admitted(converter: Converter):
    done = converter.convert(LOGIN + "Allow 10.0.0.1\nAllow build.corp.example\nDeny 0/0\n")
    assert str(done.settings.allow) == "10.0.0.1"
    assert "foreign.conf:3: Allow is not taken over: Px admits clients by address" in done.lost
