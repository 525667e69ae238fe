"""Has the operating system verify logins of clients: Windows by SSPI, elsewhere Kerberos with a keytab."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from px.core.auth.spnego import KERBEROS, NTLM
from px.core.client_login.acceptor import Acceptance, ClientRefusedError, OpenAcceptor
from px.system.login.gssapi import Credential, Gssapi, GssapiError, load_gssapi
from px.system.login.sspi import acquire_credential, find_number

if TYPE_CHECKING:
    from collections.abc import Callable

    from px.io.thread_lane import RunInThread

#: Service of the principals ``HTTP/host`` (RFC 4559 4.1); of any host: clients know Px by several names.
_SERVICE = "HTTP"
#: Results of AcceptSecurityContext (winerror.h) that say nothing about the client: no domain controller, no
#: Local Security Authority.
_UNANSWERED = (0x80090311, 0x80090304)
#: ASC_RET_NULL_SESSION (sspi.h): an anonymous login.
_NULL_SESSION = 0x00100000


class KerberosAcceptor:
    """Verifies a login by Kerberos with the keys of a keytab.

    Args:
        gssapi: The library.
        credential: From `Gssapi.acquire_keytab`.
        run_in_thread: Runs the verification, which writes to the record of tokens already seen.
    """

    def __init__(self, gssapi: Gssapi, credential: Credential, run_in_thread: RunInThread) -> None:
        self._gssapi = gssapi
        self._credential = credential
        self._run_in_thread = run_in_thread

    async def step(self, token: bytes) -> Acceptance:
        """See `px.core.client_login.acceptor.ClientAcceptor.step`."""
        try:
            principal, answer = await self._run_in_thread(self._gssapi.accept_token, self._credential, token)
        except GssapiError as error:
            raise ClientRefusedError(f"Kerberos: {error}") from error
        return Acceptance(answer, principal)

    def __repr__(self) -> str:
        return f"<KerberosAcceptor {self._credential.name}>"


class SspiAcceptor:
    """Verifies a login by Windows, for its users and those of its domain.

    Args:
        mechanism: ``kerberos`` or ``ntlm``, each by its own package: "Negotiate" would choose itself.
        run_in_thread: Runs every call; each may wait for a domain controller.
    """

    def __init__(self, mechanism: str, run_in_thread: RunInThread) -> None:
        self._mechanism = mechanism
        self._run_in_thread = run_in_thread
        self._context: Any = None

    async def step(self, token: bytes) -> Acceptance:
        """See `px.core.client_login.acceptor.ClientAcceptor.step`."""
        acceptance = await self._run_in_thread(self._step, token)
        assert isinstance(acceptance, Acceptance)  # noqa: S101 - what `_step` returns
        return acceptance

    def _step(self, token: bytes) -> Acceptance:
        """Call SSPI; runs in a thread."""
        try:
            context = self._context = self._context or self._make_context()
            answer = bytes(context.step(token) or b"")
            user = self._find_user() if context.complete else ""
        except Exception as error:
            # sspilib raises OSError and ValueError; where it is not installed, ImportError.
            if find_number(error) in _UNANSWERED:
                raise TimeoutError(str(error)) from error
            raise ClientRefusedError(f"Windows, {self._mechanism}: {error}") from error
        if context.attributes & _NULL_SESSION:
            raise ClientRefusedError(f"Windows, {self._mechanism}: an anonymous login")
        return Acceptance(answer, user)

    def _make_context(self) -> Any:
        import sspilib  # noqa: PLC0415 - on Windows only, and this is a thread already

        credential = acquire_credential(self._mechanism, sspilib.raw.CredentialUse.SECPKG_CRED_INBOUND)
        return sspilib.ServerSecurityContext(credential, flags=0)

    def _find_user(self) -> str:
        """Return the user who has logged in."""
        import sspilib  # noqa: PLC0415

        names = sspilib.raw.query_context_attributes(self._context, sspilib.raw.SecPkgContextNames)
        return str(names.username or "")

    def __repr__(self) -> str:
        return f"<SspiAcceptor {self._mechanism}>"


def find_sspi(run_in_thread: RunInThread) -> dict[str, OpenAcceptor]:
    """Return what opens an acceptor for each mechanism that Windows verifies."""
    return {mechanism: partial(SspiAcceptor, mechanism, run_in_thread) for mechanism in (KERBEROS, NTLM)}


def find_keytab(
    run_in_thread: RunInThread, load: Callable[[], Gssapi] = load_gssapi
) -> dict[str, OpenAcceptor]:
    """Return what opens an acceptor with the keytab of ``KRB5_KTNAME``, or the system's keytab.

    Raises:
        GssapiError: There is no keytab with a key for HTTP.
        LoginUnusableError: There is no GSSAPI library.
    """
    gssapi = load()
    return {KERBEROS: partial(KerberosAcceptor, gssapi, gssapi.acquire_keytab(_SERVICE), run_in_thread)}
