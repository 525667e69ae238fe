"""Passwords in the keyring of the system."""

from __future__ import annotations

import gc
import importlib
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from px.core.auth.secret_store import CLIENT_SERVICE, UPSTREAM_SERVICE, SecretStoreError
from px.core.secret import Secret
from px.system.login.keyring import Keyring
from tests.secret_service import Session, dbus_session

USER = "CORP\\jürgen"
PASSWORD = Secret("Pässwörd1€ ")

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="a Secret Service on D-Bus is Linux's")
windows_only = pytest.mark.skipif(sys.platform != "win32", reason="the Credential Manager is Windows'")


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """Log in to a D-Bus session, on which there is no keyring yet."""
    with dbus_session(tmp_path / "session") as session:
        for name, value in session.environment.items():
            monkeypatch.setenv(name, value)
        yield session
    with warnings.catch_warnings():  # where it fails, the library leaves its sockets to the collector
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def keyring(timeout_seconds: float = 10.0) -> Keyring:
    return Keyring(timeout_seconds)


def check_keeps_passwords(store: Keyring) -> None:
    """Store, read and remove passwords of both services; leaves none behind."""
    assert store.load_password(UPSTREAM_SERVICE, USER) is None
    store.store_password(UPSTREAM_SERVICE, USER, Secret("of before"))
    store.store_password(UPSTREAM_SERVICE, USER, PASSWORD)
    store.store_password(UPSTREAM_SERVICE, "other", Secret("another"))
    store.store_password(CLIENT_SERVICE, USER, Secret("of a client"))
    assert store.load_password(UPSTREAM_SERVICE, USER) == PASSWORD
    assert store.load_password(UPSTREAM_SERVICE, "other") == Secret("another")
    assert store.load_password(CLIENT_SERVICE, USER) == Secret("of a client")
    for service, user in ((UPSTREAM_SERVICE, USER), (UPSTREAM_SERVICE, "other"), (CLIENT_SERVICE, USER)):
        assert store.remove_password(service, user)
        assert store.load_password(service, user) is None
        assert not store.remove_password(service, user)


@linux_only
def test_a_secret_service_keeps_passwords(session):
    with session.gnome_keyring():
        assert keyring().name == "the Secret Service (GNOME Keyring, KWallet)"
        check_keeps_passwords(keyring())


@linux_only
def test_a_password_outlives_the_session(session):
    with session.gnome_keyring():
        keyring().store_password(UPSTREAM_SERVICE, USER, PASSWORD)
    with session.gnome_keyring():
        assert keyring().load_password(UPSTREAM_SERVICE, USER) == PASSWORD


@linux_only
def test_a_locked_keyring_has_a_name_and_returns_no_password(session):
    with session.gnome_keyring():
        keyring().store_password(UPSTREAM_SERVICE, USER, PASSWORD)
    with (
        session.gnome_keyring(is_unlocked=False),
        pytest.raises(SecretStoreError, match="is locked") as caught,
    ):
        keyring().load_password(UPSTREAM_SERVICE, USER)
    assert caught.value.hint == "unlock it"


@linux_only
def test_a_service_that_never_answers_is_given_up_and_not_asked_again_meanwhile(session):
    with session.silent_service() as next_asked:
        store = keyring(timeout_seconds=0.5)
        with pytest.raises(SecretStoreError, match=r"did not answer within 0\.5 s"):
            store.load_password(UPSTREAM_SERVICE, USER)
        assert next_asked() == "Get"  # a property
        before = threading.active_count()
        started = time.monotonic()
        with pytest.raises(SecretStoreError, match="did not answer"):
            store.load_password(UPSTREAM_SERVICE, USER)
        assert time.monotonic() - started < 0.1
        assert threading.active_count() == before
        assert repr(store) == "<Keyring stuck>"


@linux_only
def test_without_a_secret_service_the_error_says_what_to_install(session):
    for call in (lambda: keyring().load_password(UPSTREAM_SERVICE, USER), lambda: keyring().name):
        with pytest.raises(SecretStoreError, match="no Secret Service answers on the D-Bus") as caught:
            call()
        for way in ("gnome-keyring", "KWallet"):
            assert way in caught.value.hint


@windows_only
def test_the_credential_manager_keeps_passwords():
    assert keyring().name == "the Windows Credential Manager"
    check_keeps_passwords(keyring())


@windows_only
def test_an_entry_made_by_hand_under_the_target_px_is_found():
    credentials = importlib.import_module("win32ctypes.pywin32.win32cred")
    by_hand = {
        "Type": credentials.CRED_TYPE_GENERIC,
        "TargetName": "Px",
        "UserName": USER,
        "CredentialBlob": PASSWORD.reveal(),
        "Persist": credentials.CRED_PERSIST_ENTERPRISE,
    }
    credentials.CredWrite(by_hand, 0)
    try:
        assert keyring().load_password(UPSTREAM_SERVICE, USER) == PASSWORD
        assert keyring().load_password(UPSTREAM_SERVICE, "other") is None
    finally:
        assert keyring().remove_password(UPSTREAM_SERVICE, USER)


BACKENDS = '''
from keyring.backend import KeyringBackend

class PlainText(KeyringBackend):
    """A backend that the library does not recommend, such as a file in plain text."""

    priority = 0.5
    kept = {}

    def get_password(self, service, username):
        return self.kept.get((service, username))

    def set_password(self, service, username, password):
        self.kept[service, username] = password

    def delete_password(self, service, username):
        del self.kept[service, username]

class Failing(PlainText):
    def get_password(self, service, username):
        raise OSError("the disk is gone")
'''


@pytest.fixture
def choose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Choose a keyring of the library by name, as a user can."""
    (tmp_path / "made_up_keyrings.py").write_text(BACKENDS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(os.environ, "DBUS_SESSION_BUS_ADDRESS", "unix:path=/nobody/here")

    def choose_by_name(name: str) -> None:
        monkeypatch.setenv("PYTHON_KEYRING_BACKEND", f"made_up_keyrings.{name}")

    return choose_by_name


def test_a_keyring_in_plain_text_is_used_when_the_user_has_chosen_it(choose):
    choose("PlainText")
    check_keeps_passwords(keyring())


@linux_only
def test_a_keyring_in_plain_text_is_never_used_by_itself(choose):
    importlib.import_module("made_up_keyrings")  # now the library knows of it
    with pytest.raises(SecretStoreError, match="no keyring here"):
        keyring().store_password(UPSTREAM_SERVICE, USER, PASSWORD)


def test_the_error_of_a_keyring_is_shown(choose):
    choose("Failing")
    with pytest.raises(SecretStoreError, match=r"failed \(OSError: the disk is gone\)"):
        keyring().load_password(UPSTREAM_SERVICE, USER)


def test_without_the_library_the_error_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "keyring.core", None)
    with pytest.raises(SecretStoreError, match="keyrings cannot be used") as caught:
        keyring().load_password(UPSTREAM_SERVICE, USER)
    assert caught.value.hint == "install Px with its dependencies"


def test_the_library_is_loaded_only_when_it_is_asked():
    code = "import sys, px.app.px; print([name for name in sys.modules if name.startswith('keyring')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
