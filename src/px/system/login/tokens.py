"""The token source of one identity: which library makes its tokens, by platform and by what Px knows.

==============  ====================================  =======================  ==============
known           Kerberos                              NTLM                     Digest, Basic
==============  ====================================  =======================  ==============
nothing         Windows: SSPI; else a ticket cache    Windows: SSPI            -
a user          a ticket cache (not on Windows)       -                        -
and a password  Windows: SSPI; else ticket, password  `px.system.login.ntlm`         yes
                (``keeps_own_ticket``: password)
and an NT hash  -                                     `px.system.login.ntlm`         -
==============  ====================================  =======================  ==============
"""

from __future__ import annotations

import hashlib
import ipaddress
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from px.core.auth.ntlm.md4 import nt_hash as hash_password
from px.core.auth.password_advice import advise_missing
from px.core.auth.token_source import LOGGED_IN, Identity
from px.core.errors import LoginUnusableError
from px.core.secret import Secret
from px.system.login.kerberos import KerberosLogin
from px.system.login.ntlm import NtlmLogin
from px.system.login.sspi import SspiLogin

if TYPE_CHECKING:
    from collections.abc import Callable

    from px.core.auth.token_source import OwnTicket, Ticket, TokenSession, TokenSource
    from px.io.thread_lane import RunInThread

    _OpenSession = Callable[[str, bytes | None], TokenSession]

#: This costs 4 ms and a megabyte. One of 4096 secrets has the same mark, so a mark confirms no guess.
_MARK_SCRYPT = {"n": 1 << 10, "r": 8, "p": 1}
_MARK_HEX_DIGITS = 3


# Excepted: what Px knows about an identity, and what makes its tokens.
def make_token_source(  # noqa: PLR0913
    *,
    username: str,
    password: str | None,
    nt_hash: bytes | None,
    run_in_thread: RunInThread,
    platform: str = sys.platform,
    workstation: str = "",
    mark_salt: bytes = b"",
    keeps_own_ticket: bool = False,
    secret_place: str = "",
) -> TokenSource:
    r"""Return the source of one identity's tokens.

    Args:
        username: ``DOMAIN\user``, ``user@REALM`` or ``user``; empty: the logged-in user.
        password: In clear, or None; an empty password means None.
        nt_hash: 16 bytes, or None; ignored if there is a password.
        run_in_thread: Runs calls that may block; after its TimeoutError the login is unusable.
        platform: As `sys.platform`.
        workstation: Name of this computer in NTLM messages; empty: its host name.
        mark_salt: Random bytes of this installation, for `TokenSource.secret_mark`.
        keeps_own_ticket: Whether Px gets its own ticket with the password, even if there is a ticket cache.
        secret_place: Where the password or hash was set, even if Px cannot use it.

    Raises:
        LoginUnusableError: The password holds bytes that are not text.
    """
    if not username or not (password or nt_hash):
        return _make_without_secret(username, run_in_thread, platform, secret_place)
    secret = Secret(password, secret_place) if password else None
    hashed = nt_hash if nt_hash and not password else hash_password(password or "")
    ntlm = NtlmLogin(username, hashed, workstation)
    openers: dict[str, _OpenSession] = {"ntlm": ntlm.open_session}
    own_ticket: KerberosLogin | None = None
    kerberos: KerberosLogin | None = None
    if secret is not None and platform != "win32":
        kerberos = KerberosLogin(username, secret, run_in_thread, keeps_own_ticket=keeps_own_ticket)
        openers["kerberos"] = kerberos.open_session
        own_ticket = kerberos if keeps_own_ticket else None
    elif secret is not None:
        openers["kerberos"] = _open_sspi(SspiLogin(username, secret, run_in_thread), "kerberos")
    secrets = _SecretForms(secret, hashed, mark_salt)
    tickets = _Tickets(kerberos, own_ticket)
    return _Tokens(_identify(username), openers, secrets, secrets.mark, secret_place, tickets)


def _make_without_secret(username: str, run_in_thread: RunInThread, platform: str, place: str) -> TokenSource:
    """Return a source that uses the platform's own login."""
    if platform != "win32":
        kerberos = KerberosLogin(username, None, run_in_thread)
        openers: dict[str, _OpenSession] = {"kerberos": kerberos.open_session}
        tickets = _Tickets(kerberos, None)
        return _Tokens(_identify(username), openers, None, kerberos.mark_tickets, place, tickets)
    openers = {}
    if not username:
        openers["kerberos"] = _open_sspi(SspiLogin("", None, run_in_thread), "kerberos")
        openers["ntlm"] = _open_sspi(SspiLogin("", None, run_in_thread), "ntlm")
    return _Tokens(_identify(username), openers, None, str, place, _Tickets(None, None))


