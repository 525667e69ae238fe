"""SPNEGO against pyspnego's encoder and decoder, and against noise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spnego._spnego import NegState, NegTokenInit, NegTokenResp, unpack_token

from px.core.auth.spnego import (
    KERBEROS,
    NTLM,
    Mechanism,
    NegotiateToken,
    SpnegoError,
    format_reply,
    is_bare_ntlm,
    parse_negotiate_token,
)
from px.system.login.spnego_frame import frame_kerberos

KERBEROS_OID, MS_KERBEROS_OID = "1.2.840.113554.1.2.2", "1.2.840.48018.1.2.2"
NTLM_OID, NEGOEX_OID = "1.3.6.1.4.1.311.2.2.10", "1.3.6.1.4.1.311.2.2.30"
NTLM_1 = b"NTLMSSP\0" + (1).to_bytes(4, "little") + bytes(20)
NTLM_3 = b"NTLMSSP\0" + (3).to_bytes(4, "little") + bytes(60)


def names(token: NegotiateToken) -> list[str]:
    return [mechanism.name for mechanism in token.mechanisms]


@pytest.mark.parametrize("size", [0, 1, 100, 200, 70_000])
def test_the_first_token_of_a_windows_client_is_read(size):
    offered = [MS_KERBEROS_OID, KERBEROS_OID, NEGOEX_OID, NTLM_OID]
    token = parse_negotiate_token(NegTokenInit(offered, mech_token=b"t" * size).pack())
    assert names(token) == [KERBEROS, KERBEROS, "", NTLM]
    assert (token.token, token.is_framed) == (b"t" * size, True)


def test_a_frame_without_a_token_is_read():
    token = parse_negotiate_token(NegTokenInit([NTLM_OID]).pack())
    assert (names(token), token.token) == ([NTLM], b"")


def test_a_token_that_px_sends_upstream_is_read():
    token = parse_negotiate_token(frame_kerberos(b"ticket" * 100))
    assert (names(token), token.token, token.is_framed) == ([KERBEROS], b"ticket" * 100, True)


def test_the_later_token_of_a_client_is_read():
    going_on = NegTokenResp(
        neg_state=NegState.accept_incomplete, response_token=NTLM_3, mech_list_mic=b"m" * 16
    )
    token = parse_negotiate_token(going_on.pack())
    assert (token.mechanisms, token.token, token.is_framed) == ((), NTLM_3, True)


def test_bare_ntlm_begins_with_its_first_message_only():
    assert names(parse_negotiate_token(NTLM_1)) == [NTLM]
    assert parse_negotiate_token(NTLM_3) == NegotiateToken((), NTLM_3, is_framed=False)
    assert is_bare_ntlm(NTLM_3)


def test_bare_kerberos_is_known_by_its_oid():
    bare = bytes.fromhex("60 0f 06 09 2a864886f712010202 0100 ab cd")
    assert parse_negotiate_token(bare) == NegotiateToken(
        (Mechanism(bytes.fromhex("2a864886f712010202"), KERBEROS),), bare, is_framed=False
    )


@pytest.mark.parametrize("size", [0, 100, 300])
@pytest.mark.parametrize("is_complete", [True, False])
def test_pyspnego_reads_a_reply(size, is_complete):
    (mechanism,) = parse_negotiate_token(NegTokenInit([MS_KERBEROS_OID]).pack()).mechanisms
    reply = unpack_token(format_reply(mechanism, b"r" * size, is_complete=is_complete))
    assert isinstance(reply, NegTokenResp)
    assert reply.supported_mech == MS_KERBEROS_OID  # as the client wrote it
    assert (reply.response_token or b"") == b"r" * size
    wanted = NegState.accept_complete if is_complete else NegState.accept_incomplete
    assert reply.neg_state == wanted


def test_a_later_reply_names_no_mechanism():
    reply = unpack_token(format_reply(None, b"", is_complete=True))
    assert isinstance(reply, NegTokenResp)
    assert reply.supported_mech is None


WHOLE = NegTokenInit([MS_KERBEROS_OID, NTLM_OID], mech_token=b"t" * 300).pack()


@pytest.mark.parametrize("end", range(len(WHOLE)))
def test_a_token_cut_short_anywhere_is_refused(end):
    with pytest.raises(SpnegoError):
        parse_negotiate_token(WHOLE[:end])


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (WHOLE + b"x", "behind the last"),
        (bytes.fromhex("3000"), "not a token"),
        (bytes.fromhex("6003 0601 2a"), "unknown mechanism"),
        (bytes.fromhex("6080 0000"), "odd form"),
        (bytes.fromhex("60ff") + bytes(127), "odd form"),
        (bytes.fromhex("a104 3002 a200"), "cut short"),
        (bytes.fromhex("a106 3004 a202 0500"), "another type"),
    ],
)
def test_a_token_with_an_odd_layout_is_refused(token, reason):
    with pytest.raises(SpnegoError, match=reason):
        parse_negotiate_token(token)


@given(st.binary(max_size=200), st.integers(0, len(WHOLE)))
def test_noise_is_refused_or_read_without_another_error(noise, start):
    for data in (noise, WHOLE[:start] + noise, WHOLE[:start] + noise + WHOLE[start + len(noise) :]):
        try:
            token = parse_negotiate_token(data)
        except SpnegoError:
            continue
        assert len(token.token) <= len(data)
