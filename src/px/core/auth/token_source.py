"""The protocols of what makes tokens; `px.system` implements them, `px.core.login.attempt` uses them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

#: `Identity.key` of the logged-in user; no user can have that name.
LOGGED_IN = "<logged-in>"


class Identity(NamedTuple):
    r"""The user that Px logs in as.

    Attributes:
        name: The name as the user wrote it (``DOMAIN\user``, ``user@REALM``), or a description such as
            "the logged-in user" where the platform decides. Logs and errors may show it.
        key: Distinguishes identities in pools and in the lock-out memory; never a secret.
    """

    name: str
    key: str

    @property
    def account(self) -> str:
        r"""The account whose budget the lock-out memory keeps; one account for all spellings of a name.

        ``alice``, ``CORP\alice`` and ``alice@CORP.EXAMPLE`` may be one user of a directory. If they are not,
        a refusal of one delays the logins of the others for a while, which does no harm.
        """
        return self.key.rpartition("\\")[2].partition("@")[0] or self.key

    @property
    def is_named(self) -> bool:
        """Whether the user gave a name; else the identity is the logged-in user."""
        return self.key != LOGGED_IN


class TokenSession(Protocol):
    """The tokens of one login on one connection; never shared between connections."""

    @property
    def mechanism(self) -> str:
        """The mechanism of the tokens, ``kerberos`` or ``ntlm``, for logs and status."""

    @property
    def is_complete(self) -> bool:
        """Whether the last returned token is final: the answer to it is a verdict."""

    async def step(self, challenge: bytes | None) -> bytes:
        """Return the next raw token, to be sent base64-encoded after the scheme's name.

        Args:
            challenge: The raw token of the upstream's challenge; None at the start.

        Raises:
            LoginUnusableError: No token can be made (no ticket, KDC unreachable, bad challenge).
            LoginRefusedError: The KDC refused the password (pre-authentication failed).
        """


class Ticket(NamedTuple):
    """The Kerberos ticket that a source uses.

    Attributes:
        principal: As ``user@REALM``.
        expires_at: Seconds since the epoch.
    """

    principal: str
    expires_at: float


class OwnTicket(Protocol):
    """A Kerberos ticket that Px gets by the password and keeps to itself, for ``kerberos``."""

    @property
    def renew_at(self) -> float | None:
        """When the ticket should be renewed, in seconds since the epoch; None: there is no ticket yet."""

    async def renew(self, hosts: Iterable[str]) -> str:
        """Get a new ticket, ready for the upstreams on these hosts.

        Returns:
            The principal of the ticket.

        Raises:
            LoginUnusableError: There is no new ticket to get now.
            LoginRefusedError: The KDC refused the password.
        """


class TokenSource(Protocol):
    """Makes the tokens of one identity. It knows the secret, but its `repr` does not show it."""

    @property
    def identity(self) -> Identity:
        """The identity that the tokens name."""

    @property
    def secret_mark(self) -> str:
        """A short text that changes with the secret (not reversible, a few bits only).

        The lock-out memory compares marks over restarts. The mark of a ticket cache changes with the tickets;
        the mark is empty where nothing is known (SSPI).
        """

    @property
    def secret_place(self) -> str:
        """Where the password or hash was set (`px.core.auth.password_advice`); empty: there is no secret."""

    @property
    def own_ticket(self) -> OwnTicket | None:
        """The ticket that Px renews before it expires, if this source uses one."""

    @property
    def ticket(self) -> Ticket | None:
        """The ticket that made the last Kerberos token; None: none has, or the platform does not tell."""

    @property
    def mechanisms(self) -> frozenset[str]:
        """The mechanisms that can be tried, of ``kerberos``, ``ntlm``, ``digest``, ``basic``."""

    def open_session(self, mechanism: str, host: str, channel_bindings: bytes | None) -> TokenSession:
        """Begin a login by ``kerberos`` or ``ntlm`` at the upstream ``host`` (as the user wrote it).

        Args:
            mechanism: ``kerberos`` (tokens as SPNEGO, RFC 4178/4559) or ``ntlm`` (raw NTLMSSP, MS-NLMP).
            host: Host for the SPN ``HTTP/host``; an IP address means no Kerberos.
            channel_bindings: ``tls-server-end-point:`` data (RFC 5929 4), or None without TLS.

        Raises:
            LoginUnusableError: Px knows at once that this login is impossible.
        """

    def password_credentials(self) -> tuple[str, str]:
        """Return user name and password in clear for Digest and Basic.

        Raises:
            LoginUnusableError: Px has no password, but perhaps a hash or a ticket.
        """
