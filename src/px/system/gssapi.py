"""The system's GSSAPI library through ctypes (RFC 2743, RFC 2744), as far as a client login needs it.

Kerberos is asked for by its own mechanism, not through the library's SPNEGO: that one turns every minor
status into a number of its own (MIT krb5 1.20: "no such service" becomes "cannot find mechanisms to
negotiate"), and on macOS it offers NTLM as well. `px.system.kerberos` puts the SPNEGO frame around.

Every call may block for as long as a KDC is silent; ctypes lets go of the interpreter lock meanwhile.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
import weakref
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_uint32, c_void_p
from typing import Any

from px.core.errors import LoginUnusableError

# Apple's headers pack these structures to 2 bytes on Intel, and on Intel only (gssapi.h, "pragma pack").
_IS_PACKED = sys.platform == "darwin" and os.uname().machine == "x86_64"
_PACKING = {"_pack_": 2, "_layout_": "ms"} if _IS_PACKED else {}


class _Buffer(ctypes.Structure):
    """gss_buffer_desc, RFC 2744 3.2."""

    vars().update(_PACKING)
    _fields_ = (("length", c_size_t), ("value", c_void_p))


class _Oid(ctypes.Structure):
    """gss_OID_desc, RFC 2744 3.3."""

    vars().update(_PACKING)
    _fields_ = (("length", c_uint32), ("elements", c_char_p))


class _OidSet(ctypes.Structure):
    """gss_OID_set_desc, RFC 2744 3.3."""

    vars().update(_PACKING)
    _fields_ = (("count", c_size_t), ("elements", POINTER(_Oid)))


class _ChannelBindings(ctypes.Structure):
    """gss_channel_bindings_struct, RFC 2744 3.11."""

    vars().update(_PACKING)
    _fields_ = (
        ("initiator_address_type", c_uint32),
        ("initiator_address", _Buffer),
        ("acceptor_address_type", c_uint32),
        ("acceptor_address", _Buffer),
        ("application_data", _Buffer),
    )


def _oid(*encoded: int) -> _Oid:
    elements = bytes(encoded)
    return _Oid(len(elements), elements)


_KRB5_ARC = (0x2A, 0x86, 0x48, 0x86, 0xF7, 0x12, 0x01, 0x02)  # 1.2.840.113554.1.2
_KRB5 = _oid(*_KRB5_ARC, 2)  # RFC 4121 1
_KRB5_SET = _OidSet(1, ctypes.pointer(_KRB5))
_PRINCIPAL_NAME = _oid(*_KRB5_ARC, 2, 1)  # GSS_KRB5_NT_PRINCIPAL_NAME, RFC 1964 2.1.1
_ENTERPRISE_NAME = _oid(*_KRB5_ARC, 2, 6)  # GSS_KRB5_NT_ENTERPRISE_NAME of MIT krb5; RFC 6806 5
_HOSTBASED_SERVICE = _oid(*_KRB5_ARC, 1, 4)  # GSS_C_NT_HOSTBASED_SERVICE, RFC 2744 appendix A

_INDEFINITE = 0xFFFFFFFF
_INITIATE = 1
_GSS_CODE, _MECH_CODE = 1, 2
_ERROR_BITS = 0xFFFF0000  # calling and routine errors, RFC 2744 3.9.1
_CONTINUE_NEEDED = 1
#: Credentials or a ticket cache without any: RFC 2744 3.9.1.
_NO_CREDENTIAL, _CREDENTIALS_EXPIRED = 7 << 16, 11 << 16
#: Names that the library cannot read, or of a kind that it does not know.
_BAD_NAME, _BAD_NAMETYPE = 2 << 16, 3 << 16
#: A call that went wrong while it described an error would else loop for ever.
_MAX_STATUS_TEXTS = 8

_LIBRARIES = {
    "darwin": ("/System/Library/Frameworks/GSS.framework/GSS",),
    "other": ("libgssapi_krb5.so.2", "libgssapi.so.3", "libgssapi.so"),
}
_U32P, _VOIDP = POINTER(c_uint32), POINTER(c_void_p)
_BUFFERP, _OIDP = POINTER(_Buffer), POINTER(_Oid)
_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "gss_import_name": (_U32P, _BUFFERP, _OIDP, _VOIDP),
    "gss_release_name": (_U32P, _VOIDP),
    "gss_display_name": (_U32P, c_void_p, _BUFFERP, c_void_p),
    "gss_release_buffer": (_U32P, _BUFFERP),
    "gss_display_status": (_U32P, c_uint32, c_int, _OIDP, _U32P, _BUFFERP),
    "gss_acquire_cred": (
        _U32P, c_void_p, c_uint32, POINTER(_OidSet), c_int, _VOIDP, c_void_p, _U32P,
    ),
    "gss_acquire_cred_with_password": (
        _U32P, c_void_p, _BUFFERP, c_uint32, POINTER(_OidSet), c_int, _VOIDP, c_void_p, _U32P,
    ),
    "gss_inquire_cred": (_U32P, c_void_p, _VOIDP, _U32P, c_void_p, c_void_p),
    "gss_release_cred": (_U32P, _VOIDP),
    "gss_init_sec_context": (
        _U32P, c_void_p, _VOIDP, c_void_p, _OIDP, c_uint32, c_uint32, c_void_p, _BUFFERP, c_void_p,
        _BUFFERP, c_void_p, c_void_p,
    ),
    "gss_delete_sec_context": (_U32P, _VOIDP, c_void_p),
    "gss_krb5_ccache_name": (_U32P, c_char_p, POINTER(c_char_p)),
}  # fmt: skip


class GssapiError(Exception):
    """A GSSAPI call failed; the text is the library's own and holds no secret.

    Attributes:
        major: RFC 2744 3.9.1.
        code: The Kerberos error as com_err numbers it (negative), RFC 4120 7.5.9 and beyond.
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
    def is_bad_name(self) -> bool:
        """Whether the library could not read a name, or does not know its kind; nothing was sent."""
        return self.major & _ERROR_BITS in (_BAD_NAME, _BAD_NAMETYPE)


