"""Which names match, and that a login does not show which names exist."""

from __future__ import annotations

import pytest

from px.core.auth.ntlm.md4 import nt_hash
from px.core.client_login.password_lookup import ClientName, ClientSecret, OneClientSecret, PasswordLookup
from px.core.errors import LoginUnusableError
from px.core.secret import Secret

PASSWORD = "pässword"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("alice", ("alice", "")),
        ("CORP\\alice", ("alice", "CORP")),
        ("alice@CORP.EXAMPLE", ("alice", "CORP.EXAMPLE")),
        ("CORP\\alice@home", ("alice@home", "CORP")),
        ("", ("", "")),
    ],
)
def test_a_name_is_taken_apart(text, name):
    assert ClientName.parse(text) == name


@pytest.mark.parametrize(
    ("configured", "given"),
    [
        ("alice", "alice"),
        ("alice", "ALICE"),
        ("alice", "corp\\alice"),
        ("CORP\\alice", "alice"),
        ("CORP\\alice", "corp\\Alice"),
        ("CORP\\alice", "alice@CORP.EXAMPLE"),
        ("alice@corp.example", "alice@CORP.EXAMPLE"),
        ("Jürgen", "JÜRGEN"),
    ],
)
def test_spellings_that_mean_the_same_client(configured, given):
    assert ClientName.parse(configured).matches(ClientName.parse(given))


@pytest.mark.parametrize(
    ("configured", "given"),
    [
        ("alice", "bob"),
        ("alice", ""),
        ("CORP\\alice", "OTHER\\alice"),
        ("CORP\\alice", "alice@OTHER.EXAMPLE"),
        ("alice@corp.example", "alice@corp.example.evil"),
        ("alice@corp.example", "corp\\alice"),
    ],
)
def test_spellings_that_mean_another_client(configured, given):
    assert not ClientName.parse(configured).matches(ClientName.parse(given))


async def test_the_password_of_one_client_is_for_that_client_only():
    store = OneClientSecret(Secret(PASSWORD), ClientName.parse("CORP\\alice"))
    found = await store.find(ClientName("Alice", "corp"))
    assert found is not None
    assert found.password == PASSWORD.encode()
    assert found.nt_hash == nt_hash(PASSWORD)
    assert await store.find(ClientName("bob")) is None


async def test_a_password_without_a_name_is_for_all_clients():
    store = OneClientSecret(Secret(PASSWORD), None)
    assert await store.find(ClientName("bob")) is await store.find(ClientName("alice", "CORP"))


async def test_an_unknown_name_gets_a_random_secret():
    drawn: list[int] = []

    def draw(count: int) -> bytes:
        drawn.append(count)
        return bytes(range(count))

    passwords = PasswordLookup(OneClientSecret(Secret(PASSWORD), ClientName("alice")), None, draw)
    unknown = await passwords.look_up(ClientName("bob"))
    assert unknown.password != PASSWORD.encode()
    assert unknown is await passwords.look_up(ClientName("carol"))
    assert (await passwords.look_up(ClientName("alice"))).password == PASSWORD.encode()
    assert drawn == [16]


async def test_the_store_is_asked_only_about_the_only_allowed_client():
    asked: list[ClientName] = []

    class Store:
        async def find(self, name: ClientName) -> ClientSecret | None:
            asked.append(name)
            return None

    passwords = PasswordLookup(Store(), ClientName("alice"), bytes)
    for name in ("bob", "alice", "mallory"):
        await passwords.look_up(ClientName(name))
    assert asked == [("alice", "")]


def test_a_password_that_is_no_text_is_an_error():
    with pytest.raises(LoginUnusableError, match="not text"):
        ClientSecret(Secret("\udc80"))


def test_nothing_shows_a_secret():
    secret = Secret(PASSWORD)
    store = OneClientSecret(secret, ClientName("alice"))
    passwords = PasswordLookup(store, None, bytes)
    shown = repr((ClientSecret(secret), store, passwords))
    assert PASSWORD not in shown
    assert nt_hash(PASSWORD).hex() not in shown
    assert "alice" in shown
