"""User names as Kerberos principals."""

from __future__ import annotations

import pytest

from px.core.auth.principal import PrincipalName, candidates_of, is_ticket_of


@pytest.mark.parametrize(
    ("username", "names"),
    [
        ("", []),
        ("alice", [("alice", False)]),
        ("alice@AD.TEST", [("alice@AD.TEST", False), ("alice@AD.TEST", True)]),
        ("alice@ad.test", [("alice@ad.test", True), ("alice@AD.TEST", False)]),
        ("a@b@ad.test", [("a@b@ad.test", True), ("a@b@AD.TEST", False)]),
        ("ad.test\\alice", [("alice@AD.TEST", False)]),
        ("ADTEST\\alice", []),
    ],
)
def test_a_user_name_means_these_principals(username, names):
    assert candidates_of(username) == [PrincipalName(*name) for name in names]


@pytest.mark.parametrize(
    ("username", "principal", "is_one"),
    [
        ("", "alice@AD.TEST", True),
        ("Alice", "alice@AD.TEST", True),
        ("alice@ad.test", "alice@AD.TEST", True),
        ("alice@other.test", "alice@AD.TEST", False),
        ("ADTEST\\ALICE", "alice@AD.TEST", True),
        ("ADTEST\\bob", "alice@AD.TEST", False),
        ("ad.test\\alice", "alice@AD.TEST", True),
        ("other.test\\alice", "alice@AD.TEST", False),
        ("bob", "alice@AD.TEST", False),
    ],
)
def test_a_ticket_is_of_a_user(username, principal, is_one):
    assert is_ticket_of(username, principal) is is_one
