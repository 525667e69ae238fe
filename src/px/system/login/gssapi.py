"""The part of the system's GSSAPI library that Kerberos logins need, through ctypes (RFC 2743, RFC 2744).

Px uses the Kerberos mechanism itself, not the SPNEGO of the library. That SPNEGO replaces every minor status
by a number of its own (MIT krb5 1.20: "no such service" becomes "cannot find mechanisms to negotiate"), and
on macOS it offers NTLM as well. `px.system.login.kerberos` adds the SPNEGO frame.

Every call may block while a KDC is silent; ctypes releases the interpreter lock meanwhile.
"""

from __future__ import annotations

import ctypes
import math
import sys
import time
import weakref
from ctypes import POINTER, byref, c_char_p, c_int, c_uint32, c_void_p
from typing import Any

from px.core.errors import LoginUnusableError
from px.system.login.gssapi_types import (
    ENTERPRISE_NAME,
    HOSTBASED_SERVICE,
    KRB5,
    KRB5_SET,
    PRINCIPAL_NAME,
    Bindings,
    Buffer,
    Input,
    Oid,
    OidSet,
)

_INDEFINITE = 0xFFFFFFFF
_INITIATE, _ACCEPT = 1, 2
_ANONYMOUS_FLAG = 64  # GSS_C_ANON_FLAG, RFC 2744 appendix A
_GSS_CODE, _MECH_CODE = 1, 2
_ERROR_BITS = 0xFFFF0000  # calling and routine errors, RFC 2744 3.9.1
_CONTINUE_NEEDED = 1
#: No credentials, or expired ones: RFC 2744 3.9.1.
_NO_CREDENTIAL, _CREDENTIALS_EXPIRED = 7 << 16, 11 << 16
#: A name that the library cannot read, or a kind of name that it does not know.
_BAD_NAME, _BAD_NAMETYPE = 2 << 16, 3 << 16
#: Without this limit, a library that fails to describe an error could make Px loop for ever.
_MAX_STATUS_TEXTS = 8

_LIBRARIES = {
    "darwin": ("/System/Library/Frameworks/GSS.framework/GSS",),
    "other": ("libgssapi_krb5.so.2", "libgssapi.so.3", "libgssapi.so"),
}
_U32P, _VOIDP = POINTER(c_uint32), POINTER(c_void_p)
_BUFFERP, _OIDP = POINTER(Buffer), POINTER(Oid)
_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "gss_import_name": (_U32P, _BUFFERP, _OIDP, _VOIDP),
    "gss_release_name": (_U32P, _VOIDP),
    "gss_display_name": (_U32P, c_void_p, _BUFFERP, c_void_p),
    "gss_release_buffer": (_U32P, _BUFFERP),
    "gss_display_status": (_U32P, c_uint32, c_int, _OIDP, _U32P, _BUFFERP),
    "gss_acquire_cred": (
        _U32P, c_void_p, c_uint32, POINTER(OidSet), c_int, _VOIDP, c_void_p, _U32P,
    ),
    "gss_acquire_cred_with_password": (
        _U32P, c_void_p, _BUFFERP, c_uint32, POINTER(OidSet), c_int, _VOIDP, c_void_p, _U32P,
    ),
    "gss_inquire_cred": (_U32P, c_void_p, _VOIDP, _U32P, c_void_p, c_void_p),
    "gss_release_cred": (_U32P, _VOIDP),
    "gss_init_sec_context": (
        _U32P, c_void_p, _VOIDP, c_void_p, _OIDP, c_uint32, c_uint32, c_void_p, _BUFFERP, c_void_p,
        _BUFFERP, c_void_p, c_void_p,
    ),
    "gss_accept_sec_context": (
        _U32P, _VOIDP, c_void_p, _BUFFERP, c_void_p, _VOIDP, c_void_p, _BUFFERP, _U32P, c_void_p, c_void_p,
    ),
    "gss_delete_sec_context": (_U32P, _VOIDP, c_void_p),
    "gss_krb5_ccache_name": (_U32P, c_char_p, POINTER(c_char_p)),
}  # fmt: skip


class GssapiError(Exception):
    """A GSSAPI call failed; the text is the library's own and contains no secret.

    Attributes:
        major: The major status, RFC 2744 3.9.1.
        code: The Kerberos error by its com_err number (negative): RFC 4120 7.5.9 and others.
    """

    def __init__(self, major: int, code: int, text: str) -> None:
        super().__init__(text)
        self.major = major
        self.code = code

    @property
    def is_no_ticket(self) -> bool:
        """Whether there is no credential, or only an expired one."""
        return self.major & _ERROR_BITS in (_NO_CREDENTIAL, _CREDENTIALS_EXPIRED)

    @property
    def is_expired(self) -> bool:
        """Whether there is a credential, but an expired one."""
        return self.major & _ERROR_BITS == _CREDENTIALS_EXPIRED

    @property
    def is_bad_name(self) -> bool:
        """Whether the library could not read a name, or does not know its kind, so that it sent nothing."""
        return self.major & _ERROR_BITS in (_BAD_NAME, _BAD_NAMETYPE)


