"""Tokens by Windows' own SSPI: the logged-in user without a password, or explicit credentials.

Kerberos is asked for by its own package and framed by `px.system.spnego_frame`, as elsewhere: the
package "Negotiate" would turn to NTLM without a word. Whether NTLM goes out is for the caller to choose.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from px.core.errors import LoginError, LoginRefusedError, LoginUnusableError
from px.system.spnego_frame import frame_kerberos
from px.system.turn import Turn

if TYPE_CHECKING:
    from px.core.secret import Secret
    from px.system.offload import Offload

#: Results of InitializeSecurityContext (winerror.h): what they mean here, and the mend.
_MEANINGS = {
    0x80090303: ("The domain knows no service HTTP/{host}", "Name the upstream by its full host name."),
    0x80090304: ("Windows' Local Security Authority cannot be reached", "Log in to Windows again."),
    0x8009030E: ("Windows has no credentials to log in with", "Log in to the domain, or set --username."),
    0x80090311: ("No domain controller can be reached", "Check the network or VPN."),
    0x80090318: ("No domain controller can be reached", "Check the network or VPN."),
    0x80090324: ("This computer's clock and the domain's differ too much", "Set this computer's clock."),
}
_LOGON_DENIED = 0x8009030C
_REFUSED = "Windows' domain controller refused the password of {user}"
_MEND_REFUSED = "Store the right password with: px --password"


class SspiLogin:
    """Makes SSPI sessions.

    Args:
        username: Or empty: the logged-in user.
        password: Of `username`; None for the logged-in user.
        offload: Runs every call of SSPI; each may wait for a domain controller.
    """

    def __init__(self, username: str, password: Secret | None, offload: Offload) -> None:
        self.username = username
        self.password = password
        self.turn = Turn(offload, _explain_silence)

    def open_session(self, mechanism: str, host: str, channel_bindings: bytes | None) -> SspiSession:
        """Begin a login by ``kerberos`` or ``ntlm`` at the upstream `host`."""
        return SspiSession(self, mechanism, host, channel_bindings)


class SspiSession:
    """One login on one connection (a `px.core.token_source.TokenSession`)."""

    def __init__(self, login: SspiLogin, mechanism: str, host: str, channel_bindings: bytes | None) -> None:
        self._login = login
        self._host = host
        self._channel_bindings = channel_bindings
        self._context: Any = None
        self.mechanism = mechanism
        self.is_complete = False

    def __repr__(self) -> str:
        state = "complete" if self.is_complete else "open" if self._context else "new"
        return f"<SspiSession {self.mechanism} {state} to {self._host}>"

    async def step(self, challenge: bytes | None) -> bytes:
        """Return the next token; see `px.core.token_source.TokenSession`."""
        if (challenge is None) != (self._context is None) or self.is_complete:
            raise LoginUnusableError(f"The upstream {self._host} sent a challenge out of turn")
        return await self._login.turn.run(self._step, challenge)

    def _step(self, challenge: bytes | None) -> bytes:
        """Call SSPI; runs in a thread."""
        try:
            self._context = self._context or self._make_context()
            token = self._context.step(challenge)
            self.is_complete = bool(self._context.complete)
        except LoginError:
            raise
        except Exception as error:
            # pyspnego and sspilib raise OSError, SpnegoError, ImportError, ValueError.
            raise explain_failure(error, self._login.username, self._host) from error
        if not token:
            raise LoginUnusableError(f"Windows made no {self.mechanism} token for {self._host}")
        return frame_kerberos(token) if self.mechanism == "kerberos" else bytes(token)

    def _make_context(self) -> Any:
        # Imported here: 0.2 s, and in a thread already.
        import spnego  # noqa: PLC0415
        from spnego.channel_bindings import GssChannelBindings  # noqa: PLC0415

        # At DEBUG it logs every token: an NTLM proof can be attacked off line.
        logging.getLogger("spnego").setLevel(logging.WARNING)
        bindings = self._channel_bindings
        password = self._login.password
        return spnego.client(
            self._login.username or None,
            password.reveal() if password else None,
            hostname=self._host,
            service="HTTP",
            protocol=self.mechanism,
            channel_bindings=GssChannelBindings(application_data=bindings) if bindings else None,
            # No mutual authentication: one Kerberos token, and TLS proves who the upstream is.
            context_req=spnego.ContextReq.none,
            options=spnego.NegotiateOptions.use_sspi,
        )


def explain_failure(error: Exception, username: str, host: str) -> LoginError:
    """Return what a failed SSPI call means; the Windows error hides in the exception or in its cause."""
    number = find_number(error)
    if number == _LOGON_DENIED and username:
        return LoginRefusedError(_REFUSED.format(user=username), _MEND_REFUSED)
    if number in _MEANINGS:
        cause, mend = _MEANINGS[number]
        return LoginUnusableError(cause.format(host=host), mend)
    return LoginUnusableError(f"Windows could not make a login token for {host}: {error}")


def find_number(error: BaseException | None) -> int:
    """Return the first Windows error number along the chain of causes, unsigned; 0: none."""
    while error is not None:
        number = getattr(error, "winerror", None)
        if isinstance(number, int):
            return number & 0xFFFFFFFF
        error = error.__cause__
    return 0


def _explain_silence() -> LoginUnusableError:
    return LoginUnusableError("The domain controller (KDC) does not answer", "Check the network or VPN.")
