"""The client of NTLM, against MS-NLMP's own numbers, pyspnego on both sides, and Px's own verifier."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
import spnego
from hypothesis import given
from hypothesis import strategies as st
from spnego._ntlm_raw.messages import Authenticate, AvId, FileTime, Negotiate, NTClientChallengeV2
from spnego.channel_bindings import GssChannelBindings
from spnego.exceptions import BadBindingsError, InvalidTokenError

from px.core.auth.ntlm.client import NEGOTIATE, NtlmClient, make_lm_response, make_nt_response
from px.core.auth.ntlm.errors import NtlmError, NtlmMalformedError, NtlmRefusedError
from px.core.auth.ntlm.md4 import nt_hash
from px.core.auth.ntlm.messages import (
    NtlmLogin,
    format_challenge,
    parse_authenticate,
    parse_negotiate,
)
from px.core.auth.ntlm.proof import MIC, response_key
from px.core.auth.ntlm.target_info import (
    AV_CHANNEL_BINDINGS,
    AV_DOMAIN,
    AV_FLAG_MIC,
    AV_FLAGS,
    AV_TARGET_NAME,
    AV_TIMESTAMP,
    format_target_info,
    parse_target_info,
    read_flags,
)
from px.core.auth.ntlm.verifier import verify_authenticate
from tests.core.auth.ntlm.test_target_info import TARGET_INFO
from tests.core.auth.ntlm.test_verifier import BINDINGS, HASH, NAME, NOW, SERVER_CHALLENGE, USER, VECTOR

LOGIN = NtlmLogin("User", "Domain", "COMPUTER")
NONCE = b"\xaa" * 8
SPN = "HTTP/proxy.test"
#: What the client's clock says.
CLOCK = 1_655_526_400
HASHES = st.binary(min_size=16, max_size=16)
SOME_BINDINGS = st.none() | st.binary(min_size=32, max_size=64).map(b"tls-server-end-point:".__add__)


def make_client(login: NtlmLogin = LOGIN, hashed: bytes = HASH) -> NtlmClient:
    return NtlmClient(login, hashed, lambda count: NONCE[:count], lambda: CLOCK)


def challenge_with(pairs: dict[int, bytes], flags: int = 0xE2898235) -> bytes:
    """Return a CHALLENGE with this target information, and with flags as in MS-NLMP 4.2.4."""
    info = format_target_info(pairs)
    head = b"NTLMSSP\0" + struct.pack("<IHHII8s8x", 2, 0, 0, 56, flags, SERVER_CHALLENGE)
    return head + struct.pack("<HHI", len(info), len(info), 56) + bytes(8) + info


def info_of(authenticate: bytes) -> dict[int, bytes]:
    """Return the AV_PAIRs that a response covers."""
    return parse_target_info(parse_authenticate(authenticate).nt_response[16 + 28 :])


def verify(challenge: bytes, authenticate: bytes, hashed: bytes = HASH, **kwargs) -> NtlmLogin:
    return verify_authenticate(NEGOTIATE, challenge, authenticate, lambda *_: hashed, **kwargs)


def test_the_responses_of_ms_nlmp_4_2_4_hold():
    key = response_key(HASH, "User", "Domain")
    info = format_target_info({2: "Domain".encode("utf-16-le"), 1: "Server".encode("utf-16-le")})
    message = Authenticate.unpack(VECTOR)
    assert make_nt_response(key, SERVER_CHALLENGE, NONCE, bytes(8), info) == message.nt_challenge_response
    assert make_lm_response(key, SERVER_CHALLENGE, NONCE) == message.lm_challenge_response


def test_the_negotiate_message_offers_what_windows_offers_over_http():
    flags = parse_negotiate(NEGOTIATE).flags
    assert flags == 0xA2088207
    assert Negotiate.unpack(NEGOTIATE).flags == flags
    assert len(NEGOTIATE) == 40


def step_pyspnego(login: NtlmLogin, hashed: bytes, challenge: bytes, bindings: bytes | None) -> bytes:
    """Return pyspnego's answer to a challenge, with the nonce and the clock of these tests."""
    system = SimpleNamespace(urandom=lambda count: NONCE[:count].ljust(count), environ={})
    system.environ["NETBIOS_COMPUTER_NAME"] = login.workstation
    moment = FileTime.unpack(struct.pack("<Q", 116_444_736_000_000_000 + CLOCK * 10_000_000))
    with mock.patch("spnego._ntlm.os", system), mock.patch.object(FileTime, "now", return_value=moment):
        client = spnego.client(
            spnego.NTLMHash(f"{login.domain}\\{login.user}", nt_hash=hashed.hex()),
            hostname="proxy.test",
            service="HTTP",
            protocol="ntlm",
            channel_bindings=GssChannelBindings(application_data=bindings) if bindings else None,
            options=spnego.NegotiateOptions.use_ntlm,
        )
        client.step()
        return client.step(challenge) or b""


