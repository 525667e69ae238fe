"""Passwords in the operating system's keyring, by the library keyring.

=========  ==============================================================
Windows    Credential Manager; entries made by hand are found, too
macOS      Keychain
Linux      Secret Service over D-Bus (GNOME Keyring, KWallet, KeePassXC)
=========  ==============================================================

A keyring may ask its user to unlock it, and D-Bus may wait for ever for a service that has stalled. So each
call runs in a thread of its own that is left behind when its time is over. While one that was left behind
still waits, further calls fail at once.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Final, TypeVar

from px.core.secret import Secret
from px.core.secret_store import SecretStoreError

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

_T = TypeVar("_T")

#: Class of a backend -> what its users call it.
_NAMES: Final = {
    "keyring.backends.SecretService.Keyring": "the Secret Service (GNOME Keyring, KWallet)",
    "keyring.backends.Windows.WinVaultKeyring": "the Windows Credential Manager",
    "keyring.backends.macOS.Keyring": "the Keychain",
}
_NO_SERVICE: Final = "no Secret Service answers on the D-Bus of this session"
_START_SERVICE: Final = "install gnome-keyring or KWallet and run Px in the session that has unlocked it"


class Keyring:
    """Implements `px.core.secret_store.SecretStore`. Safe to use from several threads.

    Args:
        timeout_seconds: For each call, the import of the library included.
        platform: As `sys.platform`, for the advice in errors.
    """

    def __init__(self, timeout_seconds: float, platform: str = sys.platform) -> None:
        self._timeout_seconds = timeout_seconds
        self._platform = platform
        self._left_behind: threading.Thread | None = None

    def __repr__(self) -> str:
        is_stuck = self._left_behind is not None and self._left_behind.is_alive()
        return f"<Keyring {'stuck' if is_stuck else 'idle'}>"

    @property
    def name(self) -> str:
        """What the user knows the keyring as."""
        return self._call(lambda keyring: _NAMES.get(_class_of(keyring), keyring.name))

    def load_password(self, service: str, username: str) -> Secret | None:
        """Return the stored password; see `px.core.secret_store.SecretStore`."""
        text = self._call(lambda keyring: keyring.get_password(service, username))
        return Secret(text) if text else None

    def store_password(self, service: str, username: str, password: Secret) -> None:
        """Store a password; see `px.core.secret_store.SecretStore`."""
        self._call(lambda keyring: keyring.set_password(service, username, password.reveal()))

    def remove_password(self, service: str, username: str) -> bool:
        """Remove a password; see `px.core.secret_store.SecretStore`."""
        return self._call(lambda keyring: _remove(keyring, service, username))

    def _call(self, work: Callable[[KeyringBackend], _T]) -> _T:
        if self._left_behind is not None and self._left_behind.is_alive():
            raise self._say_silent()
        result: Future[_T] = Future()
        thread = threading.Thread(target=_run, args=(work, result), name="px-keyring", daemon=True)
        thread.start()
        try:
            return result.result(self._timeout_seconds)
        except TimeoutError:
            self._left_behind = thread
            raise self._say_silent() from None
        except Exception as error:  # noqa: BLE001 - each backend raises errors of its own
            raise self._explain(error) from None

    def _say_silent(self) -> SecretStoreError:
        cause = f"the system's keyring did not answer within {self._timeout_seconds:g} s"
        return SecretStoreError(cause, "unlock it if it waits for that")

    def _explain(self, error: Exception) -> SecretStoreError:
        """Return what a backend's error means: its class tells; else its text is shown."""
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
    except Exception as error:  # noqa: BLE001 - it is raised again where it is waited for
        result.set_exception(error)


def _find_backend() -> KeyringBackend:
    """Return the keyring that the user has chosen for the library, else the system's own.

    Never one that the library does not recommend (a file in plain text), unless the user has chosen it.
    """
    import keyring.backends.fail  # noqa: PLC0415 - 0.2 s, in a thread
    import keyring.core  # noqa: PLC0415
    import keyring.errors  # noqa: PLC0415

    with contextlib.suppress(KeyError):  # at the first call there is nothing to forget
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
