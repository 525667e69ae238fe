"""The verifying side of NTLM, against MS-NLMP's own numbers, pyspnego's client and curl."""

from __future__ import annotations

import shutil
import socket
import struct
import subprocess
import threading
from base64 import b64decode, b64encode

import pytest
import spnego
from hypothesis import given
from hypothesis import strategies as st
from spnego.channel_bindings import GssChannelBindings

from px.core.auth.ntlm import messages, verifier
from px.core.auth.ntlm.errors import NtlmError, NtlmMalformedError, NtlmRefusedError
from px.core.auth.ntlm.md4 import nt_hash
from px.core.auth.ntlm.messages import NtlmLogin, format_challenge, parse_negotiate
from px.core.auth.ntlm.proof import compute_mic, hmac_md5, put_mic, response_key, upcase_name
from px.core.auth.ntlm.verifier import verify_authenticate

HASH = nt_hash("Password")
SERVER_CHALLENGE = bytes.fromhex("0123456789abcdef")
NOW = 133_000_000_000_000_000
BINDINGS = b"tls-server-end-point:" + bytes(range(32))
LETTER = st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="\\:@")
NAME = st.text(LETTER, max_size=15)
#: Pyspnego turns "ß" into "SS", which Windows does not.
USER = NAME.filter(lambda name: name and upcase_name(name) == name.upper())

#: MS-NLMP 4.2.4.3, the AUTHENTICATE message.
VECTOR = bytes.fromhex(
    "4e544c4d53535000 03000000 180018006c000000 5400540084000000 0c000c0048000000 0800080054000000"
    "100010005c000000 10001000d8000000 358288e2 0501280a0000000f 44006f006d00610069006e00"
    "5500730065007200 43004f004d0050005500540045005200 86c35097ac9cec102554764a57cccc19aaaaaaaaaaaaaaaa"
    "68cd0ab851e51c96aabc927bebef6a1c 0101000000000000 0000000000000000 aaaaaaaaaaaaaaaa 00000000"
    "02000c00 44006f006d00610069006e00 01000c00 530065007200760065007200 00000000 00000000"
    "c5dad2544fc9799094ce1ce90bc9d03e"
)


def know(user: str, domain: str) -> bytes | None:
    return HASH if user.casefold() == "user" else None


class Handshake:
    """Three messages with pyspnego as the client."""

    def __init__(
        self, user: str = "DOM\\User", *, timestamp: int | None = NOW, bindings: bytes | None = None
    ):
        client = spnego.client(
            spnego.NTLMHash(user, nt_hash=HASH.hex()),
            hostname="proxy.test",
            service="HTTP",
            protocol="ntlm",
            channel_bindings=GssChannelBindings(application_data=bindings) if bindings else None,
        )
        self.negotiate = client.step() or b""
        flags = parse_negotiate(self.negotiate).flags
        self.challenge = format_challenge(SERVER_CHALLENGE, "PX", timestamp, negotiate_flags=flags)
        self.authenticate = client.step(self.challenge) or b""

    def verify(self, authenticate: bytes | None = None, **kwargs) -> NtlmLogin:
        message = self.authenticate if authenticate is None else authenticate
        return verify_authenticate(self.negotiate, self.challenge, message, know, **kwargs)


def test_the_message_of_ms_nlmp_4_2_4_3_logs_in():
    challenge = format_challenge(SERVER_CHALLENGE, "Server")
    assert verify_authenticate(b"", challenge, VECTOR, know) == NtlmLogin("User", "Domain", "COMPUTER")


def test_the_session_key_of_ms_nlmp_4_2_4_2_3_is_unwrapped():
    message = messages.parse_authenticate(VECTOR)
    key = bytes.fromhex("8de40ccadbc14a82f15cb0ad0de95ca3")
    assert verifier._export_session_key(message, key) == b"\x55" * 16


@pytest.mark.parametrize("timestamp", [None, NOW])
def test_pyspnego_logs_in_with_and_without_a_mic(timestamp):
    assert Handshake(timestamp=timestamp).verify()[:2] == ("User", "DOM")


def test_a_upn_without_domain_logs_in():
    assert Handshake("User").verify() == NtlmLogin("User", "", Handshake("User").verify().workstation)


