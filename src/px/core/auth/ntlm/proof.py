"""What both sides compute from the secret and the messages (MS-NLMP 3.3.2, 3.1.5.1.2)."""

from __future__ import annotations

import hashlib
import hmac
import struct
from functools import partial

#: The MIC in an AUTHENTICATE message that has one (MS-NLMP 2.2.1.3).
MIC = slice(72, 88)
#: NTProofStr, with which an NTLMv2 response begins (MS-NLMP 2.2.2.8).
PROOF_BYTES = 16
#: Also there where OpenSSL is in FIPS mode.
_md5 = partial(hashlib.md5, usedforsecurity=False)


def response_key(nt_hash: bytes, user: str, domain: str) -> bytes:
    """Return NTOWFv2 of MS-NLMP 3.3.2: the key of one user in one domain, both as the client spells them."""
    return hmac_md5(nt_hash, (upcase_name(user) + domain).encode("utf-16-le", "surrogatepass"))


def upcase_name(name: str) -> str:
    """Return a name in upper case by the rule of Windows: one character stays one, so "ß" stays "ß"."""
    return "".join(upper if len(upper := char.upper()) == 1 else char for char in name)


def hash_channel_bindings(application_data: bytes) -> bytes:
    """Return the MD5 of gss_channel_bindings_struct without addresses (MS-NLMP 2.2.2.1, RFC 4121 4.1.1.2)."""
    packed = bytes(16) + struct.pack("<I", len(application_data)) + application_data
    return _md5(packed).digest()


def compute_mic(exported_key: bytes, negotiate: bytes, challenge: bytes, authenticate: bytes) -> bytes:
    """Return the MIC over the three messages of a login (MS-NLMP 3.1.5.1.2).

    Args:
        exported_key: ExportedSessionKey.
        negotiate: Byte for byte as it was sent, as are the others.
        challenge: Likewise.
        authenticate: Its own MIC, right or wrong, does not count.
    """
    return hmac_md5(exported_key, negotiate + challenge + put_mic(authenticate, bytes(16)))


def put_mic(authenticate: bytes, mic: bytes) -> bytes:
    """Return an AUTHENTICATE message with another MIC."""
    return authenticate[: MIC.start] + mic + authenticate[MIC.stop :]


def hmac_md5(key: bytes, data: bytes) -> bytes:
    """Return the HMAC of RFC 2104 by MD5, with which NTLMv2 makes everything but the NT hash."""
    try:
        return hmac.digest(key, data, "md5")
    except ValueError:  # OpenSSL in FIPS mode
        return hmac.new(key, data, _md5).digest()
