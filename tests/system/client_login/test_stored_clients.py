"""Clients looked up in a keyring: in which spellings, how often, and how many are remembered."""

from __future__ import annotations

import pytest

from px.core.auth.secret_store import SecretStoreError
from px.core.client_login.password_lookup import ClientName
from px.core.secret import Secret
from px.system.client_login import stored_clients
from px.system.client_login.stored_clients import REMEMBER_SECONDS, StoredClients


class Store:
    """A keyring; `asked` records the names that Px looked up."""

    name = "the keyring"

    def __init__(self, **passwords: str) -> None:
        self.passwords = passwords
        self.asked: list[str] = []
        self.failure: Exception | None = None

    def load_password(self, service: str, username: str) -> Secret | None:
        assert service == "PxClient"
        self.asked.append(username)
        if self.failure is not None:
            raise self.failure
        return Secret(self.passwords[username]) if username in self.passwords else None

    def store_password(self, service: str, username: str, password: Secret) -> None:
        pytest.fail("Px stores nothing by itself")

    def remove_password(self, service: str, username: str) -> bool:
        pytest.fail("nor does it remove anything")


async def inline(function, *args):
    return function(*args)


class Desk:
    def __init__(self, **passwords: str) -> None:
        self.seconds = 0.0
        self.store = Store(**passwords)
        self.clients = StoredClients(self.store, inline, lambda: self.seconds)

    async def find(self, text: str) -> bytes | None:
        secret = await self.clients.find(ClientName.parse(text))
        return secret.password if secret else None


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("alice", ["alice"]),
        ("CORP\\alice", ["CORP\\alice", "alice@CORP", "alice"]),
        ("alice@corp.test", ["corp.test\\alice", "alice@corp.test", "alice"]),
        ("", []),
    ],
)
async def test_a_name_is_looked_up_in_each_of_its_spellings(name, asked):
    desk = Desk()
    assert await desk.find(name) is None
    assert desk.store.asked == asked


async def test_an_answer_of_the_keyring_is_remembered_for_a_while_even_a_missing_password():
    desk = Desk(alice="one")
    for _ in range(3):
        assert await desk.find("alice") == b"one"
        assert await desk.find("bob") is None
    assert desk.store.asked == ["alice", "bob"]
    desk.store.passwords = {"alice": "two"}
    desk.seconds += REMEMBER_SECONDS + 1
    assert await desk.find("alice") == b"two"


async def test_a_bounded_number_of_names_is_remembered(monkeypatch):
    monkeypatch.setattr(stored_clients, "MAX_NAMES", 3)
    desk = Desk()
    for number in range(10):
        await desk.find(f"user{number}")
    assert repr(desk.clients) == "<StoredClients 3 names asked for>"
    await desk.find("user9")
    await desk.find("user0")
    assert desk.store.asked[-1] == "user0"
    assert len(desk.store.asked) == 11


@pytest.mark.parametrize("text", [None, "\udc80"], ids=["the keyring fails", "the password is not text"])
async def test_a_keyring_that_fails_raises_a_timeout(text):
    desk = Desk(**({"alice": text} if text else {}))
    desk.store.failure = None if text else SecretStoreError("locked", "unlock it")
    for _ in range(2):
        with pytest.raises(TimeoutError):
            await desk.find("alice")
    assert desk.store.asked == ["alice", "alice"]
