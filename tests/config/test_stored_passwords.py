"""Which passwords Px looks up in the keyring, and how it stores them there."""

from __future__ import annotations

import re
from typing import Any

import pytest

from px.config.settings import Settings, default_settings
from px.config.stored_passwords import (
    StoredLogin,
    StoredPasswords,
    change_password,
    client_account,
    upstream_account,
)
from px.core.auth.policy import AuthPolicy
from px.core.auth.secret_store import CLIENT_SERVICE, UPSTREAM_SERVICE, SecretStoreError
from px.core.rules.route import parse_upstreams
from px.core.secret import Secret
from px.core.startup_errors import ConfigError

USER = "CORP\\alice"
PASSWORD = Secret("Pässwörd1€")
HASH = Secret("0123456789abcdef" * 2)
INSTEAD = "set PX_PASSWORD, or for NTLM alone PX_NTHASH (or nthash in px.ini) to what px --hash prints"


class Store:
    """A keyring in memory; `asked` lists the users whose passwords Px looked up."""

    name = "the keyring"

    def __init__(self, **passwords: str) -> None:
        self.kept = {(UPSTREAM_SERVICE, name): Secret(text) for name, text in passwords.items()}
        self.asked: list[str] = []
        self.failure: SecretStoreError | None = None
        self.forgets = False

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure

    def load_password(self, service: str, username: str) -> Secret | None:
        self.asked.append(username)
        self._fail()
        return self.kept.get((service, username))

    def store_password(self, service: str, username: str, password: Secret) -> None:
        self._fail()
        if not self.forgets:
            self.kept[service, username] = password

    def remove_password(self, service: str, username: str) -> bool:
        self._fail()
        return self.kept.pop((service, username), None) is not None


def settings(server: str = "first:8080", **changes: Any) -> Settings:
    return default_settings(proxy=parse_upstreams(server), **changes)


def add(given: Settings, store: Store) -> tuple[Settings, list[str]]:
    warnings: list[str] = []
    return StoredPasswords(store, warnings.append).add_to(given), warnings


def test_the_stored_password_of_the_user_is_used():
    found, warnings = add(settings(username="alice"), Store(alice="pw"))
    assert (found.password, found.nthash, warnings) == (Secret("pw"), None, [])


def test_a_user_without_a_stored_password_changes_nothing():
    given = settings(username="alice")
    assert add(given, Store()) == (given, [])


@pytest.mark.parametrize(
    "changes",
    [
        {"password": PASSWORD, "username": "alice"},
        {"nthash": HASH, "username": "alice"},
        {"auth": AuthPolicy("NONE"), "username": "alice"},
        {"username": ""},
    ],
    ids=["a password is given", "a hash is given", "clients log in", "no user is named"],
)
def test_px_does_not_open_a_keyring_that_it_does_not_need(changes):
    store = Store(alice="pw")
    given = settings("first,bob:his@second", **changes)
    assert add(given, store) == (given, [])
    assert store.asked == []


def test_an_upstream_with_a_user_of_its_own_gets_the_password_of_that_user():
    store = Store(alice="of alice", bob="of bob")
    given = settings("bob@first,carol@second,bob@third,bob:given@fourth,fifth", username="alice")
    found, _ = add(given, store)
    passwords = [upstream.password and upstream.password.reveal() for upstream in found.proxy]
    assert passwords == ["of bob", None, "of bob", "given", None]
    assert found.password == Secret("of alice")
    assert store.asked == ["alice", "bob", "carol"]
    assert "of bob" not in repr(found)


def test_the_user_of_an_upstream_is_looked_up_even_if_a_password_is_given():
    found, _ = add(settings("bob@first", username="alice", password=PASSWORD), Store(bob="of bob"))
    assert found.proxy[0].password == Secret("of bob")
    assert found.password == PASSWORD


CLIENTS: dict[str, Any] = {"client_username": "team", "client_auth": AuthPolicy("ANY")}


def test_the_stored_password_of_clients_is_used():
    store = Store(team="of an upstream")
    store.kept[CLIENT_SERVICE, "team"] = Secret("of clients")
    found, _ = add(settings(username="team", **CLIENTS), store)
    assert (found.client_password, found.password) == (Secret("of clients"), Secret("of an upstream"))


@pytest.mark.parametrize(
    "changes",
    [
        {**CLIENTS, "client_password": PASSWORD},
        {**CLIENTS, "client_auth": AuthPolicy("NONE")},
        {**CLIENTS, "client_username": ""},
    ],
    ids=["a password is given", "clients need no login", "no user is named"],
)
def test_the_password_of_clients_is_looked_up_only_if_needed(changes):
    store = Store()
    given = settings(**changes)
    assert add(given, store) == (given, [])
    assert store.asked == []


