"""The protocol of a store of passwords; `px.system.login.keyring` implements it."""

from __future__ import annotations

from typing import Final, Protocol

from px.core.secret import Secret

#: Service under which passwords for upstreams are stored, also in entries that a user makes by hand.
UPSTREAM_SERVICE: Final = "Px"
#: Service under which the passwords of Px's own clients are stored.
CLIENT_SERVICE: Final = "PxClient"


class SecretStoreError(Exception):
    """The store could not be asked, or failed.

    Args:
        cause: What failed, as a clause without a secret.
        hint: What to do, as a clause; empty: nothing.
    """

    def __init__(self, cause: str, hint: str = "") -> None:
        super().__init__(cause)
        self.cause = cause
        self.hint = hint


class SecretStore(Protocol):
    """Keeps passwords, each under a service and a user name. Its methods block, for a bounded time."""

    @property
    def name(self) -> str:
        """The name by which users know the store.

        Raises:
            SecretStoreError: There is no store.
        """

    def load_password(self, service: str, username: str) -> Secret | None:
        """Return the stored password, or None if no password is stored.

        Raises:
            SecretStoreError: There is no store, it is locked, or it does not answer.
        """

    def store_password(self, service: str, username: str, password: Secret) -> None:
        """Store a password, and replace an earlier one.

        Raises:
            SecretStoreError: As `load_password`.
        """

    def remove_password(self, service: str, username: str) -> bool:
        """Remove a password; return whether there was one.

        Raises:
            SecretStoreError: As `load_password`.
        """
