"""Whose name means whom, and that nobody learns which names there are."""

from __future__ import annotations

import pytest

from px.core.client_secrets import ClientName, ClientSecret, OneClientSecret, SecretBook
from px.core.errors import LoginUnusableError
from px.core.md4 import nt_hash
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
    assert ClientName.parse(configured).means(ClientName.parse(given))


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
def test_spellings_that_mean_somebody_else(configured, given):
    assert not ClientName.parse(configured).means(ClientName.parse(given))


async def test_a_password_of_one_client_is_of_nobody_else():
    store = OneClientSecret(Secret(PASSWORD), ClientName.parse("CORP\\alice"))
    found = await store.find(ClientName("Alice", "corp"))
    assert found is not None
    assert found.password == PASSWORD.encode()
    assert found.nt_hash == nt_hash(PASSWORD)
    assert await store.find(ClientName("bob")) is None


async def test_a_password_without_a_name_is_everybodys():
    store = OneClientSecret(Secret(PASSWORD), None)
    assert await store.find(ClientName("bob")) is await store.find(ClientName("alice", "CORP"))


async def test_who_is_unknown_gets_a_secret_that_nobody_can_know():
    drawn: list[int] = []

    def draw(count: int) -> bytes:
        drawn.append(count)
        return bytes(range(count))

    book = SecretBook(OneClientSecret(Secret(PASSWORD), ClientName("alice")), None, draw)
    unknown = await book.look_up(ClientName("bob"))
    assert unknown.password != PASSWORD.encode()
    assert unknown is await book.look_up(ClientName("carol"))
    assert (await book.look_up(ClientName("alice"))).password == PASSWORD.encode()
    assert drawn == [16]


async def test_the_store_is_not_asked_for_anybody_but_the_one_client_there_may_be():
    asked: list[ClientName] = []

    class Store:
        async def find(self, name: ClientName) -> ClientSecret | None:
            asked.append(name)
            return None

    book = SecretBook(Store(), ClientName("alice"), bytes)
    for name in ("bob", "alice", "mallory"):
        await book.look_up(ClientName(name))
    assert asked == [("alice", "")]


def test_a_password_that_is_no_text_is_an_error():
    with pytest.raises(LoginUnusableError, match="not text"):
        ClientSecret(Secret("\udc80"))


def test_nothing_shows_a_secret():
    secret = Secret(PASSWORD)
    store = OneClientSecret(secret, ClientName("alice"))
    book = SecretBook(store, None, bytes)
    shown = repr((ClientSecret(secret), store, book))
    assert PASSWORD not in shown
    assert nt_hash(PASSWORD).hex() not in shown
    assert "alice" in shown