def test_a_failing_keyring_causes_one_warning_and_is_not_asked_again():
    store = Store()
    store.failure = SecretStoreError("the keyring is locked", "unlock it")
    given = settings("bob@first,carol@second", username="alice")
    found, warnings = add(given, store)
    assert found == given
    assert warnings == [
        f"warning: no stored password of alice: the keyring is locked; unlock it, or {INSTEAD}."
    ]
    assert store.asked == ["alice"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "--kerberos: Px must know whose ticket to get; give --username=USER@REALM"),
        (
            {"username": "alice"},
            "--kerberos: no password of alice; store it by px --password, or set PX_PASSWORD",
        ),
        (
            {"username": "alice", "nthash": HASH},
            "--kerberos: only the NT hash of alice is set, which works only for NTLM; set PX_PASSWORD",
        ),
        (
            {"username": USER, "password": PASSWORD},
            rf"--kerberos: --username={USER} names no realm; write it",
        ),
    ],
    ids=["no user", "no password", "a hash only", "no realm"],
)
def test_getting_a_ticket_requires_a_user_a_realm_and_a_password(changes, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        add(settings(kerberos=True, **changes), Store())


def test_a_stored_password_is_enough_for_a_ticket():
    found, _ = add(settings(kerberos=True, username="alice@AD.TEST"), Store(**{"alice@AD.TEST": "pw"}))
    assert found.kerberos
    assert found.password == Secret("pw")


def test_a_reload_with_a_locked_keyring_keeps_the_passwords_already_read():
    store, warnings = Store(alice="of alice", bob="of bob"), list[str]()
    passwords = StoredPasswords(store, warnings.append)
    given = settings("bob@first", username="alice")
    before = passwords.add_to(given)
    store.failure = SecretStoreError("the keyring is locked", "unlock it")
    for _ in range(2):
        assert passwords.add_to(given) == before
    assert len(warnings) == 2
    assert passwords.add_to(settings(username="carol")).password is None
    assert repr(passwords) == "<StoredPasswords of carol>"


def test_a_reload_forgets_a_password_that_was_removed():
    store = Store(alice="pw")
    passwords = StoredPasswords(store, pytest.fail)
    given = settings(username="alice")
    assert passwords.add_to(given).password == Secret("pw")
    store.kept.clear()
    assert passwords.add_to(given) == given


def change(account: StoredLogin, store: Store, typed: str) -> list[str]:
    lines: list[str] = []

    def answer(prompt: str) -> Secret:
        lines.append(prompt)
        return Secret(typed)

    change_password(account, store, answer, lines.append)
    return lines


def test_storing_a_password_reports_where_it_is_and_how_to_remove_it():
    store = Store()
    prompt, said = change(upstream_account(settings(username=USER)), store, PASSWORD.reveal())
    assert prompt == f"Password of {USER} (empty: remove the stored one): "
    assert said == (
        f'The password of {USER} is stored in the keyring, as service "Px". '
        "To remove it, run px --password again and enter an empty password."
    )
    assert store.kept == {(UPSTREAM_SERVICE, USER): PASSWORD}


def test_an_empty_answer_removes_the_stored_password():
    store, account = Store(alice="pw"), upstream_account(settings(username="alice"))
    assert change(account, store, "")[1:] == ["The password of alice is removed from the keyring."]
    assert store.kept == {}
    assert change(account, store, "")[1:] == ["No password of alice was stored in the keyring."]


def test_the_password_of_clients_is_stored_under_a_service_of_its_own():
    store = Store(alice="pw")
    account = client_account(settings(username="bob", client_username="alice"))
    assert (
        'as service "PxClient". To remove it, run px --client-password' in change(account, store, "other")[1]
    )
    assert store.kept == {
        (UPSTREAM_SERVICE, "alice"): Secret("pw"),
        (CLIENT_SERVICE, "alice"): Secret("other"),
    }


def test_storing_reports_that_px_client_password_takes_precedence():
    account = client_account(settings(client_username="alice", client_password=PASSWORD))
    assert change(account, Store(), "pw")[-1] == "But PX_CLIENT_PASSWORD is also set, and Px uses it instead."


@pytest.mark.parametrize(
    ("given", "name"), [({"password": PASSWORD}, "PX_PASSWORD"), ({"nthash": HASH}, "PX_NTHASH or nthash")]
)
def test_storing_reports_that_another_secret_takes_precedence(given, name):
    account = upstream_account(settings(username="alice", **given))
    assert change(account, Store(), "pw")[-1] == f"But {name} is also set, and Px uses it instead."
    assert len(change(account, Store(), "")) == 2


def test_without_a_user_the_error_says_how_to_name_one_and_px_asks_nothing():
    with pytest.raises(ConfigError) as caught:
        change_password(upstream_account(settings()), Store(), pytest.fail, pytest.fail)
    assert str(caught.value) == (
        "--password: no user is named; give --username=USER, or set username in px.ini or PX_USERNAME"
    )


@pytest.mark.parametrize(
    ("account_of", "action", "instead"),
    [
        (upstream_account, "--password", INSTEAD),
        (client_account, "--client-password", "set PX_CLIENT_PASSWORD"),
    ],
)
@pytest.mark.parametrize("hint", ["", "unlock it"])
def test_the_error_of_a_keyring_has_advice_and_no_password(account_of, action, instead, hint):
    store = Store()
    store.failure = SecretStoreError("the keyring is locked", hint)
    with pytest.raises(ConfigError) as caught:
        change(account_of(settings(username="alice", client_username="alice")), store, PASSWORD.reveal())
    first = f"{hint}, or " if hint else ""
    assert str(caught.value) == f"{action}: the keyring is locked; {first}{instead}"


def test_a_keyring_that_does_not_keep_the_password_is_an_error():
    store = Store()
    store.forgets = True
    with pytest.raises(ConfigError, match="the keyring did not keep the password; choose another"):
        change(upstream_account(settings(username="alice")), store, PASSWORD.reveal())
