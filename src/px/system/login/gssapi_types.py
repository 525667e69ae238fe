"""The types of GSSAPI for ctypes (RFC 2744 3), and the OIDs of mechanisms and of kinds of names."""

from __future__ import annotations

import ctypes
import os
import sys
from ctypes import POINTER, c_char_p, c_size_t, c_uint32, c_void_p

# Apple's headers pack these structures to 2 bytes on Intel, and on Intel only (gssapi.h, "pragma pack").
_IS_PACKED = sys.platform == "darwin" and os.uname().machine == "x86_64"
_PACKING = {"_pack_": 2, "_layout_": "ms"} if _IS_PACKED else {}


class Buffer(ctypes.Structure):
    """gss_buffer_desc, RFC 2744 3.2."""

    vars().update(_PACKING)
    _fields_ = (("length", c_size_t), ("value", c_void_p))


class Oid(ctypes.Structure):
    """gss_OID_desc, RFC 2744 3.3."""

    vars().update(_PACKING)
    _fields_ = (("length", c_uint32), ("elements", c_char_p))


class OidSet(ctypes.Structure):
    """gss_OID_set_desc, RFC 2744 3.3."""

    vars().update(_PACKING)
    _fields_ = (("count", c_size_t), ("elements", POINTER(Oid)))


class ChannelBindings(ctypes.Structure):
    """gss_channel_bindings_struct, RFC 2744 3.11."""

    vars().update(_PACKING)
    _fields_ = (
        ("initiator_address_type", c_uint32),
        ("initiator_address", Buffer),
        ("acceptor_address_type", c_uint32),
        ("acceptor_address", Buffer),
        ("application_data", Buffer),
    )


def _oid(*encoded: int) -> Oid:
    elements = bytes(encoded)
    return Oid(len(elements), elements)


_KRB5_ARC = (0x2A, 0x86, 0x48, 0x86, 0xF7, 0x12, 0x01, 0x02)  # 1.2.840.113554.1.2
KRB5 = _oid(*_KRB5_ARC, 2)  # RFC 4121 1
KRB5_SET = OidSet(1, ctypes.pointer(KRB5))
PRINCIPAL_NAME = _oid(*_KRB5_ARC, 2, 1)  # GSS_KRB5_NT_PRINCIPAL_NAME, RFC 1964 2.1.1
ENTERPRISE_NAME = _oid(*_KRB5_ARC, 2, 6)  # GSS_KRB5_NT_ENTERPRISE_NAME of MIT krb5; RFC 6806 5
HOSTBASED_SERVICE = _oid(*_KRB5_ARC, 1, 4)  # GSS_C_NT_HOSTBASED_SERVICE, RFC 2744 appendix A


class Input:
    """Bytes for the library, kept alive together with the buffer that points at them."""

    def __init__(self, data: bytes) -> None:
        self._memory = ctypes.create_string_buffer(data, len(data) or 1)
        self.buffer = Buffer(len(data), ctypes.cast(self._memory, c_void_p))

    def wipe(self) -> None:
        """Overwrite the bytes."""
        ctypes.memset(self._memory, 0, len(self._memory))


class Bindings:
    """Channel bindings without addresses (RFC 5929 4, RFC 4121 4.1.1.2), kept alive with their data."""

    def __init__(self, application_data: bytes) -> None:
        self._data = Input(application_data)
        empty = Buffer()
        self.structure = ChannelBindings(0, empty, 0, empty, self._data.buffer)
