"""The messages of NTLM, read and written, against pyspnego."""

from __future__ import annotations

import struct

import pytest
from spnego._ntlm_raw.messages import AvId, Challenge

from px.core.auth.ntlm.errors import NtlmMalformedError
from px.core.auth.ntlm.messages import (
    NtlmChallenge,
    format_challenge,
    parse_challenge,
    parse_negotiate,
    read_login,
)
from px.core.auth.ntlm.target_info import AV_TIMESTAMP, parse_target_info
from tests.core.auth.ntlm.test_verifier import NOW, SERVER_CHALLENGE, VECTOR


def test_pyspnego_finds_what_the_challenge_says():
    challenge = Challenge.unpack(format_challenge(SERVER_CHALLENGE, "PX", NOW, dns_name="px.test"))
    assert challenge.server_challenge == SERVER_CHALLENGE
    assert challenge.target_name == "PX"
    assert challenge.target_info is not None
    assert challenge.target_info[AvId.dns_computer_name] == "px.test"
    assert challenge.target_info[AvId.nb_domain_name] == "PX"


def test_a_challenge_grants_nothing_that_was_not_offered():
    (flags,) = struct.unpack_from("<I", format_challenge(SERVER_CHALLENGE, "PX", negotiate_flags=0x2), 20)
    assert flags & 0x2
    assert not flags & (0x1 | 0x10 | 0x20 | 0x40000000 | 0x80000)


@pytest.mark.parametrize("message", [b"", b"NTLMSSP\0", b"x" * 40, VECTOR])
def test_a_message_of_another_kind_than_negotiate_is_malformed(message):
    with pytest.raises(NtlmMalformedError):
        parse_negotiate(message)


def test_a_negotiate_message_without_a_character_set_is_malformed():
    with pytest.raises(NtlmMalformedError, match="character set"):
        parse_negotiate(b"NTLMSSP\0\x01\0\0\0" + bytes(8))


def test_the_names_of_an_authenticate_message_are_read():
    assert read_login(VECTOR) == ("User", "Domain", "COMPUTER")


def test_a_challenge_is_read_as_it_was_written():
    challenge = parse_challenge(format_challenge(SERVER_CHALLENGE, "PX", NOW))
    assert challenge.server_challenge == SERVER_CHALLENGE
    assert parse_target_info(challenge.target_info)[AV_TIMESTAMP] == struct.pack("<Q", NOW)


@pytest.mark.parametrize("length", [32, 40, 47])
def test_a_challenge_of_the_first_version_of_ntlm_has_no_target_information(length):
    message = b"NTLMSSP\0" + struct.pack("<IQI", 2, 0, 0x8201) + SERVER_CHALLENGE + b"\xff" * 15
    assert parse_challenge(message[:length]) == NtlmChallenge(0x8201, SERVER_CHALLENGE, b"")


@pytest.mark.parametrize("message", [b"", b"NTLMSSP\0\x02\0\0\0" + bytes(19), b"x" * 48, VECTOR])
def test_a_message_of_another_kind_than_challenge_is_malformed(message):
    with pytest.raises(NtlmMalformedError):
        parse_challenge(message)


def test_target_information_outside_of_its_challenge_is_malformed():
    with pytest.raises(NtlmMalformedError, match="outside"):
        parse_challenge(format_challenge(SERVER_CHALLENGE, "PX", NOW)[:-1])
