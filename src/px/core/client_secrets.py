r"""Who may log in at this Px, and by which secret.

A name may be written ``DOMAIN\user``, ``user@REALM`` or ``user``. Case does not matter in it, as it does not
in Windows; a domain that only one side mentions does not either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from px.core.md4 import nt_hash
from px.core.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable


class ClientName(NamedTuple):
    """A user, and the domain or Kerberos realm; empty: not said."""

    user: str
    domain: str = ""

    @classmethod
    def parse(cls, text: str) -> ClientName:
        """Take a name apart; whatever the text is, it is one."""
        domain, separator, user = text.rpartition("\\")
        if not separator:
            user, separator, domain = text.rpartition("@")
        return cls(user, domain) if separator else cls(text)

    def means(self, other: ClientName) -> bool:
        """Whether this configured name is the one that a client logged in by."""
        return self.user.casefold() == other.user.casefold() and self._is_domain_of(other)

    def _is_domain_of(self, other: ClientName) -> bool:
        """A NetBIOS name is the first label of the realm, unless somebody wanted it otherwise."""
        if not (self.domain and other.domain):
            return True
        mine, others = self.domain.casefold(), other.domain.casefold()
        return mine == others or ("." not in mine and mine == others.partition(".")[0])

    def __str__(self) -> str:
        return f"{self.domain}\\{self.user}" if self.domain else self.user


class ClientSecret:
    """A client's password, and its NT hash, which NTLM works with; its `repr` shows neither.

    Raises:
        LoginUnusableError: The password holds what is no text.
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

        Digest and Basic ask for each request, and anybody may ask for any name: it must be quick, and what it
        remembers bounded.
        """


class OneClientSecret:
    """A store of one password: that of one client, or of all.

    Args:
        password: The one.
        name: Whose it is; None: everybody's.
    """

    def __init__(self, password: Secret, name: ClientName | None) -> None:
        self._secret = ClientSecret(password)
        self._name = name

    async def find(self, name: ClientName) -> ClientSecret | None:
        """See `ClientSecrets.find`."""
        return self._secret if self._name is None or self._name.means(name) else None

    def __repr__(self) -> str:
        return f"<OneClientSecret of {self._name or 'everybody'}>"


class SecretBook:
    """Looks secrets up so that nobody learns which names there are.

    Args:
        store: Of the secrets.
        only: The only client that may log in; None: whomever the store knows.
        make_bytes: Returns so many unpredictable bytes.
    """

    def __init__(
        self, store: ClientSecrets, only: ClientName | None, make_bytes: Callable[[int], bytes]
    ) -> None:
        self._store = store
        self._only = only
        # What a client proves is compared with this where there is nothing to compare with: to refuse an
        # unknown name costs the same and looks the same as to refuse a wrong password.
        self._nobodys = ClientSecret(Secret(make_bytes(16).hex()))

    async def look_up(self, name: ClientName) -> ClientSecret:
        """Return the secret that a client of this name has to know."""
        if self._only is not None and not self._only.means(name):
            return self._nobodys
        return await self._store.find(name) or self._nobodys

    def __repr__(self) -> str:
        return f"<SecretBook {self._store!r}>"
