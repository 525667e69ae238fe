"""Channel bindings of a TLS connection, which tie a login to that connection (RFC 5929 4).

An upstream that checks the bindings ("Extended Protection") refuses a login that was relayed over another TLS
connection.
"""

from __future__ import annotations

import hashlib

_PREFIX = b"tls-server-end-point:"
#: RFC 5929 4.1: a certificate signed with one of these is hashed with SHA-256 instead.
_TOO_WEAK = frozenset({"md5", "sha1"})


def tls_server_end_point(certificate_der: bytes) -> bytes | None:
    """Return ``tls-server-end-point:`` and the hash of an upstream's certificate (RFC 5929 4.1).

    Args:
        certificate_der: The certificate as the upstream sent it (`ssl.SSLSocket.getpeercert(True)`).

    Returns:
        None where the RFC defines no bindings: the signature uses no single hash (Ed25519, say), or the
        certificate cannot be read.
    """
    hash_name = _signature_hash(certificate_der)
    if hash_name is None:
        return None
    chosen = "sha256" if hash_name in _TOO_WEAK else hash_name
    return _PREFIX + hashlib.new(chosen, certificate_der).digest()


def _signature_hash(certificate_der: bytes) -> str | None:
    """Return hashlib's name of the hash that the certificate's signature uses, or None."""
    # Imported here: the import takes 0.1 s, and only a login over TLS needs it.
    from cryptography import x509  # noqa: PLC0415
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415

    try:
        algorithm = x509.load_der_x509_certificate(certificate_der).signature_hash_algorithm
    except (ValueError, UnsupportedAlgorithm):
        return None
    name = algorithm.name.replace("-", "_") if algorithm else ""
    return name if name in hashlib.algorithms_available else None
