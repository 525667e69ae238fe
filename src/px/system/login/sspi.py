"""Tokens by Windows' own SSPI: the logged-in user without a password, or explicit credentials.

Px uses the package "Kerberos" and the frame of `px.system.login.spnego_frame`, as on other systems. The
package "Negotiate" would silently fall back to NTLM; whether to use NTLM is the decision of the caller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from px.core.auth.password_advice import advise_correction
from px.core.errors import LoginError, LoginRefusedError, LoginUnusableError
from px.system.login.call_gate import CallGate
from px.system.login.spnego_frame import frame_kerberos

if TYPE_CHECKING:
    from px.core.secret import Secret
    from px.io.thread_lane import RunInThread

#: Results of InitializeSecurityContext (winerror.h) -> cause and hint.
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


class SspiLogin:
    """Makes SSPI sessions.

    Args:
        username: Or empty: the logged-in user.
        password: Of `username`; None for the logged-in user.
        run_in_thread: Runs every call of SSPI, as each may wait for a domain controller.
    """

    def __init__(self, username: str, password: Secret | None, run_in_thread: RunInThread) -> None:
        self.username = username
        self.password = password
        self.call_gate = CallGate(run_in_thread, _explain_silence)

    def open_session(self, mechanism: str, host: str, channel_bindings: bytes | None) -> SspiSession:
        """Begin a login by ``kerberos`` or ``ntlm`` at the upstream `host`."""
        return SspiSession(self, mechanism, host, channel_bindings)


class SspiSession:
    """One login on one connection (a `px.core.auth.token_source.TokenSession`)."""

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
        """Return the next token; see `px.core.auth.token_source.TokenSession`."""
        if (challenge is None) != (self._context is None) or self.is_complete:
            raise LoginUnusableError(f"The upstream {self._host} sent a challenge out of turn")
        return await self._login.call_gate.run(self._step, challenge)

    def _step(self, challenge: bytes | None) -> bytes:
        """Call SSPI; runs in a thread."""
        try:
            self._context = self._context or self._make_context()
            token = self._context.step(challenge)
            self.is_complete = bool(self._context.complete)
        except LoginError:
            raise
        except Exception as error:
            # sspilib raises OSError and ValueError; where it is not installed, ImportError.
            place = self._login.password.place if self._login.password is not None else ""
            raise explain_failure(error, self._login.username, self._host, place) from error
        if not token:
            raise LoginUnusableError(f"Windows made no {self.mechanism} token for {self._host}")
        return frame_kerberos(token) if self.mechanism == "kerberos" else bytes(token)

    def _make_context(self) -> Any:
        import sspilib  # noqa: PLC0415 - on Windows only, and this is a thread already

        bindings = self._channel_bindings
        credential = acquire_credential(
            self.mechanism, sspilib.raw.CredentialUse.SECPKG_CRED_OUTBOUND, self._make_identity()
        )
        return sspilib.ClientSecurityContext(
            credential,
            f"HTTP/{self._host}",
            # No mutual authentication: one Kerberos token is enough, and TLS shows who the upstream is.
            flags=0,
            channel_bindings=sspilib.SecChannelBindings(application_data=bindings) if bindings else None,
        )

    def _make_identity(self) -> Any:
        """Return what `acquire_credential` takes for a user and a password; None: the logged-in user."""
        import sspilib  # noqa: PLC0415

        username, password = self._login.username, self._login.password
        if password is None:
            return None
        domain, user = username.split("\\", 1) if "\\" in username else (None, username)
        return sspilib.raw.WinNTAuthIdentity(username=user, domain=domain, password=password.reveal())


def acquire_credential(mechanism: str, use: int, identity: Any = None) -> Any:
    """Return a handle to a credential of Windows (AcquireCredentialsHandle, sspi.h).

    Args:
        mechanism: ``kerberos`` or ``ntlm``: the security package.
        use: A value of `sspilib.raw.CredentialUse`.
        identity: A `sspilib.raw.WinNTAuthIdentity`; None: the logged-in user.
    """
    import sspilib  # noqa: PLC0415

    return sspilib.raw.acquire_credentials_handle(None, mechanism, use, auth_data=identity).credential


def explain_failure(error: Exception, username: str, host: str, place: str = "") -> LoginError:
    """Return the error for a failed SSPI call; the Windows error number is in the exception or its cause."""
    number = find_number(error)
    if number == _LOGON_DENIED and username:
        return LoginRefusedError(_REFUSED.format(user=username), advise_correction(place))
    if number in _MEANINGS:
        cause, hint = _MEANINGS[number]
        return LoginUnusableError(cause.format(host=host), hint)
    return LoginUnusableError(f"Windows could not make a login token for {host}: {error}")


def find_number(error: BaseException | None) -> int:
    """Return the first Windows error number in the chain of causes, unsigned; 0: there is none."""
    while error is not None:
        number = getattr(error, "winerror", None)
        if isinstance(number, int):
            return number & 0xFFFFFFFF
        error = error.__cause__
    return 0


def _explain_silence() -> LoginUnusableError:
    return LoginUnusableError("The domain controller (KDC) does not answer", "Check the network or VPN.")