@given(st.builds(NtlmLogin, USER, NAME, NAME), HASHES, TARGET_INFO, SOME_BINDINGS)
def test_pyspnego_makes_the_same_responses_and_names(login, hashed, pairs, bindings):
    challenge = challenge_with(pairs)
    ours = Authenticate.unpack(make_client(login, hashed).authenticate(challenge, SPN, bindings))
    theirs = Authenticate.unpack(step_pyspnego(login, hashed, challenge, bindings))
    assert ours.nt_challenge_response == theirs.nt_challenge_response
    assert ours.lm_challenge_response == theirs.lm_challenge_response
    assert (ours.domain_name or "", ours.user_name) == (theirs.domain_name or "", theirs.user_name)
    assert (ours.workstation or "") == (theirs.workstation or "")


@given(st.builds(NtlmLogin, USER, NAME, NAME), HASHES, TARGET_INFO, SOME_BINDINGS)
def test_the_verifier_of_px_accepts_every_login_and_no_other_hash(login, hashed, pairs, bindings):
    challenge = challenge_with(pairs)
    authenticate = make_client(login, hashed).authenticate(challenge, SPN, bindings)
    assert verify(challenge, authenticate, hashed, channel_bindings=bindings) == login
    with pytest.raises(NtlmRefusedError):
        verify(challenge, authenticate, bytes(16) if any(hashed) else HASH)


class Acceptor:
    """Pyspnego as the server, with one user."""

    def __init__(self, file: Path, login: NtlmLogin, hashed: bytes, bindings: bytes | None = None) -> None:
        file.write_text(f"{login.domain}\\{login.user}:1:{32 * '0'}:{hashed.hex()}:[U]:0", encoding="utf-8")
        self._environment = {"NTLM_USER_FILE": str(file)}
        with mock.patch.dict(os.environ, self._environment):
            self._context = spnego.server(
                protocol="ntlm",
                channel_bindings=GssChannelBindings(application_data=bindings) if bindings else None,
                options=spnego.NegotiateOptions.use_ntlm,
            )

    def log_in(self, login: NtlmLogin, hashed: bytes, bindings: bytes | None, edit=bytes) -> str:
        """Return the user whom pyspnego has accepted; `edit` changes the last message."""
        client = NtlmClient(login, hashed, os.urandom, lambda: CLOCK)
        with mock.patch.dict(os.environ, self._environment):
            challenge = self._context.step(NEGOTIATE) or b""
            self._context.step(edit(client.authenticate(challenge, SPN, bindings)))
        assert self._context.complete
        return self._context.client_principal or ""


@pytest.fixture(scope="module")
def user_file(tmp_path_factory) -> Path:
    directory: Path = tmp_path_factory.mktemp("ntlm")
    return directory / "users"


@given(login=st.builds(NtlmLogin, USER, NAME, NAME), hashed=HASHES, bindings=SOME_BINDINGS)
def test_pyspnego_accepts_every_login(user_file, login, hashed, bindings):
    acceptor = Acceptor(user_file, login, hashed, bindings)
    user = f"{login.domain}\\{login.user}" if login.domain else login.user
    assert acceptor.log_in(login, hashed, bindings) == user


