"""Passwords in the keyring of the operating system, through the library `keyring`.

=========  ==============================================================
Windows    Credential Manager; also entries that the user made by hand
macOS      Keychain
Linux      Secret Service over D-Bus (GNOME Keyring, KWallet, KeePassXC)
=========  ==============================================================

A keyring may ask its user to unlock it, and D-Bus may wait for ever for a service that has stalled. So each
call runs in a thread of its own, and Px abandons the thread when its time is over. While an abandoned thread
still waits, further calls fail at once.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Final, TypeVar

from px.core.auth.password_advice import IN_KEYRING
from px.core.auth.secret_store import SecretStoreError
from px.core.secret import Secret

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

_T = TypeVar("_T")

#: Class of a backend -> the name that users know.
_NAMES: Final = {
    "keyring.backends.SecretService.Keyring": "the Secret Service (GNOME Keyring, KWallet)",
    "keyring.backends.Windows.WinVaultKeyring": "the Windows Credential Manager",
    "keyring.backends.macOS.Keyring": "the Keychain",
}
_NO_SERVICE: Final = "no Secret Service answers on the D-Bus of this session"
_START_SERVICE: Final = "install gnome-keyring or KWallet and run Px in the session that has unlocked it"


class Keyring:
    """Implements `px.core.auth.secret_store.SecretStore`. Safe to use from several threads.

    Args:
        timeout_seconds: For each call, including the import of the library.
        platform: As `sys.platform`, for the advice in errors.
    """

    def __init__(self, timeout_seconds: float, platform: str = sys.platform) -> None:
        self._timeout_seconds = timeout_seconds
        self._platform = platform
        self._abandoned: threading.Thread | None = None

    def __repr__(self) -> str:
        is_stuck = self._abandoned is not None and self._abandoned.is_alive()
        return f"<Keyring {'stuck' if is_stuck else 'idle'}>"

    @property
    def name(self) -> str:
        """The name by which users know the keyring."""
        return self._call(lambda keyring: _NAMES.get(_class_of(keyring), keyring.name))

    def load_password(self, service: str, username: str) -> Secret | None:
        """Return the stored password; see `px.core.auth.secret_store.SecretStore`."""
        text = self._call(lambda keyring: keyring.get_password(service, username))
        return Secret(text, IN_KEYRING) if text else None

    def store_password(self, service: str, username: str, password: Secret) -> None:
        """Store a password; see `px.core.auth.secret_store.SecretStore`."""
        self._call(lambda keyring: keyring.set_password(service, username, password.reveal()))

    def remove_password(self, service: str, username: str) -> bool:
        """Remove a password; see `px.core.auth.secret_store.SecretStore`."""
        return self._call(lambda keyring: _remove(keyring, service, username))

    def _call(self, work: Callable[[KeyringBackend], _T]) -> _T:
        if self._abandoned is not None and self._abandoned.is_alive():
            raise self._explain_silence()
        result: Future[_T] = Future()
        thread = threading.Thread(target=_run, args=(work, result), name="px-keyring", daemon=True)
        thread.start()
        try:
            return result.result(self._timeout_seconds)
        except TimeoutError:
            self._abandoned = thread
            raise self._explain_silence() from None
        except Exception as error:  # noqa: BLE001 - each backend raises errors of its own
            raise self._explain(error) from None

    def _explain_silence(self) -> SecretStoreError:
        cause = f"the system's keyring did not answer within {self._timeout_seconds:g} s"
        return SecretStoreError(cause, "unlock it if it waits for that")

    def _explain(self, error: Exception) -> SecretStoreError:
        """Return the error that a backend's class of error means; if none, one with its text."""
        if isinstance(error, ImportError):
            return SecretStoreError(f"keyrings cannot be used ({error})", "install Px with its dependencies")
        from keyring.errors import KeyringLocked, NoKeyringError  # noqa: PLC0415 - it has been loaded by now

        if isinstance(error, NoKeyringError) and self._platform == "linux":
            return SecretStoreError(f"there is no keyring here: {_NO_SERVICE}", _START_SERVICE)
        if isinstance(error, NoKeyringError):
            return SecretStoreError("there is no keyring here")
        if isinstance(error, KeyringLocked):
            return SecretStoreError("the system's keyring is locked", "unlock it")
        return SecretStoreError(f"the system's keyring failed ({type(error).__name__}: {error})")


def _run(work: Callable[[KeyringBackend], _T], result: Future[_T]) -> None:
    try:
        result.set_result(work(_find_backend()))
    except Exception as error:  # noqa: BLE001 - raised again in the thread that waits for the result
        result.set_exception(error)


def _find_backend() -> KeyringBackend:
    """Return the keyring that the user has configured for the library, else the system's own.

    A keyring that the library does not recommend (a file in plain text) is used only if the user configured
    it.
    """
    import keyring.backends.fail  # noqa: PLC0415 - 0.2 s, in a thread
    import keyring.core  # noqa: PLC0415
    import keyring.errors  # noqa: PLC0415

    with contextlib.suppress(KeyError):  # at the first call nothing is cached
        keyring.backend.get_all_keyring.reset()  # a D-Bus session may have begun or ended since
    keyring.core.init_backend(keyring.core.recommended)
    found = keyring.core.get_keyring()
    if isinstance(found, keyring.backends.fail.Keyring):
        raise keyring.errors.NoKeyringError
    return found


def _remove(keyring: KeyringBackend, service: str, username: str) -> bool:
    if keyring.get_password(service, username) is None:
        return False
    keyring.delete_password(service, username)
    return True


def _class_of(keyring: KeyringBackend) -> str:
    return f"{type(keyring).__module__}.{type(keyring).__qualname__}"
