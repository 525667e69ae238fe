"""NTLM from the side that challenges and verifies: NTLMv2 only (MS-NLMP 3.2, 3.3.2).

Px verifies its clients with it; so do the upstream of ``px --demo`` and the scripted upstream of the tests.
There are three messages (MS-NLMP 1.3.1.1)::

    client -> NEGOTIATE     flags                               parse_negotiate
    client <- CHALLENGE     8 random bytes, target info         format_challenge
    client -> AUTHENTICATE  names, response, MIC                verify_authenticate

The caller hands in the clock and the random bytes.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from typing import TYPE_CHECKING

from px.core.auth.ntlm_messages import (
    AV_CHANNEL_BINDINGS,
    FILETIME_OF_EPOCH,
    NtlmAuthenticate,
    NtlmLogin,
    NtlmMalformedError,
    NtlmRefusedError,
    format_challenge,
    parse_authenticate,
    parse_negotiate,
    parse_target_info,
    promises_mic,
    read_server_challenge,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_MIC = slice(72, 88)
_V1_RESPONSE_BYTES = 24
#: NTProofStr (16) and the fixed part of NTLMv2_CLIENT_CHALLENGE (28) (MS-NLMP 2.2.2.7, 2.2.2.8).
_PROOF_BYTES, _CLIENT_CHALLENGE_BYTES = 16, 28


class NtlmHandshake:
    """One login of one connection; each challenge allows one answer.

    Args:
        target_name: NetBIOS name of the server that challenges.
        make_bytes: Returns this many unpredictable bytes.
        now: Seconds since 1970.
    """

    def __init__(
        self, target_name: str, make_bytes: Callable[[int], bytes], now: Callable[[], float]
    ) -> None:
        self._target_name = target_name
        self._make_bytes = make_bytes
        self._now = now
        self._negotiate = self._challenge = b""

    def challenge(self, negotiate: bytes) -> bytes:
        """Return a CHALLENGE for a NEGOTIATE message, and forget earlier ones.

        Raises:
            NtlmMalformedError: It is not a NEGOTIATE message.
        """
        flags = parse_negotiate(negotiate).flags
        timestamp = int(self._now() * 10_000_000) + FILETIME_OF_EPOCH
        challenge = format_challenge(self._make_bytes(8), self._target_name, timestamp, negotiate_flags=flags)
        self._negotiate, self._challenge = negotiate, challenge
        return challenge

    def verify(self, authenticate: bytes, nt_hash_of: Callable[[str, str], bytes | None]) -> NtlmLogin:
        """Return the user who logged in by the answer to the last challenge; see `verify_authenticate`.

        Raises:
            NtlmRefusedError: The login is refused, or there was no challenge.
            NtlmMalformedError: The message is malformed.
        """
        negotiate, challenge, self._challenge = self._negotiate, self._challenge, b""
        if not challenge:
            raise NtlmRefusedError("a message out of turn")
        return verify_authenticate(negotiate, challenge, authenticate, nt_hash_of)

    def __repr__(self) -> str:
        return f"<NtlmHandshake {'challenged' if self._challenge else 'new'}>"


def verify_authenticate(
    negotiate: bytes,
    challenge: bytes,
    authenticate: bytes,
    nt_hash_of: Callable[[str, str], bytes | None],
    channel_bindings: bytes | None = None,
) -> NtlmLogin:
    """Return the user who logged in, if the AUTHENTICATE message shows the right NT hash (MS-NLMP 3.3.2).

    Args:
        negotiate: The client's NEGOTIATE message, byte for byte.
        challenge: The message that `format_challenge` made for this connection.
        authenticate: The client's AUTHENTICATE message.
        nt_hash_of: Returns the NT hash of a user and a domain as the client spelt them; None: unknown.
        channel_bindings: ``tls-server-end-point:`` data (RFC 5929 4) that the login must be bound to; None:
            bindings are ignored.

    Raises:
        NtlmMalformedError: A buffer lies outside the message, or a structure is cut short.
        NtlmRefusedError: The login is refused.
    """
    message = parse_authenticate(authenticate)
    key, proof, client_challenge = _check_response(message, nt_hash_of)
    expected = _hmac_md5(key, read_server_challenge(challenge) + client_challenge)
    if not hmac.compare_digest(expected, proof):
        raise NtlmRefusedError("wrong user or password, or an answer to another challenge")
    info = parse_target_info(client_challenge[_CLIENT_CHALLENGE_BYTES:])
    if promises_mic(info):
        exported = _export_session_key(message, _hmac_md5(key, proof))
        _check_mic(exported, (negotiate, challenge, authenticate))
    if channel_bindings is not None:
        _check_bindings(info, channel_bindings)
    return message.login


def _check_response(
    message: NtlmAuthenticate, nt_hash_of: Callable[[str, str], bytes | None]
) -> tuple[bytes, bytes, bytes]:
    """Return ResponseKeyNT, NTProofStr and the client's challenge; refuse any other response than NTLMv2."""
    user, domain, _ = message.login
    if not user or not message.nt_response:
        raise NtlmRefusedError("an anonymous login")
    if len(message.nt_response) <= _V1_RESPONSE_BYTES:
        raise NtlmRefusedError("an NTLMv1 response")
    if len(message.nt_response) < _PROOF_BYTES + _CLIENT_CHALLENGE_BYTES:
        raise NtlmMalformedError("the NTLMv2 response is cut short")
    nt_hash = nt_hash_of(user, domain)
    if nt_hash is None:
        raise NtlmRefusedError("an unknown user")
    response = message.nt_response
    return response_key(nt_hash, user, domain), response[:_PROOF_BYTES], response[_PROOF_BYTES:]


