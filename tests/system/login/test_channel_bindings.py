"""tls-server-end-point, of certificates that the library cryptography makes."""

from __future__ import annotations

import datetime as dt
import hashlib
from base64 import b64decode

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, padding, rsa
from hypothesis import given
from hypothesis import strategies as st

from px.core.auth.der import OID, SEQUENCE, format_der
from px.system.login.channel_bindings import tls_server_end_point

RSA_KEY = rsa.generate_private_key(65537, 2048)
DSA_KEY = dsa.generate_private_key(2048)
EC_KEY = ec.generate_private_key(ec.SECP384R1())


def certificate(key, algorithm, **kwargs) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "proxy.test")])
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, start, start.replace(year=2030))
    return builder.sign(key, algorithm, **kwargs).public_bytes(serialization.Encoding.DER)


SIGNED = certificate(RSA_KEY, hashes.SHA256())


@pytest.mark.parametrize(
    ("algorithm", "hash_name"),
    [
        (hashes.SHA224(), "sha224"),
        (hashes.SHA256(), "sha256"),
        (hashes.SHA384(), "sha384"),
        (hashes.SHA512(), "sha512"),
        (hashes.SHA3_256(), "sha3_256"),
        (hashes.SHA3_512(), "sha3_512"),
    ],
)
def test_the_certificate_is_hashed_as_it_was_signed(algorithm, hash_name):
    der = certificate(RSA_KEY, algorithm)
    expected = b"tls-server-end-point:" + hashlib.new(hash_name, der).digest()
    assert tls_server_end_point(der) == expected


SHA2 = (hashes.SHA224(), hashes.SHA256(), hashes.SHA384(), hashes.SHA512())
SHA3 = (hashes.SHA3_224(), hashes.SHA3_384())


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [
        *((kind, each) for kind in ("dsa", "pss", "ecdsa") for each in SHA2),
        *(("ecdsa", each) for each in SHA3),
    ],
)
def test_other_signatures_count_by_their_hash_too(kind, algorithm):
    if kind == "pss":
        pss = padding.PSS(padding.MGF1(algorithm), padding.PSS.DIGEST_LENGTH)
        der = certificate(RSA_KEY, algorithm, rsa_padding=pss)
    else:
        der = certificate(DSA_KEY if kind == "dsa" else EC_KEY, algorithm)
    expected = hashlib.new(algorithm.name.replace("-", "_"), der).digest()
    assert tls_server_end_point(der) == b"tls-server-end-point:" + expected


def test_a_pss_signature_with_sha3_counts_by_its_hash():
    # cryptography 42, as under Wine, writes another OID for SHA-3 there.
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
    sha256, sha3_384 = (bytes.fromhex(f"6086480165030402{arc}") for arc in ("01", "09"))
    der = certificate(RSA_KEY, hashes.SHA256(), rsa_padding=pss).replace(sha256, sha3_384)
    assert tls_server_end_point(der) == b"tls-server-end-point:" + hashlib.sha3_384(der).digest()


def test_pss_that_names_no_hash_means_sha1_and_counts_as_sha256():
    pss = format_der(OID, bytes.fromhex("2a864886f70d01010a")) + format_der(SEQUENCE, b"")
    der = format_der(SEQUENCE, format_der(SEQUENCE, b"") + format_der(SEQUENCE, pss))
    assert tls_server_end_point(der) == b"tls-server-end-point:" + hashlib.sha256(der).digest()


def with_algorithm(der: bytes, old: str, new: str) -> bytes:
    """Write another signature algorithm into a certificate (whose signature is then void)."""
    assert der.count(bytes.fromhex(old)) == 2
    return der.replace(bytes.fromhex(old), bytes.fromhex(new))


@pytest.mark.parametrize("weak", ["04", "05"])  # md5WithRSAEncryption, sha1WithRSAEncryption
def test_md5_and_sha1_become_sha256(weak):
    pkcs1 = "2a864886f70d0101"  # RFC 8017 appendix C
    der = with_algorithm(certificate(RSA_KEY, hashes.SHA256()), f"{pkcs1}0b", f"{pkcs1}{weak}")
    assert tls_server_end_point(der) == b"tls-server-end-point:" + hashlib.sha256(der).digest()


def test_a_signature_without_a_hash_of_its_own_has_no_bindings():
    assert tls_server_end_point(certificate(ed25519.Ed25519PrivateKey.generate(), None)) is None


@pytest.mark.parametrize("der", [b"", b"garbage", b64decode("MIIB")])
def test_bytes_that_are_no_certificate_have_no_bindings(der):
    assert tls_server_end_point(der) is None


@given(st.integers(0, 900), st.binary(max_size=4))
def test_no_damaged_certificate_does_more_than_fail(position, data):
    damaged = SIGNED[:position] + data + SIGNED[position + len(data) :]
    bindings = tls_server_end_point(damaged)
    assert bindings is None or bindings.startswith(b"tls-server-end-point:")
