"""Channel bindings of a TLS connection, which tie a login to that connection (RFC 5929 4).

An upstream that checks the bindings ("Extended Protection") refuses a login that was relayed over another TLS
connection.
"""

from __future__ import annotations

import hashlib
from typing import Final

from px.core.auth.der import CONTEXT, OID, SEQUENCE, DerError, expect, read_element, read_whole

_PREFIX = b"tls-server-end-point:"
#: What a certificate is hashed with that was signed with MD5 or SHA-1 (RFC 5929 4.1).
_INSTEAD_OF_WEAK: Final = "sha256"
_SHA2: Final = ("sha224", "sha256", "sha384", "sha512")
_SHA3: Final = ("sha3_224", "sha3_256", "sha3_384", "sha3_512")
#: 1.2.840.113549.1.1 (RFC 8017 appendix C), 1.2.840.10045.4 (RFC 5758 3.2), 2.16.840.1.101.3.4 (NIST CSOR).
_PKCS1: Final = bytes.fromhex("2a864886f70d0101")
_ECDSA: Final = bytes.fromhex("2a8648ce3d04")
_NIST: Final = bytes.fromhex("60864801650304")
_PSS: Final = _PKCS1 + b"\x0a"
#: OID of a hash, in the parameters of PSS -> hashlib's name of what the certificate is hashed with.
_HASHES: Final = {
    bytes.fromhex("2b0e03021a"): _INSTEAD_OF_WEAK,  # SHA-1, 1.3.14.3.2.26
    **{_NIST + bytes((2, arc)): name for arc, name in zip((4, 1, 2, 3), _SHA2, strict=True)},
    **{_NIST + bytes((2, arc)): name for arc, name in enumerate(_SHA3, 7)},
}
#: OID of a signature -> the same.
_SIGNATURES: Final = {
    **dict.fromkeys((_PKCS1 + b"\x04", _PKCS1 + b"\x05", bytes.fromhex("2b0e03021d")), _INSTEAD_OF_WEAK),
    **{_PKCS1 + bytes((arc,)): name for arc, name in zip((14, 11, 12, 13), _SHA2, strict=True)},
    _ECDSA + b"\1": _INSTEAD_OF_WEAK,
    **{_ECDSA + bytes((3, arc)): name for arc, name in enumerate(_SHA2, 1)},
    bytes.fromhex("2a8648ce380403"): _INSTEAD_OF_WEAK,  # DSA with SHA-1
    **{_NIST + bytes((3, arc)): name for arc, name in enumerate((*_SHA2, *3 * _SHA3), 1)},
}


def tls_server_end_point(certificate_der: bytes) -> bytes | None:
    """Return ``tls-server-end-point:`` and the hash of an upstream's certificate (RFC 5929 4.1).

    Args:
        certificate_der: The certificate as the upstream sent it (`ssl.SSLSocket.getpeercert(True)`).

    Returns:
        None where the RFC defines no bindings: the signature uses no single hash (Ed25519, say), or the
        certificate cannot be read.
    """
    try:
        hash_name = _choose_hash(certificate_der)
    except DerError:
        return None
    return _PREFIX + hashlib.new(hash_name, certificate_der).digest() if hash_name else None


def _choose_hash(certificate_der: bytes) -> str | None:
    """Return hashlib's name of the hash for a certificate, by its signatureAlgorithm (RFC 5280 4.1.1.2)."""
    certificate = expect(read_whole(certificate_der), SEQUENCE)
    _, _, rest = read_element(certificate)  # tbsCertificate, what was signed
    tag, algorithm, _ = read_element(rest)
    oid, parameters = _read_algorithm((tag, algorithm))
    return _choose_pss_hash(parameters) if oid == _PSS else _SIGNATURES.get(oid)


def _choose_pss_hash(parameters: bytes) -> str | None:
    """Return the same for RSASSA-PSS, whose parameters name the hash, or mean SHA-1 (RFC 8017 A.2.3)."""
    fields = expect(read_whole(parameters), SEQUENCE)
    if not fields.startswith(bytes((CONTEXT[0],))):
        return _INSTEAD_OF_WEAK
    _, content, _ = read_element(fields)
    oid, _ = _read_algorithm(read_whole(content))
    return _HASHES.get(oid)


def _read_algorithm(element: tuple[int, bytes]) -> tuple[bytes, bytes]:
    """Return the OID and the parameters of an AlgorithmIdentifier (RFC 5280 4.1.1.2)."""
    tag, oid, parameters = read_element(expect(element, SEQUENCE))
    return expect((tag, oid), OID), parameters