def response_key(nt_hash: bytes, user: str, domain: str) -> bytes:
    """Return NTOWFv2 of MS-NLMP 3.3.2: the key of one user in one domain, both as the client spells them."""
    return _hmac_md5(nt_hash, (upcase_name(user) + domain).encode("utf-16-le", "surrogatepass"))


def upcase_name(name: str) -> str:
    """Return a name in upper case by the rule of Windows: one character stays one, so "ß" stays "ß"."""
    return "".join(upper if len(upper := char.upper()) == 1 else char for char in name)


def _export_session_key(message: NtlmAuthenticate, key_exchange_key: bytes) -> bytes:
    """Return ExportedSessionKey (MS-NLMP 3.2.5.1.2): the client's own key if it sent one, encrypted."""
    if not message.has_own_key:
        return key_exchange_key
    return _rc4(key_exchange_key, message.session_key)


def _check_mic(exported_key: bytes, messages: tuple[bytes, bytes, bytes]) -> None:
    """Refuse a MIC that does not cover these three messages (MS-NLMP 3.2.5.1.2)."""
    negotiate, challenge, authenticate = messages
    if len(authenticate) < _MIC.stop:
        raise NtlmRefusedError("the promised MIC is missing")
    blank = authenticate[: _MIC.start] + bytes(16) + authenticate[_MIC.stop :]
    expected = _hmac_md5(exported_key, negotiate + challenge + blank)
    if not hmac.compare_digest(expected, authenticate[_MIC]):
        raise NtlmRefusedError("wrong MIC: a message was altered on the way")


def _check_bindings(info: dict[int, bytes], channel_bindings: bytes) -> None:
    """Refuse a login bound to another TLS channel, or to none."""
    expected = hash_channel_bindings(channel_bindings)
    if not hmac.compare_digest(expected, info.get(AV_CHANNEL_BINDINGS, b"")):
        raise NtlmRefusedError("bound to another TLS channel, or to none")


def hash_channel_bindings(application_data: bytes) -> bytes:
    """Return the MD5 of gss_channel_bindings_struct without addresses (MS-NLMP 2.2.2.1, RFC 4121 4.1.1.2)."""
    packed = bytes(16) + struct.pack("<I", len(application_data)) + application_data
    return hashlib.md5(packed, usedforsecurity=False).digest()


def _hmac_md5(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "md5")


def _rc4(key: bytes, data: bytes) -> bytes:
    """Return RC4 of `data`: NTLM encrypts the session key with RC4, which OpenSSL 3 lacks by default."""
    state = list(range(256))
    j = 0
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    out = bytearray()
    i = j = 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(out)
