"""Clients' logins verified by the operating system: Windows by SSPI, elsewhere Kerberos with a keytab."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from px.core.client_acceptor import Acceptance, ClientRefusedError, OpenAcceptor
from px.core.spnego import KERBEROS, NTLM
from px.system.gssapi import Credential, Gssapi, GssapiError, load_gssapi
from px.system.sspi import find_number

if TYPE_CHECKING:
    from collections.abc import Callable

    from px.system.offload import Offload

#: Service of the principals ``HTTP/host`` (RFC 4559 4.1); any host: clients know Px by several names.
_SERVICE = "HTTP"
#: Results of AcceptSecurityContext (winerror.h) that say nothing about the client: no domain controller, no
#: Local Security Authority.
_UNANSWERED = (0x80090311, 0x80090304)
#: ASC_RET_NULL_SESSION (sspi.h): a login by nobody.
_NULL_SESSION = 0x00100000


class KerberosAcceptor:
    """A login by Kerberos, with the keys of a keytab.

    Args:
        gssapi: The library.
        credential: Of `Gssapi.acquire_keytab`.
        offload: Runs the verification: it writes to the record of tokens already seen.
    """

    def __init__(self, gssapi: Gssapi, credential: Credential, offload: Offload) -> None:
        self._gssapi = gssapi
        self._credential = credential
        self._offload = offload

    async def step(self, token: bytes) -> Acceptance:
        """See `px.core.client_acceptor.ClientAcceptor.step`."""
        try:
            principal, answer = await self._offload(self._gssapi.accept_token, self._credential, token)
        except GssapiError as error:
            raise ClientRefusedError(f"Kerberos: {error}") from error
        return Acceptance(answer, principal)

    def __repr__(self) -> str:
        return f"<KerberosAcceptor {self._credential.name}>"


class SspiAcceptor:
    """A login that Windows verifies: of its users, and those of its domain.

    Args:
        mechanism: ``kerberos`` or ``ntlm``, each by its own package: "Negotiate" would choose by itself.
        offload: Runs every call; each may wait for a domain controller.
    """

    def __init__(self, mechanism: str, offload: Offload) -> None:
        self._mechanism = mechanism
        self._offload = offload
        self._context: Any = None

    async def step(self, token: bytes) -> Acceptance:
        """See `px.core.client_acceptor.ClientAcceptor.step`."""
        acceptance = await self._offload(self._step, token)
        assert isinstance(acceptance, Acceptance)  # noqa: S101 - what `_step` returns
        return acceptance

    def _step(self, token: bytes) -> Acceptance:
        """Call SSPI; runs in a thread."""
        try:
            context = self._context = self._context or self._make_context()
            answer = bytes(context.step(token) or b"")
            user = str(context.client_principal or "") if context.complete else ""
        except Exception as error:
            # pyspnego and sspilib raise OSError, SpnegoError, ImportError, ValueError.
            if find_number(error) in _UNANSWERED:
                raise TimeoutError(str(error)) from error
            raise ClientRefusedError(f"Windows, {self._mechanism}: {error}") from error
        if getattr(context, "_context_attr", 0) & _NULL_SESSION:
            raise ClientRefusedError(f"Windows, {self._mechanism}: an anonymous login")
        return Acceptance(answer, user)

    def _make_context(self) -> Any:
        # Imported here: 0.2 s, and in a thread already.
        import spnego  # noqa: PLC0415

        # At DEBUG it logs every token: an NTLM proof can be attacked off line.
        logging.getLogger("spnego").setLevel(logging.WARNING)
        return spnego.server(
            service=_SERVICE,
            protocol=self._mechanism,
            context_req=spnego.ContextReq.none,
            options=spnego.NegotiateOptions.use_sspi,
        )

    def __repr__(self) -> str:
        return f"<SspiAcceptor {self._mechanism}>"


def find_sspi(offload: Offload) -> dict[str, OpenAcceptor]:
    """Return what Windows verifies."""
    return {mechanism: partial(SspiAcceptor, mechanism, offload) for mechanism in (KERBEROS, NTLM)}


def find_keytab(offload: Offload, load: Callable[[], Gssapi] = load_gssapi) -> dict[str, OpenAcceptor]:
    """Return what can be verified with the keytab of ``KRB5_KTNAME``, or the system's.

    Raises:
        GssapiError: There is no keytab, or none with a key for HTTP.
        LoginUnusableError: There is no library.
    """
    gssapi = load()
    return {KERBEROS: partial(KerberosAcceptor, gssapi, gssapi.acquire_keytab(_SERVICE), offload)}
