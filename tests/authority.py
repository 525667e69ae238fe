"""A certificate authority, made for the tests that need one."""

from __future__ import annotations

import hashlib
import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


class Authority:
    """A certificate authority and what it signed for 127.0.0.1 and localhost."""

    def __init__(self, directory: Path) -> None:
        self.ca_file = directory / "ca.pem"
        self.server_file = directory / "server.pem"
        ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        ca = _certificate("Test authority", "Test authority", ca_key).add_extension(_SIGNS, critical=True)
        ca = ca.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        ca = ca.add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
        leaf = _certificate("upstream", "Test authority", key).add_extension(_NAMES, critical=False)
        leaf = leaf.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        ca_identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
        leaf = leaf.add_extension(ca_identifier, critical=False)  # Python 3.13 requires it (RFC 5280 4.2.1.1)
        self.ca_file.write_bytes(_format(ca.sign(ca_key, SHA256())))
        self.server_file.write_bytes(_format(leaf.sign(ca_key, SHA256())) + _format_key(key))

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server_file)
        return context

    def bindings(self) -> bytes:
        """RFC 5929 4: the hash of the certificate, which is signed with SHA-256."""
        der = ssl.PEM_cert_to_DER_cert(self.server_file.read_text().partition("-----BEGIN PRIVATE")[0])
        return b"tls-server-end-point:" + hashlib.sha256(der).digest()


_NAMES = x509.SubjectAlternativeName(
    [x509.DNSName("localhost"), x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))]
)
_SIGNS = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


def _certificate(subject: str, issuer: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return x509.CertificateBuilder(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]),
        key.public_key(),
        x509.random_serial_number(),
        now - timedelta(hours=1),
        now + timedelta(days=1),
    )


def _format(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def _format_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