def test_pyspnego_refuses_another_hash_other_bindings_and_a_changed_message(user_file):
    with pytest.raises(InvalidTokenError, match="response"):
        Acceptor(user_file, LOGIN, HASH).log_in(LOGIN, nt_hash("other"), None)
    with pytest.raises(BadBindingsError):
        Acceptor(user_file, LOGIN, HASH, BINDINGS).log_in(LOGIN, HASH, b"tls-server-end-point:other")
    with pytest.raises(InvalidTokenError, match="MIC"):
        Acceptor(user_file, LOGIN, HASH).log_in(
            LOGIN, HASH, None, lambda token: token[:64] + b"\xfe" + token[65:]
        )


def test_the_response_covers_the_target_name_and_the_channel_bindings():
    authenticate = make_client().authenticate(challenge_with({}), SPN, BINDINGS)
    info = NTClientChallengeV2.unpack(parse_authenticate(authenticate).nt_response[16:]).av_pairs
    assert info[AvId.target_name] == SPN
    assert info[AvId.channel_bindings] == info_of(authenticate)[AV_CHANNEL_BINDINGS]


@pytest.mark.parametrize("planted", [bytes(16), b"\1" * 16])
def test_a_server_cannot_plant_channel_bindings_or_a_target_name(planted):
    other = "HTTP/other.test".encode("utf-16-le")
    challenge = challenge_with({AV_CHANNEL_BINDINGS: planted, AV_TARGET_NAME: other})
    info = info_of(make_client().authenticate(challenge, SPN, None))
    assert AV_CHANNEL_BINDINGS not in info
    assert info[AV_TARGET_NAME] == SPN.encode("utf-16-le")


def test_with_a_timestamp_there_is_a_mic_the_servers_time_and_no_lm_response():
    challenge = format_challenge(SERVER_CHALLENGE, "PX", NOW)
    authenticate = make_client().authenticate(challenge, SPN, None)
    message = Authenticate.unpack(authenticate)
    assert read_flags(info_of(authenticate)) == AV_FLAG_MIC
    assert authenticate[MIC] != bytes(16)
    assert message.lm_challenge_response == bytes(24)
    assert parse_authenticate(authenticate).nt_response[24:32] == struct.pack("<Q", NOW)
    assert verify(challenge, authenticate) == LOGIN


def test_without_a_timestamp_the_own_clock_counts_and_there_is_no_mic():
    authenticate = make_client().authenticate(format_challenge(SERVER_CHALLENGE, "PX"), SPN, None)
    assert authenticate[MIC] == bytes(16)
    assert AV_FLAGS not in info_of(authenticate)
    moment = 116_444_736_000_000_000 + CLOCK * 10_000_000
    assert parse_authenticate(authenticate).nt_response[24:32] == struct.pack("<Q", moment)


def test_a_mic_that_the_servers_flags_promise_is_there_without_a_timestamp():
    challenge = challenge_with({AV_FLAGS: struct.pack("<I", AV_FLAG_MIC)})
    assert verify(challenge, make_client().authenticate(challenge, SPN, None)) == LOGIN


@pytest.mark.parametrize("part", range(3))
def test_the_mic_covers_all_three_messages(part):
    challenge = format_challenge(SERVER_CHALLENGE, "PX", NOW)
    messages = [NEGOTIATE, challenge, make_client().authenticate(challenge, SPN, None)]
    place = (12, 48, 64)[part]  # flags, version, version
    messages[part] = messages[part][:place] + b"\xfe" + messages[part][place + 1 :]
    negotiate, challenge, authenticate = messages
    with pytest.raises(NtlmRefusedError, match="MIC"):
        verify_authenticate(negotiate, challenge, authenticate, lambda *_: HASH)