@given(USER, NAME, st.none() | st.just(BINDINGS))
def test_pyspnego_logs_in_with_every_name(user, domain, bindings):
    shake = Handshake(f"{domain}\\{user}", bindings=bindings)
    login = verify_authenticate(
        shake.negotiate, shake.challenge, shake.authenticate, lambda *_: HASH, channel_bindings=bindings
    )
    assert login[:2] == (user, domain)


def test_the_wrong_password_is_refused():
    shake = Handshake()
    with pytest.raises(NtlmRefusedError, match="wrong user or password"):
        verify_authenticate(shake.negotiate, shake.challenge, shake.authenticate, lambda *_: nt_hash("other"))


def test_an_unknown_user_is_refused():
    with pytest.raises(NtlmRefusedError, match="unknown user"):
        Handshake("DOM\\nobody").verify()


def test_an_answer_to_another_challenge_is_refused():
    shake = Handshake()
    shake.challenge = format_challenge(b"\xff" * 8, "PX", NOW)
    with pytest.raises(NtlmRefusedError, match="another challenge"):
        shake.verify()


@pytest.mark.parametrize("part", ["negotiate", "challenge", "authenticate", "mic"])
def test_a_change_anywhere_that_only_the_mic_covers_is_noticed(part):
    shake = Handshake()
    place = {"negotiate": ("negotiate", 12), "challenge": ("challenge", 48), "mic": ("authenticate", 75)}
    name, offset = place.get(part, ("authenticate", 64))  # the version field
    message = bytearray(getattr(shake, name))
    message[offset] ^= 1
    setattr(shake, name, bytes(message))
    with pytest.raises(NtlmRefusedError, match="MIC"):
        shake.verify()


def test_a_promised_mic_cannot_be_left_out():
    shake = Handshake()
    blank = shake.authenticate[:72] + bytes(16) + shake.authenticate[88:]
    with pytest.raises(NtlmRefusedError, match="MIC"):
        shake.verify(blank)


@pytest.mark.parametrize("length", [0, 1, 15, 17])
def test_a_session_key_that_an_attacker_could_know_makes_no_mic(length):
    """An attacker between both sides alters the login, and makes the MIC with the key that he has put in."""
    shake = Handshake()
    altered = bytearray(shake.authenticate)
    key_exchange_and_sign = 0x40000010
    flags = struct.unpack_from("<I", altered, 60)[0] | key_exchange_and_sign
    struct.pack_into("<I", altered, 60, flags)
    struct.pack_into("<HHI", altered, 44, 0, 0, 0)  # another workstation
    struct.pack_into("<HHI", altered, 52, length, length, 0)
    mic = compute_mic(b"", shake.negotiate, shake.challenge, bytes(altered))
    with pytest.raises(NtlmMalformedError, match="not 16 bytes"):
        shake.verify(put_mic(bytes(altered), mic))


def test_a_message_too_short_for_its_promised_mic_is_refused():
    with pytest.raises(NtlmRefusedError, match="missing"):
        verifier._check_mic(bytes(16), (b"", b"", bytes(80)))


def test_matching_channel_bindings_are_accepted():
    assert Handshake(bindings=BINDINGS).verify(channel_bindings=BINDINGS).user == "User"


@pytest.mark.parametrize("bound_to", [None, b"tls-server-end-point:other"])
def test_other_or_missing_channel_bindings_are_refused_when_demanded(bound_to):
    with pytest.raises(NtlmRefusedError, match="TLS channel"):
        Handshake(bindings=bound_to).verify(channel_bindings=BINDINGS)


def test_channel_bindings_are_ignored_when_not_demanded():
    assert Handshake(bindings=BINDINGS).verify().user == "User"


def with_nt_response(response: bytes) -> bytes:
    """Put another NtChallengeResponse into the vector."""
    message = bytearray(VECTOR + response)
    struct.pack_into("<HHI", message, 20, len(response), len(response), len(VECTOR))
    return bytes(message)


def verify_vector(message: bytes) -> NtlmLogin:
    return verify_authenticate(b"", format_challenge(SERVER_CHALLENGE, "Server"), message, know)


