"""NTLM from the side that challenges and verifies: NTLMv2 only (MS-NLMP 3.2, 3.3.2).

Px verifies its clients with it; so do the upstream of ``px --demo`` and the scripted upstream of the tests.
The caller hands in the clock and the random bytes.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping

from px.core.auth.ntlm.errors import NtlmMalformedError, NtlmRefusedError
from px.core.auth.ntlm.messages import (
    NtlmAuthenticate,
    NtlmLogin,
    format_challenge,
    parse_authenticate,
    parse_challenge,
    parse_negotiate,
    to_filetime,
)
from px.core.auth.ntlm.proof import (
    MIC,
    PROOF_BYTES,
    compute_mic,
    hash_channel_bindings,
    hmac_md5,
    response_key,
)
from px.core.auth.ntlm.target_info import AV_CHANNEL_BINDINGS, AV_FLAG_MIC, parse_target_info, read_flags

_V1_RESPONSE_BYTES = 24
#: EncryptedRandomSessionKey (MS-NLMP 2.2.1.3): RC4 keeps the 16 octets of the key.
_SESSION_KEY_BYTES = 16
#: The fixed part of NTLMv2_CLIENT_CHALLENGE (MS-NLMP 2.2.2.7).
_CLIENT_CHALLENGE_BYTES = 28


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
        challenge = format_challenge(
            self._make_bytes(8), self._target_name, to_filetime(self._now()), negotiate_flags=flags
        )
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
    expected = hmac_md5(key, parse_challenge(challenge).server_challenge + client_challenge)
    if not hmac.compare_digest(expected, proof):
        raise NtlmRefusedError("wrong user or password, or an answer to another challenge")
    info = parse_target_info(client_challenge[_CLIENT_CHALLENGE_BYTES:])
    if read_flags(info) & AV_FLAG_MIC:
        exported = _export_session_key(message, hmac_md5(key, proof))
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
    if len(message.nt_response) < PROOF_BYTES + _CLIENT_CHALLENGE_BYTES:
        raise NtlmMalformedError("the NTLMv2 response is cut short")
    nt_hash = nt_hash_of(user, domain)
    if nt_hash is None:
        raise NtlmRefusedError("an unknown user")
    response = message.nt_response
    return response_key(nt_hash, user, domain), response[:PROOF_BYTES], response[PROOF_BYTES:]


def _export_session_key(message: NtlmAuthenticate, key_exchange_key: bytes) -> bytes:
    """Return ExportedSessionKey (MS-NLMP 3.2.5.1.2): the client's own key if it sent one, encrypted.

    An attacker cannot choose 16 octets that decrypt to a key that he knows. If the key were shorter, he could
    guess it, and with an empty one he could make a MIC for messages that he has altered.

    Raises:
        NtlmMalformedError: The encrypted key is not 16 octets long.
    """
    if not message.has_own_key:
        return key_exchange_key
    if len(message.session_key) != _SESSION_KEY_BYTES:
        raise NtlmMalformedError("the session key is not 16 bytes long")
    return _rc4(key_exchange_key, message.session_key)


def _check_mic(exported_key: bytes, messages: tuple[bytes, bytes, bytes]) -> None:
    """Refuse a MIC that does not cover these three messages (MS-NLMP 3.2.5.1.2)."""
    negotiate, challenge, authenticate = messages
    if len(authenticate) < MIC.stop:
        raise NtlmRefusedError("the promised MIC is missing")
    expected = compute_mic(exported_key, negotiate, challenge, authenticate)
    if not hmac.compare_digest(expected, authenticate[MIC]):
        raise NtlmRefusedError("wrong MIC: a message was altered on the way")


def _check_bindings(info: Mapping[int, bytes], channel_bindings: bytes) -> None:
    """Refuse a login bound to another TLS channel, or to none."""
    expected = hash_channel_bindings(channel_bindings)
    if not hmac.compare_digest(expected, info.get(AV_CHANNEL_BINDINGS, b"")):
        raise NtlmRefusedError("bound to another TLS channel, or to none")


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