@pytest.mark.parametrize("flags", [0, 0x1, 0x8201, 0xFFFFFFFF, 0xFFFFFFFF & ~0x80000, 0x80])
def test_no_flags_of_a_server_lead_to_lm_or_ntlmv1_or_to_a_key_exchange(flags):
    challenge = challenge_with({}, flags)
    authenticate = make_client().authenticate(challenge, SPN, None)
    message = parse_authenticate(authenticate)
    assert verify(challenge, authenticate) == LOGIN  # by NTLMv2 only
    assert not message.flags & ~(parse_negotiate(NEGOTIATE).flags | 0x00800000)
    assert message.session_key == b""
    key = response_key(HASH, "User", "Domain")
    lm_response = Authenticate.unpack(authenticate).lm_challenge_response
    assert lm_response == make_lm_response(key, SERVER_CHALLENGE, NONCE)


def test_names_of_all_planes_go_out_as_utf16():
    login = NtlmLogin("jürgen🔑", "ДОМЕН", "DESK7")
    challenge = format_challenge(SERVER_CHALLENGE, "PX", NOW)
    assert verify(challenge, make_client(login).authenticate(challenge, SPN, None)) == login


def test_a_server_without_unicode_gets_ascii_names_only():
    challenge = format_challenge(SERVER_CHALLENGE, "PX", NOW, negotiate_flags=0x2)
    assert verify(challenge, make_client().authenticate(challenge, SPN, None)) == LOGIN
    with pytest.raises(NtlmError, match="characters that the server cannot read"):
        make_client(NtlmLogin("jürgen", "", "")).authenticate(challenge, SPN, None)


def test_a_name_that_fits_into_no_message_is_an_error():
    challenge = format_challenge(SERVER_CHALLENGE, "PX", NOW)
    assert make_client(NtlmLogin("u" * 32_767, "", "")).authenticate(challenge, SPN, None)
    with pytest.raises(NtlmError, match="too long"):
        make_client(NtlmLogin("u" * 32_768, "", "")).authenticate(challenge, SPN, None)


def test_a_name_that_is_not_text_is_never_sent():
    client = make_client(NtlmLogin("user\udc80", "", ""))
    with pytest.raises(NtlmError, match="characters"):
        client.authenticate(format_challenge(SERVER_CHALLENGE, "PX", NOW), SPN, None)


@pytest.mark.parametrize(
    "pairs", [{AV_TIMESTAMP: bytes(7)}, {AV_TIMESTAMP: b""}, {AV_FLAGS: b"\2", AV_TIMESTAMP: bytes(8)}]
)
def test_target_information_with_fields_of_a_wrong_length_is_malformed(pairs):
    with pytest.raises(NtlmMalformedError):
        make_client().authenticate(challenge_with(pairs), SPN, None)


def test_target_information_that_fits_into_no_response_is_malformed():
    with pytest.raises(NtlmMalformedError, match="too long"):
        make_client().authenticate(challenge_with({AV_DOMAIN: bytes(65_500)}), SPN, None)


def test_target_information_without_an_end_is_answered():
    challenge = challenge_with({AV_TIMESTAMP: struct.pack("<Q", NOW)})
    size = len(challenge) - 56 - 4
    challenge = challenge[:40] + struct.pack("<HH", size, size) + challenge[44:-4]
    assert verify(challenge, make_client().authenticate(challenge, SPN, None)) == LOGIN


@given(st.binary(max_size=30), st.integers(0, 120), st.integers(0, 120))
def test_no_garbled_challenge_does_more_than_fail(garbage, start, end):
    challenge = format_challenge(SERVER_CHALLENGE, "PX", NOW)
    challenge = challenge[:start] + garbage + challenge[end:]
    try:
        authenticate = make_client().authenticate(challenge, SPN, None)
    except NtlmError:
        return
    assert verify(challenge, authenticate) == LOGIN


def test_the_repr_shows_neither_key_nor_response():
    client = make_client()
    message = parse_authenticate(client.authenticate(format_challenge(SERVER_CHALLENGE, "PX"), SPN, None))
    assert repr(client) == f"<NtlmClient {LOGIN!r}>"
    assert repr(message) == f"<NtlmAuthenticate {LOGIN!r}>"
