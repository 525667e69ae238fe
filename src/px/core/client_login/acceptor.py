"""Verifies a client's login by NTLM or Kerberos: one `ClientAcceptor` for each login of a connection.

The acceptors of `px.system.client_login.acceptors` ask the operating system; the one here knows the password.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from px.core.auth.ntlm.errors import NtlmError
from px.core.auth.ntlm.messages import NEGOTIATE_TYPE, message_type, read_login
from px.core.auth.ntlm.verifier import NtlmHandshake
from px.core.client_login.password_lookup import ClientName, PasswordLookup

#: NetBIOS name that Px gives in its challenges.
_TARGET_NAME = "PX"


class ClientRefusedError(Exception):
    """The login of a client was refused; the text says why, for the log, and contains no secret."""


class Acceptance(NamedTuple):
    """The result of one step of a login.

    Attributes:
        token: To send to the client; empty: none.
        user: The user who is logged in, as `ClientName.parse` reads it; empty: the client has to go on.
    """

    token: bytes
    user: str


class ClientAcceptor(Protocol):
    """Verifies one login of one connection."""

    async def step(self, token: bytes) -> Acceptance:
        """Return what a raw token of the mechanism leads to (NTLM, or Kerberos as in RFC 4121).

        Raises:
            ClientRefusedError: The login is refused.
            TimeoutError: The system that verifies the login does not answer.
        """


#: Begins a login.
OpenAcceptor = Callable[[], ClientAcceptor]


class NtlmAcceptor:
    """NTLM with a password that Px knows.

    Args:
        passwords: Looks up the passwords of clients.
        make_bytes: Returns this many unpredictable bytes.
        now: Seconds since 1970.
    """

    def __init__(
        self, passwords: PasswordLookup, make_bytes: Callable[[int], bytes], now: Callable[[], float]
    ) -> None:
        self._passwords = passwords
        self._handshake = NtlmHandshake(_TARGET_NAME, make_bytes, now)

    async def step(self, token: bytes) -> Acceptance:
        """See `ClientAcceptor.step`."""
        try:
            if message_type(token) == NEGOTIATE_TYPE:
                return Acceptance(self._handshake.challenge(token), "")
            return await self._verify(token)
        except NtlmError as error:
            raise ClientRefusedError(str(error)) from error

    async def _verify(self, token: bytes) -> Acceptance:
        claimed = read_login(token)
        name = ClientName(claimed.user, claimed.domain) if claimed.domain else ClientName.parse(claimed.user)
        secret = await self._passwords.look_up(name)
        self._handshake.verify(token, lambda *_: secret.nt_hash)
        return Acceptance(b"", str(name))

    def __repr__(self) -> str:
        return f"<NtlmAcceptor {self._handshake!r}>"
