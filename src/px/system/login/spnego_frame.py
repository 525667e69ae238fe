"""The SPNEGO frame around a Kerberos token (RFC 4178 4.2.1), for upstreams that offer ``Negotiate``."""

from __future__ import annotations

from px.core.auth.der import format_der

_SPNEGO_OID = bytes.fromhex("06062b0601050502")  # 1.3.6.1.5.5.2
#: mechTypes with Kerberos alone, 1.2.840.113554.1.2.2 (RFC 4121 1): with one choice nothing is negotiated.
_MECH_TYPES = bytes.fromhex("a00d300b06092a864886f712010202")
_APPLICATION_0, _CONTEXT_0, _CONTEXT_2, _SEQUENCE, _OCTET_STRING = 0x60, 0xA0, 0xA2, 0x30, 0x04


def frame_kerberos(token: bytes) -> bytes:
    """Return a NegTokenInit that carries a Kerberos token (RFC 4178 4.2.1, framed as in RFC 2743 3.1)."""
    mech_token = format_der(_CONTEXT_2, format_der(_OCTET_STRING, token))
    init = format_der(_CONTEXT_0, format_der(_SEQUENCE, _MECH_TYPES + mech_token))
    return format_der(_APPLICATION_0, _SPNEGO_OID + init)
