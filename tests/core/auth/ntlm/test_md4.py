"""MD4 and the NT hash."""

from __future__ import annotations

import pytest

from px.core.auth.ntlm.md4 import md4, nt_hash
from px.core.errors import LoginUnusableError

#: RFC 1320 A.5.
RFC_1320 = [
    (b"", "31d6cfe0d16ae931b73c59d7e0c089c0"),
    (b"a", "bde52cb31de33e46245e05fbdbd6fb24"),
    (b"abc", "a448017aaf21d8525fc10ae87aa6729d"),
    (b"message digest", "d9130a8164549fe818874806e1c7014b"),
    (b"abcdefghijklmnopqrstuvwxyz", "d79e1c308aa5bbcdeea8ed63df412da9"),
    (
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
        "043f8582f241db351ce627e153e7f0e4",
    ),
    (b"1234567890" * 8, "e33b4ddc9c38f2199c3e7b164fcc0536"),
]


@pytest.mark.parametrize(("message", "digest"), RFC_1320)
def test_the_examples_of_rfc_1320_hold(message, digest):
    assert md4(message).hex() == digest


@pytest.mark.parametrize("length", [54, 55, 56, 57, 63, 64, 65, 119, 120, 128])
def test_every_length_around_a_block_agrees_with_an_independent_md4(length):
    from spnego._ntlm_raw.md4 import md4 as other  # noqa: PLC0415 - pyspnego's, as an oracle

    message = bytes(range(length))
    assert md4(message) == other(message)


def test_the_nt_hash_of_ms_nlmp_4_2_2_1_2_holds():
    assert nt_hash("Password").hex() == "a4f49c406510bdcab6824ee7c30fd852"


def test_a_password_beyond_ascii_is_hashed_as_utf16():
    assert nt_hash("€") == md4(b"\xac\x20")


def test_a_password_beyond_the_first_plane_is_hashed_as_a_surrogate_pair():
    assert nt_hash("\U0001f511") == md4(b"\x3d\xd8\x11\xdd")


def test_a_password_with_undecodable_bytes_is_unusable_and_kept_secret():
    with pytest.raises(LoginUnusableError, match="not text") as caught:
        nt_hash("secret\udc80")
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
