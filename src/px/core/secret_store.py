"""Where passwords are kept for Px: the protocol that `px.system.credentials` implements."""

from __future__ import annotations

from typing import Final, Protocol

from px.core.secret import Secret

#: Service that passwords for upstreams are stored under; what a user who makes an entry by hand calls it.
UPSTREAM_SERVICE: Final = "Px"
#: Service that the passwords of Px's own clients are stored under.
CLIENT_SERVICE: Final = "PxClient"


class SecretStoreError(Exception):
    """The store could not be asked, or did not do it.

    Args:
        cause: What failed: a clause, no secret in it.
        mend: What to do about it: a clause. Empty: nothing.
    """

    def __init__(self, cause: str, mend: str = "") -> None:
        super().__init__(cause)
        self.cause = cause
        self.mend = mend


class SecretStore(Protocol):
    """Keeps passwords, each under a service and a user name. Its methods block, for a bounded time."""

    @property
    def name(self) -> str:
        """What the user knows the store as.

        Raises:
            SecretStoreError: There is none.
        """

    def load_password(self, service: str, username: str) -> Secret | None:
        """Return the stored password, or None if there is none.

        Raises:
            SecretStoreError: There is no store, it is locked, or it does not answer.
        """

    def store_password(self, service: str, username: str, password: Secret) -> None:
        """Store a password in place of the one before.

        Raises:
            SecretStoreError: As `load_password`.
        """

    def remove_password(self, service: str, username: str) -> bool:
        """Remove a password; return whether there was one.

        Raises:
            SecretStoreError: As `load_password`.
        """
