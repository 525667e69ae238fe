"""NTLM messages of a client with explicit credentials (MS-NLMP), by pyspnego, on every platform.

pyspnego answers with NTLMv2, adds the SPN to the response, and adds a MIC where the challenge has a timestamp
(MS-NLMP 3.1.5.1.2). Px gives it the NT hash, not the password: hashing would cost a third of a handshake.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
from typing import TYPE_CHECKING, Any

from px.core.auth.ntlm.proof import upcase_name
from px.core.errors import LoginUnusableError
from px.core.host import MAX_COMPUTER_NAME_CHARS

if TYPE_CHECKING:
    from px.core.secret import Secret
    from px.io.thread_lane import RunInThread


#: The fixed fields of a CHALLENGE_MESSAGE (MS-NLMP 2.2.1.2), today and in the first version of NTLM.
_CHALLENGE_BYTES, _SHORT_CHALLENGE_BYTES = 48, 32
_TARGET_NAME_LENGTH = slice(12, 14)


class NtlmLogin:
    r"""Makes the NTLM sessions of one user.

    Args:
        username: ``DOMAIN\user``, ``user@domain`` or a bare user.
        nt_hash: 32 hex digits.
        workstation: Name that Px gives for this computer; empty: its host name, cut as NetBIOS cuts it.
        run_in_thread: Used once, for the import of pyspnego (0.2 s). A handshake (0.2 ms) stays in this
            thread.
    """

    def __init__(self, username: str, nt_hash: Secret, workstation: str, run_in_thread: RunInThread) -> None:
        self._username = _WindowsName(username)
        self._nt_hash = nt_hash
        self._workstation = workstation or _name_computer()
        self._run_in_thread = run_in_thread

    def open_session(self, host: str, channel_bindings: bytes | None) -> NtlmSession:
        """Begin a login at the upstream `host`."""
        return NtlmSession(self, host, channel_bindings)

    async def make_context(self, host: str, channel_bindings: bytes | None) -> Any:
        """Return a pyspnego context; the first call imports the library."""
        if "spnego" not in sys.modules:
            await self._import_spnego()
        self._set_environment()
        # Imported here: the import takes 0.2 s, and only NTLM needs it.
        import spnego  # noqa: PLC0415
        from spnego.channel_bindings import GssChannelBindings  # noqa: PLC0415

        credential = spnego.NTLMHash(self._username, nt_hash=self._nt_hash.reveal())
        bindings = GssChannelBindings(application_data=channel_bindings) if channel_bindings else None
        return spnego.client(
            credential,
            hostname=host,
            service="HTTP",
            protocol="ntlm",
            channel_bindings=bindings,
            options=spnego.NegotiateOptions.use_ntlm,
        )

    async def _import_spnego(self) -> None:
        try:
            await self._run_in_thread(_import_spnego)
        except TimeoutError:
            raise LoginUnusableError("NTLM is not ready: this computer is too busy to load it") from None
        except ImportError as error:
            cause = f"NTLM cannot be used: {error}"
            raise LoginUnusableError(cause, "Install Px together with its dependencies.") from error

    def _set_environment(self) -> None:
        """Set two variables that pyspnego reads while it makes messages; it has no parameters for them."""
        os.environ["LM_COMPAT_LEVEL"] = "3"  # below 3 it would answer with NTLMv1
        os.environ["NETBIOS_COMPUTER_NAME"] = self._workstation


class NtlmSession:
    """One NTLM handshake on one connection (a `px.core.auth.token_source.TokenSession`)."""

    mechanism = "ntlm"

    def __init__(self, login: NtlmLogin, host: str, channel_bindings: bytes | None) -> None:
        self._login = login
        self._host = host
        self._channel_bindings = channel_bindings
        self._context: Any = None
        self.is_complete = False

    def __repr__(self) -> str:
        state = "complete" if self.is_complete else "open" if self._context else "new"
        return f"<NtlmSession {state} to {self._host}>"

    async def step(self, challenge: bytes | None) -> bytes:
        """Return the NEGOTIATE message, or the AUTHENTICATE message for a CHALLENGE (see TokenSession)."""
        if challenge is None:
            self._context = await self._login.make_context(self._host, self._channel_bindings)
        elif self._context is None or self.is_complete:
            raise LoginUnusableError(f"The upstream {self._host} sent an NTLM challenge out of turn")
        try:
            token = self._context.step(challenge and _complete(challenge))
        except Exception as error:
            # pyspnego raises whatever its parser met: ValueError, struct.error, IndexError, SpnegoError.
            raise LoginUnusableError(f"The upstream {self._host} sent a broken NTLM challenge") from error
        self.is_complete = bool(self._context.complete)
        return bytes(token)


def _complete(challenge: bytes) -> bytes:
    """Return a CHALLENGE with empty fields in place of those that the first version of NTLM did not have.

    Old proxies send 32 bytes, up to the server's challenge, without a target name or target information.
    """
    is_short = _SHORT_CHALLENGE_BYTES <= len(challenge) < _CHALLENGE_BYTES
    if is_short and challenge[_TARGET_NAME_LENGTH] == b"\0\0":
        return challenge[:_SHORT_CHALLENGE_BYTES].ljust(_CHALLENGE_BYTES, b"\0")
    return challenge


class _WindowsName(str):
    """A user name with the upper case of Windows (NTOWFv2 of MS-NLMP 3.3.2).

    Python's `str.upper` turns "ß" into "SS". The response for such a name would be wrong, and would bring the
    account closer to a lock-out.
    """

    __slots__ = ()

    def upper(self) -> str:
        return upcase_name(self)

    def split(self, *args: Any, **kwargs: Any) -> list[str]:
        return [_WindowsName(part) for part in super().split(*args, **kwargs)]


def _name_computer() -> str:
    return socket.gethostname().partition(".")[0][:MAX_COMPUTER_NAME_CHARS].upper()


def _import_spnego() -> None:
    import spnego  # noqa: PLC0415
    import spnego.channel_bindings  # noqa: F401, PLC0415

    # At DEBUG the library logs every token, and an NTLM response can be attacked off line.
    logging.getLogger("spnego").setLevel(logging.WARNING)