def _open_sspi(login: SspiLogin, mechanism: str) -> _OpenSession:
    return lambda host, channel_bindings: login.open_session(mechanism, host, channel_bindings)


def _identify(username: str) -> Identity:
    """Return the identity of a user name; Windows and Active Directory ignore case in them."""
    return Identity(username or "the logged-in user", username.casefold() or LOGGED_IN)


class _SecretForms:
    """The password and the NT hash of an identity; `password` is None when only the hash is known."""

    def __init__(self, password: Secret | None, nt_hash: bytes, mark_salt: bytes) -> None:
        self.password = password
        self._nt_hash = Secret(nt_hash.hex())
        self._mark_salt = mark_salt
        self._mark = ""

    def mark(self) -> str:
        """Return 12 bits of scrypt over the NT hash, so that a password and its hash have one mark."""
        if not self._mark:
            secret = self._nt_hash.reveal().encode()
            digest = hashlib.scrypt(secret, salt=self._mark_salt, dklen=2, **_MARK_SCRYPT)
            self._mark = digest.hex()[:_MARK_HEX_DIGITS]
        return self._mark


@dataclass(frozen=True)
class _Tickets:
    """Where the Kerberos tickets of an identity come from.

    Attributes:
        login: Knows the ticket in use; None: the platform, or nothing.
        own: The same, if Px renews its tickets; else None.
    """

    login: KerberosLogin | None
    own: OwnTicket | None


class _Tokens:
    """A `px.core.auth.token_source.TokenSource`."""

    def __init__(
        self,
        identity: Identity,
        openers: dict[str, _OpenSession],
        secrets: _SecretForms | None,
        mark: Callable[[], str],
        secret_place: str,
        tickets: _Tickets,
    ) -> None:
        self._identity = identity
        self._openers = openers
        self._secrets = secrets
        self._mark = mark
        self._secret_place = secret_place
        self._tickets = tickets

    def __repr__(self) -> str:
        return f"<TokenSource {self._identity.name}: {', '.join(sorted(self.mechanisms)) or 'nothing'}>"

    @property
    def identity(self) -> Identity:
        return self._identity

    @property
    def secret_mark(self) -> str:
        return self._mark()

    @property
    def secret_place(self) -> str:
        return self._secret_place

    @property
    def own_ticket(self) -> OwnTicket | None:
        return self._tickets.own

    @property
    def ticket(self) -> Ticket | None:
        return self._tickets.login.ticket if self._tickets.login is not None else None

    @property
    def mechanisms(self) -> frozenset[str]:
        has_password = self._secrets is not None and self._secrets.password is not None
        return frozenset(self._openers) | (frozenset({"digest", "basic"}) if has_password else frozenset())

    def open_session(self, mechanism: str, host: str, channel_bindings: bytes | None) -> TokenSession:
        opener = self._openers.get(mechanism)
        if opener is None:
            raise self._explain_missing(mechanism)
        name = host.rstrip(".")  # a trailing dot means the same host, but an SPN has none
        if mechanism == "kerberos" and _is_address(name):
            cause = f"Kerberos needs the upstream's name; {host} is an address"
            raise LoginUnusableError(cause, "Name the upstream by its host name.")
        return opener(name, channel_bindings)

    def password_credentials(self) -> tuple[str, str]:
        if self._secrets is None or self._secrets.password is None:
            raise self._explain_missing("password")
        return self._identity.name, self._secrets.password.reveal()

    def _explain_missing(self, mechanism: str) -> LoginUnusableError:
        name = self._identity.name
        if self._secrets is not None:
            cause = f"A {mechanism} login needs the password of {name}, but Px has only its NT hash"
        else:
            cause = f"A {mechanism} login needs a user name and a password, and Px has none for {name}"
        return LoginUnusableError(cause, advise_missing(self))


def _is_address(host: str) -> bool:
    """Whether a host is an IP address, in brackets or not, perhaps with a zone (RFC 4007 11)."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