class Credential:
    """A Kerberos credential of the library, released when the last reference goes away.

    Several threads may use it at once: the library locks it.

    Attributes:
        handle: The library's ``gss_cred_id_t``.
        name: The principal, as ``user@REALM``.
        expires_at: Seconds since the epoch, because a ticket also ages while the computer sleeps.
    """

    def __init__(self, library: ctypes.CDLL, handle: int, name: str, expires_at: float) -> None:
        self.handle = handle
        self.name = name
        self.expires_at = expires_at
        # Not at exit: the library may be unloaded by then.
        weakref.finalize(self, _release, library, "gss_release_cred", handle).atexit = False

    def __repr__(self) -> str:
        return f"<Credential {self.name}, {self.expires_at - time.time():.0f} s left>"


class Gssapi:
    """The calls of one loaded library, without state, so that any number of threads may use it.

    Every method may raise `GssapiError`.
    """

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        for name, argument_types in _SIGNATURES.items():
            function = getattr(library, name, None)
            if function is not None:
                function.argtypes, function.restype = argument_types, c_uint32

    def find_ticket_cache(self) -> str:
        """Return the name of the default ticket cache, such as ``FILE:/tmp/krb5cc_1000``; empty: unknown."""
        out, minor = c_char_p(), c_uint32()
        function = getattr(self._library, "gss_krb5_ccache_name", None)
        if function is None or function(byref(minor), None, byref(out)):
            return ""
        return (out.value or b"").decode("utf-8", "replace")

    def acquire_ticket(self, principal: str = "") -> Credential:
        """Return the credential of a ticket cache: the default one, or the one that holds `principal`."""
        name = self._import_name(principal, PRINCIPAL_NAME) if principal else None
        handle, seconds = c_void_p(), c_uint32()
        try:
            self._call(
                "gss_acquire_cred",
                name, _INDEFINITE, byref(KRB5_SET), _INITIATE, byref(handle), None, byref(seconds),
            )  # fmt: skip
        finally:
            self._release_name(name)
        return self._adopt(handle, seconds.value)

    def acquire_by_password(self, principal: str, password: str, *, is_enterprise: bool) -> Credential:
        """Return a ticket that the KDC gives for a password; the ticket is in memory, not in a ticket cache.

        Args:
            principal: ``user@REALM``, or ``user`` in the default realm.
            password: In clear.
            is_enterprise: Whether `principal` is a name such as a UPN, which a KDC of the default realm
                resolves (RFC 6806 5).
        """
        name = self._import_name(principal, ENTERPRISE_NAME if is_enterprise else PRINCIPAL_NAME)
        secret = Input(password.encode("utf-8", "surrogateescape"))
        handle, seconds = c_void_p(), c_uint32()
        try:
            self._call(
                "gss_acquire_cred_with_password",
                name, byref(secret.buffer), _INDEFINITE, byref(KRB5_SET), _INITIATE, byref(handle), None,
                byref(seconds),
            )  # fmt: skip
        finally:
            secret.wipe()
            self._release_name(name)
        return self._adopt(handle, seconds.value)

    def make_token(self, credential: Credential, host: str, channel_bindings: bytes | None) -> bytes:
        """Return the initial token for ``HTTP/host`` (RFC 4121 4.1), which is also the only one.

        Px asks neither for mutual authentication nor for delegation: TLS shows who the upstream is, and a
        context without both is complete after one token.
        """
        name = self._import_name(f"HTTP@{host}", HOSTBASED_SERVICE)
        context, token = c_void_p(), Buffer()
        bindings = Bindings(channel_bindings) if channel_bindings else None
        try:
            major = self._call(
                "gss_init_sec_context",
                credential.handle, byref(context), name, byref(KRB5), 0, 0,
                byref(bindings.structure) if bindings else None, None, None, byref(token), None, None,
            )  # fmt: skip
            data = ctypes.string_at(token.value, token.length) if token.value else b""
        finally:
            self._library.gss_release_buffer(byref(c_uint32()), byref(token))
            self._library.gss_delete_sec_context(byref(c_uint32()), byref(context), None)
            self._release_name(name)
        if not data or major & _CONTINUE_NEEDED:
            raise GssapiError(major, 0, "the Kerberos library wants more than one token")
        return data

    def acquire_keytab(self, service: str) -> Credential:
        """Return the credential that verifies clients: the keytab's keys of a service, for any host.

        ``KRB5_KTNAME`` names the keytab, else it is the system's. The library reads the keys for each client.
        """
        name, handle = self._import_name(service, HOSTBASED_SERVICE), c_void_p()
        try:
            self._call(
                "gss_acquire_cred",
                name, _INDEFINITE, byref(KRB5_SET), _ACCEPT, byref(handle), None, None,
            )  # fmt: skip
        finally:
            self._release_name(name)
        return Credential(self._library, handle.value or 0, service, math.inf)

    def accept_token(self, credential: Credential, token: bytes) -> tuple[str, bytes]:
        """Return the principal of a client's initial token (RFC 4121 4.1), and the answer to the token.

        The answer is empty unless the client asked for mutual authentication. A token is accepted once: the
        library keeps a record of the tokens that it has seen, for all processes.
        """
        context, name, given, answer, flags = c_void_p(), c_void_p(), Input(token), Buffer(), c_uint32()
        try:
            major = self._call(
                "gss_accept_sec_context",
                byref(context), credential.handle, byref(given.buffer), None, byref(name), None,
                byref(answer), byref(flags), None, None,
            )  # fmt: skip
            principal = self._display_name(name)
            data = ctypes.string_at(answer.value, answer.length) if answer.value else b""
        finally:
            self._library.gss_release_buffer(byref(c_uint32()), byref(answer))
            self._library.gss_delete_sec_context(byref(c_uint32()), byref(context), None)
            self._release_name(name)
        if major & _CONTINUE_NEEDED or flags.value & _ANONYMOUS_FLAG or not principal:
            raise GssapiError(major, 0, "a login that is anonymous, or takes more than one token")
        return principal, data

    def _adopt(self, handle: c_void_p, seconds: int) -> Credential:
        """Return a new handle as a credential; its ticket lasts for `seconds`."""
        if handle.value is None or not seconds:
            _release(self._library, "gss_release_cred", handle.value)
            raise GssapiError(_CREDENTIALS_EXPIRED, 0, "the ticket has expired")
        credential = Credential(self._library, handle.value, "", time.time() + seconds)
        name = c_void_p()
        self._call("gss_inquire_cred", handle, byref(name), None, None, None)
        try:
            credential.name = self._display_name(name)
        finally:
            self._release_name(name)
        return credential

    def _import_name(self, text: str, kind: Oid) -> c_void_p:
        name, given = c_void_p(), Input(text.encode("utf-8", "surrogateescape"))
        self._call("gss_import_name", byref(given.buffer), byref(kind), byref(name))
        return name

    def _display_name(self, name: c_void_p) -> str:
        if name.value is None:
            return ""
        text = Buffer()
        self._call("gss_display_name", name, byref(text), None)
        return self._take_text(text)

    def _release_name(self, name: c_void_p | None) -> None:
        if name is not None:
            self._library.gss_release_name(byref(c_uint32()), byref(name))

    def _take_text(self, buffer: Buffer) -> str:
        data = ctypes.string_at(buffer.value, buffer.length) if buffer.value else b""
        self._library.gss_release_buffer(byref(c_uint32()), byref(buffer))
        return data.rstrip(b"\0").decode("utf-8", "replace")

    def _call(self, function: str, *arguments: Any) -> int:
        """Call `function` with a minor status before `arguments`; return the major status."""
        minor = c_uint32()
        try:
            major = int(getattr(self._library, function)(byref(minor), *arguments))
        except AttributeError:
            text = f"the Kerberos library has no {function}"
            raise GssapiError(0, 0, text) from None
        if major & _ERROR_BITS:
            code = ctypes.c_int32(minor.value).value
            raise GssapiError(major, code, self._describe(major, minor.value))
        return major

    def _describe(self, major: int, minor: int) -> str:
        """Return the library's text: that of the mechanism, which says more, else that of GSSAPI."""
        texts = self._read_status(minor, _MECH_CODE) if minor else []
        return "; ".join(texts or self._read_status(major, _GSS_CODE))

    def _read_status(self, status: int, kind: int) -> list[str]:
        texts: list[str] = []
        more = c_uint32()
        while len(texts) < _MAX_STATUS_TEXTS:
            text = Buffer()
            arguments = (byref(c_uint32()), status, kind, byref(KRB5), byref(more), byref(text))
            failed = self._library.gss_display_status(*arguments)
            if taken := self._take_text(text):
                texts.append(taken)
            if failed or not more.value:
                break
        return texts


def load_gssapi(platform: str = sys.platform) -> Gssapi:
    """Return the system's library.

    Raises:
        LoginUnusableError: The system has no GSSAPI library.
    """
    for library in _LIBRARIES.get(platform, _LIBRARIES["other"]):
        try:
            return Gssapi(ctypes.CDLL(library))
        except OSError:
            continue
    cause = "Kerberos cannot be used: this system has no GSSAPI library"
    raise LoginUnusableError(cause, "Install MIT Kerberos (package libgssapi-krb5-2 or krb5-libs).")


def _release(library: ctypes.CDLL, function: str, handle: int | None) -> None:
    getattr(library, function)(byref(c_uint32()), byref(c_void_p(handle)))
