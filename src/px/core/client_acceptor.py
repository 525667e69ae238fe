"""What verifies a client's login of its connection, by NTLM or Kerberos: one `ClientAcceptor` a login.

`px.system.client_acceptors` has those that ask the operating system; the one here knows the password.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from px.core.client_secrets import ClientName, SecretBook
from px.core.ntlm_verify import NEGOTIATE_TYPE, NtlmError, NtlmHandshake, message_type, read_login

#: NetBIOS name that Px challenges by.
_TARGET_NAME = "PX"


class ClientRefusedError(Exception):
    """A login that proves nothing; the text says why, for the log, and holds no secret."""


class Acceptance(NamedTuple):
    """What a step of a login came to.

    Attributes:
        token: For the client; empty: none.
        user: Who is logged in, as `ClientName.parse` reads it; empty: the client has to go on.
    """

    token: bytes
    user: str


class ClientAcceptor(Protocol):
    """Verifies one login of one connection."""

    async def step(self, token: bytes) -> Acceptance:
        """Take a raw token of the mechanism (NTLM, or Kerberos as in RFC 4121).

        Raises:
            ClientRefusedError: It proves nothing.
            TimeoutError: Whoever has to be asked does not answer.
        """


#: Begins a login.
OpenAcceptor = Callable[[], ClientAcceptor]


class NtlmAcceptor:
    """NTLM with a password that Px knows.

    Args:
        book: Of the passwords.
        make_bytes: Returns so many unpredictable bytes.
        now: Seconds since 1970.
    """

    def __init__(
        self, book: SecretBook, make_bytes: Callable[[int], bytes], now: Callable[[], float]
    ) -> None:
        self._book = book
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
        secret = await self._book.look_up(name)
        self._handshake.verify(token, lambda *_: secret.nt_hash)
        return Acceptance(b"", str(name))

    def __repr__(self) -> str:
        return f"<NtlmAcceptor {self._handshake!r}>"
