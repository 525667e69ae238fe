"""What both sides of NTLM compute, against the numbers of MS-NLMP and against pyspnego."""

from __future__ import annotations

import hmac

import pytest
from spnego._ntlm_raw.crypto import md5
from spnego.channel_bindings import GssChannelBindings

from px.core.auth.ntlm.proof import hash_channel_bindings, hmac_md5, response_key, upcase_name
from tests.core.auth.ntlm.test_verifier import BINDINGS, HASH


def test_the_response_key_of_ms_nlmp_4_2_4_1_1_holds():
    assert response_key(HASH, "User", "Domain").hex() == "0c868a403bfd7a93a3001ef22ef02e3f"


@pytest.mark.parametrize(("name", "upper"), [("groß", "GROß"), ("jürgen", "JÜRGEN"), ("ŉ", "ŉ")])
def test_a_name_is_put_in_upper_case_a_character_for_a_character(name, upper):
    assert upcase_name(name) == upper


def test_the_hash_of_channel_bindings_agrees_with_an_independent_packing():
    expected = md5(GssChannelBindings(application_data=BINDINGS).pack())
    assert hash_channel_bindings(BINDINGS) == expected


def test_hmac_works_where_openssl_refuses_md5(monkeypatch):
    def refuse(*_: object) -> bytes:
        raise ValueError("[digital envelope routines] unsupported")

    expected = hmac_md5(b"key", b"data")
    monkeypatch.setattr(hmac, "digest", refuse)
    assert hmac_md5(b"key", b"data") == expected