class Credential:
    """A Kerberos credential of the library; released when the last one lets go of it.

    Safe to use from several threads at once: the library locks it.

    Attributes:
        handle: The library's ``gss_cred_id_t``.
        name: The principal, as ``user@REALM``.
        expires_at: Seconds since the epoch: a ticket grows old while the computer sleeps, too.
    """

    def __init__(self, library: ctypes.CDLL, handle: int, name: str, expires_at: float) -> None:
        self.handle = handle
        self.name = name
        self.expires_at = expires_at
        # Not at exit: the library may be torn down before.
        weakref.finalize(self, _release, library, "gss_release_cred", handle).atexit = False

    def __repr__(self) -> str:
        return f"<Credential {self.name}, {self.expires_at - time.time():.0f} s left>"


class Gssapi:
    """The calls of one loaded library; stateless, fit for any number of threads.

    Every method raises `GssapiError`.
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
        name = self._import_name(principal, _PRINCIPAL_NAME) if principal else None
        handle, seconds = c_void_p(), c_uint32()
        try:
            self._call(
                "gss_acquire_cred",
                name, _INDEFINITE, byref(_KRB5_SET), _INITIATE, byref(handle), None, byref(seconds),
            )  # fmt: skip
        finally:
            self._release_name(name)
        return self._adopt(handle, seconds.value)

    def acquire_by_password(self, principal: str, password: str, *, is_enterprise: bool) -> Credential:
        """Get a ticket from the KDC with a password; kept in memory, in no ticket cache.

        Args:
            principal: ``user@REALM``, or ``user`` in the default realm.
            password: In clear.
            is_enterprise: `principal` is a name such as a UPN, which a KDC of the default realm resolves
                (RFC 6806 5).
        """
        name = self._import_name(principal, _ENTERPRISE_NAME if is_enterprise else _PRINCIPAL_NAME)
        secret = _Input(password.encode("utf-8", "surrogateescape"))
        handle, seconds = c_void_p(), c_uint32()
        try:
            self._call(
                "gss_acquire_cred_with_password",
                name, byref(secret.buffer), _INDEFINITE, byref(_KRB5_SET), _INITIATE, byref(handle), None,
                byref(seconds),
            )  # fmt: skip
        finally:
            secret.wipe()
            self._release_name(name)
        return self._adopt(handle, seconds.value)

    def make_token(self, credential: Credential, host: str, channel_bindings: bytes | None) -> bytes:
        """Return the initial token for ``HTTP/host`` (RFC 4121 4.1), which is also the only one.

        Neither mutual authentication nor delegation is asked for: TLS proves who the upstream is, and a
        context without them is complete after one token.
        """
        name = self._import_name(f"HTTP@{host}", _HOSTBASED_SERVICE)
        context, token = c_void_p(), _Buffer()
        bindings = _Bindings(channel_bindings) if channel_bindings else None
        try:
            major = self._call(
                "gss_init_sec_context",
                credential.handle, byref(context), name, byref(_KRB5), 0, 0,
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

    def _adopt(self, handle: c_void_p, seconds: int) -> Credential:
        """Wrap a fresh handle; `seconds` is what is left of its ticket."""
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

    def _import_name(self, text: str, kind: _Oid) -> c_void_p:
        name, given = c_void_p(), _Input(text.encode("utf-8", "surrogateescape"))
        self._call("gss_import_name", byref(given.buffer), byref(kind), byref(name))
        return name

    def _display_name(self, name: c_void_p) -> str:
        if name.value is None:
            return ""
        text = _Buffer()
        self._call("gss_display_name", name, byref(text), None)
        return self._take_text(text)

    def _release_name(self, name: c_void_p | None) -> None:
        if name is not None:
            self._library.gss_release_name(byref(c_uint32()), byref(name))

    def _take_text(self, buffer: _Buffer) -> str:
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
        """Return the library's text: the mechanism's, which says more, else GSSAPI's."""
        texts = self._read_status(minor, _MECH_CODE) if minor else []
        return "; ".join(texts or self._read_status(major, _GSS_CODE))

    def _read_status(self, status: int, kind: int) -> list[str]:
        texts: list[str] = []
        more = c_uint32()
        while len(texts) < _MAX_STATUS_TEXTS:
            text = _Buffer()
            arguments = (byref(c_uint32()), status, kind, byref(_KRB5), byref(more), byref(text))
            failed = self._library.gss_display_status(*arguments)
            if taken := self._take_text(text):
                texts.append(taken)
            if failed or not more.value:
                break
        return texts


class _Input:
    """Bytes handed to the library, kept alive beside the buffer that points at them."""

    def __init__(self, data: bytes) -> None:
        self._memory = ctypes.create_string_buffer(data, len(data) or 1)
        self.buffer = _Buffer(len(data), ctypes.cast(self._memory, c_void_p))

    def wipe(self) -> None:
        """Overwrite the bytes."""
        ctypes.memset(self._memory, 0, len(self._memory))


class _Bindings:
    """Channel bindings without addresses (RFC 5929 4, RFC 4121 4.1.1.2), kept alive with their data."""

    def __init__(self, application_data: bytes) -> None:
        self._data = _Input(application_data)
        empty = _Buffer()
        self.structure = _ChannelBindings(0, empty, 0, empty, self._data.buffer)


def load_gssapi(platform: str = sys.platform) -> Gssapi:
    """Load the system's library.

    Raises:
        LoginUnusableError: There is none.
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
