r"""The clients that may log in at this Px, and their secrets.

A name may be written ``DOMAIN\user``, ``user@REALM`` or ``user``. Its case does not matter, as in Windows. A
domain does not matter either if only one of two names has one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from px.core.auth.ntlm.md4 import nt_hash
from px.core.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable


class ClientName(NamedTuple):
    """A user, and the domain or Kerberos realm; empty: not given."""

    user: str
    domain: str = ""

    @classmethod
    def parse(cls, text: str) -> ClientName:
        """Return the name that a text means; every text is a name."""
        domain, separator, user = text.rpartition("\\")
        if not separator:
            user, separator, domain = text.rpartition("@")
        return cls(user, domain) if separator else cls(text)

    def matches(self, other: ClientName) -> bool:
        """Whether a client that logged in as `other` has this configured name."""
        return self.user.casefold() == other.user.casefold() and self._is_domain_of(other)

    def _is_domain_of(self, other: ClientName) -> bool:
        """Whether the domains fit: a NetBIOS name is usually the first label of the realm."""
        if not (self.domain and other.domain):
            return True
        mine, others = self.domain.casefold(), other.domain.casefold()
        return mine == others or ("." not in mine and mine == others.partition(".")[0])

    def __str__(self) -> str:
        return f"{self.domain}\\{self.user}" if self.domain else self.user


class ClientSecret:
    """A client's password, and the NT hash for NTLM; the `repr` shows neither.

    Raises:
        LoginUnusableError: The password holds bytes that are not text.
    """

    __slots__ = ("nt_hash", "password")

    def __init__(self, password: Secret) -> None:
        self.password = password.reveal().encode("utf-8", "surrogateescape")
        self.nt_hash = nt_hash(password.reveal())

    def __repr__(self) -> str:
        return "<ClientSecret ***>"


class ClientSecrets(Protocol):
    """A store of clients' passwords."""

    async def find(self, name: ClientName) -> ClientSecret | None:
        """Return the secret of a client; None: not known.

        Digest and Basic ask for each request, and any caller may send any name. So this must be quick, and
        must remember a bounded number of names.
        """


class OneClientSecret:
    """A store of one password, for one client or for all clients.

    Args:
        password: The password.
        name: The client; None: all clients.
    """

    def __init__(self, password: Secret, name: ClientName | None) -> None:
        self._secret = ClientSecret(password)
        self._name = name

    async def find(self, name: ClientName) -> ClientSecret | None:
        """See `ClientSecrets.find`."""
        return self._secret if self._name is None or self._name.matches(name) else None

    def __repr__(self) -> str:
        return f"<OneClientSecret of {self._name or 'all clients'}>"


class PasswordLookup:
    """Looks secrets up in a way that does not show which names exist.

    Args:
        store: Has the secrets.
        only: The only client that may log in; None: every client that the store knows.
        make_bytes: Returns this many unpredictable bytes.
    """

    def __init__(
        self, store: ClientSecrets, only: ClientName | None, make_bytes: Callable[[int], bytes]
    ) -> None:
        self._store = store
        self._only = only
        # Px compares the login of an unknown name with this secret. So a refusal takes the same time and
        # looks the same as that of a wrong password.
        self._decoy = ClientSecret(Secret(make_bytes(16).hex()))

    async def look_up(self, name: ClientName) -> ClientSecret:
        """Return the secret that a client of this name must know; for an unknown name, a random one."""
        if self._only is not None and not self._only.matches(name):
            return self._decoy
        return await self._store.find(name) or self._decoy

    def __repr__(self) -> str:
        return f"<PasswordLookup {self._store!r}>"
