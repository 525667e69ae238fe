"""NTLM sessions of a client with explicit credentials, the same on every platform."""

from __future__ import annotations

import os
import socket
import time

from px.core.auth.ntlm import messages
from px.core.auth.ntlm.client import NEGOTIATE, NtlmClient
from px.core.auth.ntlm.errors import NtlmError, NtlmMalformedError
from px.core.errors import LoginUnusableError
from px.core.host import MAX_COMPUTER_NAME_CHARS


class NtlmLogin:
    r"""Makes the NTLM sessions of one user.

    Args:
        username: ``DOMAIN\user``, ``user@domain`` or a bare user.
        nt_hash: 16 bytes.
        workstation: Name that Px gives for this computer; empty: its host name, cut as NetBIOS cuts it.
    """

    def __init__(self, username: str, nt_hash: bytes, workstation: str) -> None:
        domain, user = username.split("\\", 1) if "\\" in username else ("", username)
        names = messages.NtlmLogin(user, domain, workstation or _name_computer())
        self._client = NtlmClient(names, nt_hash, os.urandom, time.time)

    def open_session(self, host: str, channel_bindings: bytes | None) -> NtlmSession:
        """Begin a login at the upstream `host`."""
        return NtlmSession(self._client, host, channel_bindings)


class NtlmSession:
    """One NTLM handshake on one connection (a `px.core.auth.token_source.TokenSession`)."""

    mechanism = "ntlm"

    def __init__(self, client: NtlmClient, host: str, channel_bindings: bytes | None) -> None:
        self._client = client
        self._host = host
        self._channel_bindings = channel_bindings
        self._is_open = False
        self.is_complete = False

    def __repr__(self) -> str:
        state = "complete" if self.is_complete else "open" if self._is_open else "new"
        return f"<NtlmSession {state} to {self._host}>"

    async def step(self, challenge: bytes | None) -> bytes:
        """Return the NEGOTIATE message, or the AUTHENTICATE message for a CHALLENGE (see TokenSession)."""
        if challenge is None:
            self._is_open, self.is_complete = True, False
            return NEGOTIATE
        if not self._is_open or self.is_complete:
            raise LoginUnusableError(f"The upstream {self._host} sent an NTLM challenge out of turn")
        try:
            token = self._client.authenticate(challenge, f"HTTP/{self._host}", self._channel_bindings)
        except NtlmMalformedError as error:
            raise LoginUnusableError(f"The upstream {self._host} sent a broken NTLM challenge") from error
        except NtlmError as error:
            raise LoginUnusableError(f"NTLM cannot be used at {self._host}: {error}") from error
        self.is_complete = True
        return token


def _name_computer() -> str:
    return socket.gethostname().partition(".")[0][:MAX_COMPUTER_NAME_CHARS].upper()
