"""What logs in upstream: protocols that `px.system` implements and `px.core.upstream_auth` drives."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

#: `Identity.key` of the logged-in user; no user can have that name.
LOGGED_IN = "<logged-in>"


class Identity(NamedTuple):
    r"""Whom Px logs in as.

    Attributes:
        name: As the user wrote it (``DOMAIN\user``, ``user@REALM``), or a description such as
            "the logged-in user" where the platform decides. Fit for logs and errors.
        key: What tells two identities apart in pools and in the lock-out memory; never a secret.
    """

    name: str
    key: str

    @property
    def is_named(self) -> bool:
        """Whether a user was named; else it is whoever is logged in."""
        return self.key != LOGGED_IN


class TokenSession(Protocol):
    """The tokens of one login on one connection; never shared between connections."""

    @property
    def mechanism(self) -> str:
        """What the tokens are made by: ``kerberos`` or ``ntlm``; for logs and status."""

    @property
    def is_complete(self) -> bool:
        """Whether the token returned last was the final one: the answer to it is a verdict."""

    async def step(self, challenge: bytes | None) -> bytes:
        """Return the next raw token, to be sent base64-encoded after the scheme's name.

        Args:
            challenge: The raw token of the upstream's challenge; None at the start.

        Raises:
            LoginUnusableError: No token can be made (no ticket, KDC unreachable, bad challenge).
            LoginRefusedError: The KDC refused the password (pre-authentication failed).
        """


class OwnTicket(Protocol):
    """A Kerberos ticket that Px gets by the password and keeps to itself, for ``kerberos``."""

    @property
    def renew_at(self) -> float | None:
        """When it is due to be renewed, in seconds since the epoch; None: there is no ticket yet."""

    async def renew(self, hosts: Iterable[str]) -> str:
        """Get the ticket, or a new one in place of it, ready for the upstreams on these hosts.

        Returns:
            Whose ticket it is.

        Raises:
            LoginUnusableError: It cannot be got.
            LoginRefusedError: The KDC refused the password.
        """


class TokenSource(Protocol):
    """Makes the tokens of one identity. Knows the secret; its `repr` does not show it."""

    @property
    def identity(self) -> Identity:
        """Whom the tokens name."""

    @property
    def secret_mark(self) -> str:
        """A short text that changes with the secret (not reversible, a few bits only).

        The lock-out memory compares it over restarts. Of a ticket cache it changes with the tickets;
        empty where nothing is known (SSPI).
        """

    @property
    def own_ticket(self) -> OwnTicket | None:
        """The ticket to be renewed ahead of need, if this source works by one."""

    @property
    def mechanisms(self) -> frozenset[str]:
        """Of ``kerberos``, ``ntlm``, ``digest``, ``basic``: those that may be tried at all."""

    def open_session(self, mechanism: str, host: str, channel_bindings: bytes | None) -> TokenSession:
        """Begin a login by ``kerberos`` or ``ntlm`` at the upstream ``host`` (as the user wrote it).

        Args:
            mechanism: ``kerberos`` (tokens as SPNEGO, RFC 4178/4559) or ``ntlm`` (raw NTLMSSP, MS-NLMP).
            host: Host for the SPN ``HTTP/host``; an IP address means no Kerberos.
            channel_bindings: ``tls-server-end-point:`` data (RFC 5929 4), or None without TLS.

        Raises:
            LoginUnusableError: At once known to be impossible.
        """

    def password_credentials(self) -> tuple[str, str]:
        """Return user name and password in clear for Digest and Basic.

        Raises:
            LoginUnusableError: Only a hash or a ticket is known, or nothing.
        """
