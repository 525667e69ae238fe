"""The login of one identity: what Px knows of it, and who makes its tokens on this platform.

==============  ====================================  =======================  ==============
known           Kerberos                              NTLM                     Digest, Basic
==============  ====================================  =======================  ==============
nothing         Windows: SSPI; else a ticket cache    Windows: SSPI            -
a user          a ticket cache (not on Windows)       -                        -
and a password  Windows: SSPI; else ticket, password  `px.system.ntlm`         yes
                (``keeps_own_ticket``: password)
and an NT hash  -                                     `px.system.ntlm`         -
==============  ====================================  =======================  ==============
"""

from __future__ import annotations

import hashlib
import ipaddress
import sys
from typing import TYPE_CHECKING

from px.core.errors import LoginUnusableError
from px.core.md4 import nt_hash as hash_password
from px.core.secret import Secret
from px.core.token_source import LOGGED_IN, Identity
from px.system.kerberos import KerberosLogin
from px.system.ntlm import NtlmLogin
from px.system.sspi import SspiLogin

if TYPE_CHECKING:
    from collections.abc import Callable

    from px.core.token_source import OwnTicket, TokenSession, TokenSource
    from px.system.offload import Offload

    _OpenSession = Callable[[str, bytes | None], TokenSession]

#: Costs 4 ms and a megabyte. Of 4096 secrets about one shares a mark: it confirms no guess.
_MARK_SCRYPT = {"n": 1 << 10, "r": 8, "p": 1}
_MARK_HEX_DIGITS = 3


# Excepted: what is known of an identity, and where its tokens are made.
def make_token_source(  # noqa: PLR0913
    *,
    username: str,
    password: str | None,
    nt_hash: bytes | None,
    offload: Offload,
    platform: str = sys.platform,
    workstation: str = "",
    mark_salt: bytes = b"",
    keeps_own_ticket: bool = False,
) -> TokenSource:
    r"""Return the source of one identity's tokens.

    Args:
        username: ``DOMAIN\user``, ``user@REALM`` or ``user``; empty: the logged-in user.
        password: In clear, or None; an empty one counts as none.
        nt_hash: 16 bytes, or None; the password counts when both are known.
        offload: Runs what may block; at its TimeoutError the login is unusable.
        platform: As `sys.platform`.
        workstation: Name that NTLM gives for this computer; empty: its host name.
        mark_salt: Random bytes of this installation, for `TokenSource.secret_mark`.
        keeps_own_ticket: Whether a password is used for a ticket of Px's own, whatever ticket cache there is.

    Raises:
        LoginUnusableError: The password holds what is no text.
    """
    if not username or not (password or nt_hash):
        return _make_without_secret(username, offload, platform)
    secret = Secret(password) if password else None
    hashed = nt_hash if nt_hash and not password else hash_password(password or "")
    ntlm = NtlmLogin(username, Secret(hashed.hex()), workstation, offload)
    openers: dict[str, _OpenSession] = {"ntlm": ntlm.open_session}
    own_ticket = None
    if secret is not None and platform != "win32":
        kerberos = KerberosLogin(username, secret, offload, keeps_own_ticket=keeps_own_ticket)
        openers["kerberos"] = kerberos.open_session
        own_ticket = kerberos if keeps_own_ticket else None
    elif secret is not None:
        openers["kerberos"] = _open_sspi(SspiLogin(username, secret, offload), "kerberos")
    proof = _Proof(secret, hashed, mark_salt)
    return _Tokens(_identify(username), openers, proof, proof.mark, own_ticket)


def _make_without_secret(username: str, offload: Offload, platform: str) -> TokenSource:
    """Return a source that only the platform's own login feeds."""
    if platform != "win32":
        kerberos = KerberosLogin(username, None, offload)
        return _Tokens(_identify(username), {"kerberos": kerberos.open_session}, None, kerberos.mark_tickets)
    openers: dict[str, _OpenSession] = {}
    if not username:
        openers["kerberos"] = _open_sspi(SspiLogin("", None, offload), "kerberos")
        openers["ntlm"] = _open_sspi(SspiLogin("", None, offload), "ntlm")
    return _Tokens(_identify(username), openers, None, str)


def _open_sspi(login: SspiLogin, mechanism: str) -> _OpenSession:
    return lambda host, channel_bindings: login.open_session(mechanism, host, channel_bindings)


def _identify(username: str) -> Identity:
    """Return the identity of a user name; Windows and Active Directory ignore case in them."""
    return Identity(username or "the logged-in user", username.casefold() or LOGGED_IN)


class _Proof:
    """The secret of an identity in its forms; `password` is None when only a hash is known."""

    def __init__(self, password: Secret | None, nt_hash: bytes, mark_salt: bytes) -> None:
        self.password = password
        self._nt_hash = Secret(nt_hash.hex())
        self._mark_salt = mark_salt
        self._mark = ""

    def mark(self) -> str:
        """Return 12 bits of scrypt over the hash: equal for a password and its NT hash."""
        if not self._mark:
            secret = self._nt_hash.reveal().encode()
            digest = hashlib.scrypt(secret, salt=self._mark_salt, dklen=2, **_MARK_SCRYPT)
            self._mark = digest.hex()[:_MARK_HEX_DIGITS]
        return self._mark


class _Tokens:
    """A `px.core.token_source.TokenSource`."""

    def __init__(
        self,
        identity: Identity,
        openers: dict[str, _OpenSession],
        proof: _Proof | None,
        mark: Callable[[], str],
        own_ticket: OwnTicket | None = None,
    ) -> None:
        self._identity = identity
        self._openers = openers
        self._proof = proof
        self._mark = mark
        self._own_ticket = own_ticket

    def __repr__(self) -> str:
        return f"<TokenSource {self._identity.name}: {', '.join(sorted(self.mechanisms)) or 'nothing'}>"

    @property
    def identity(self) -> Identity:
        return self._identity

    @property
    def secret_mark(self) -> str:
        return self._mark()

    @property
    def own_ticket(self) -> OwnTicket | None:
        return self._own_ticket

    @property
    def mechanisms(self) -> frozenset[str]:
        has_password = self._proof is not None and self._proof.password is not None
        return frozenset(self._openers) | (frozenset({"digest", "basic"}) if has_password else frozenset())

    def open_session(self, mechanism: str, host: str, channel_bindings: bytes | None) -> TokenSession:
        opener = self._openers.get(mechanism)
        if opener is None:
            raise self._explain_missing(mechanism)
        name = host.rstrip(".")  # a host with the root's dot is the same one, but no SPN is written so
        if mechanism == "kerberos" and _is_address(name):
            cause = f"Kerberos needs the upstream's name; {host} is an address"
            raise LoginUnusableError(cause, "Name the upstream by its host name.")
        return opener(name, channel_bindings)

    def password_credentials(self) -> tuple[str, str]:
        if self._proof is None or self._proof.password is None:
            raise self._explain_missing("password")
        return self._identity.name, self._proof.password.reveal()

    def _explain_missing(self, mechanism: str) -> LoginUnusableError:
        who = self._identity.name
        if self._proof is not None:
            cause = f"A {mechanism} login needs the password of {who}; only its NT hash is known"
        else:
            cause = f"A {mechanism} login needs a user name and a password; of {who} none is known"
        return LoginUnusableError(cause, "Set --username, and store the password with: px --password")


def _is_address(host: str) -> bool:
    """Tell whether a host is an IP address, in brackets or not, perhaps with a zone (RFC 4007 11)."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