def test_ntlmv1_is_refused_even_with_the_right_password():
    # MS-NLMP 4.2.2.2.1, the NTLMv1 response to the same challenge.
    response = bytes.fromhex("67c43011f30298a2ad35ece64f16331c44bdbed927841f94")
    with pytest.raises(NtlmRefusedError, match="NTLMv1"):
        verify_vector(with_nt_response(response))


def test_an_anonymous_login_is_refused():
    with pytest.raises(NtlmRefusedError, match="anonymous"):
        verify_vector(with_nt_response(b""))


def test_a_login_without_a_name_is_refused():
    message = bytearray(VECTOR)
    struct.pack_into("<HHI", message, 36, 0, 0, 0)
    with pytest.raises(NtlmRefusedError, match="anonymous"):
        verify_vector(bytes(message))


@pytest.mark.parametrize("offset", [20, 28, 36, 44, 52])
def test_a_buffer_outside_the_message_is_malformed(offset):
    message = bytearray(VECTOR)
    struct.pack_into("<HHI", message, offset, 16, 16, len(VECTOR) - 15)
    with pytest.raises(NtlmMalformedError, match="outside"):
        verify_vector(bytes(message))


def test_a_response_shorter_than_its_fixed_part_is_malformed():
    with pytest.raises(NtlmMalformedError, match="cut short"):
        verify_vector(with_nt_response(bytes(40)))


def test_target_information_that_does_not_end_is_malformed_even_with_the_right_password():
    temp = b"\x01\x01" + bytes(26) + struct.pack("<HH", 7, 99)
    proof = hmac_md5(response_key(HASH, "User", "Domain"), SERVER_CHALLENGE + temp)
    with pytest.raises(NtlmMalformedError, match="does not end"):
        verify_vector(with_nt_response(proof + temp))


@given(st.binary(max_size=40), st.integers(0, len(VECTOR) - 1), st.integers(0, len(VECTOR)))
def test_no_garbled_message_does_more_than_fail(garbage, start, end):
    message = VECTOR[:start] + garbage + VECTOR[end:]
    try:
        verify_vector(message)
    except NtlmError:
        return
    # Only what no field of MS-NLMP protects without a MIC may have changed: the proof is still there.
    assert VECTOR[132:148] in message


class NtlmProxy:
    """A proxy of one connection that wants NTLM, and answers a GET itself."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.login: NtlmLogin | None = None
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self._thread.join(10)

    def _run(self) -> None:
        connection, _ = self._listener.accept()
        with connection, connection.makefile("rb") as reader:
            negotiate = self._read_token(reader)
            flags = parse_negotiate(negotiate).flags
            challenge = format_challenge(SERVER_CHALLENGE, "PX", NOW, negotiate_flags=flags)
            connection.sendall(
                b"HTTP/1.1 407 Login\r\nContent-Length: 0\r\nProxy-Authenticate: NTLM "
                + b64encode(challenge)
                + b"\r\n\r\n"
            )
            try:
                self.login = verify_authenticate(negotiate, challenge, self._read_token(reader), know)
            except NtlmError as error:
                self.error = error
            status = b"200 OK" if self.login else b"403 No"
            connection.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")

    @staticmethod
    def _read_token(reader) -> bytes:
        token = b""
        while line := reader.readline().strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"proxy-authorization":
                token = b64decode(value.strip().removeprefix(b"NTLM "))
        return token


def curl(proxy: NtlmProxy, user: str) -> str:
    command = ["curl", "-s", "-o", "-", "-w", "%{http_code}", "--noproxy", "", "--max-time", "10"]
    command += ["--proxy", f"http://127.0.0.1:{proxy.port}", "--proxy-ntlm", "--proxy-user", user]
    return subprocess.run(
        [*command, "http://origin.test/"], capture_output=True, text=True, check=False
    ).stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
class TestCurl:
    def test_curl_logs_in_with_the_right_password(self):
        with NtlmProxy() as proxy:
            assert curl(proxy, "Dom\\User:Password") == "200"
        assert proxy.login[:2] == ("User", "Dom")

    def test_curl_is_refused_with_a_wrong_password(self):
        with NtlmProxy() as proxy:
            assert curl(proxy, "Dom\\User:wrong") == "403"
        assert isinstance(proxy.error, NtlmRefusedError)
