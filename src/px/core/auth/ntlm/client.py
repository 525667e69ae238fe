"""NTLM from the side that logs in: NTLMv2 only (MS-NLMP 3.1.5.1, 3.3.2).

The client never makes a response of LM or NTLMv1, whatever the server asks for. It offers no key exchange, so
the session key is SessionBaseKey itself (MS-NLMP 3.1.5.1.2, 3.4.5.1); only the MIC needs it. The caller hands
in the clock and the random bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from px.core.auth.ntlm.errors import NtlmMalformedError
from px.core.auth.ntlm.messages import (
    NtlmLogin,
    format_authenticate,
    format_negotiate,
    parse_challenge,
    to_filetime,
)
from px.core.auth.ntlm.proof import (
    PROOF_BYTES,
    compute_mic,
    hash_channel_bindings,
    hmac_md5,
    put_mic,
    response_key,
)
from px.core.auth.ntlm.target_info import (
    AV_CHANNEL_BINDINGS,
    AV_FLAG_MIC,
    AV_FLAGS,
    AV_TARGET_NAME,
    AV_TIMESTAMP,
    format_target_info,
    parse_target_info,
    read_flags,
)

#: The first message of every login: it says nothing about the user.
NEGOTIATE: Final = format_negotiate()
_TIMESTAMP_BYTES = 8


class NtlmClient:
    """Makes the AUTHENTICATE messages of one user.

    Args:
        login: The names to send. NTLMv2 covers user and domain, so the server must know them spelt like this.
        nt_hash: 16 bytes. Only the key that NTLMv2 makes of it, NTOWFv2, is kept.
        make_bytes: Returns this many unpredictable bytes.
        now: Seconds since 1970.
    """

    def __init__(
        self,
        login: NtlmLogin,
        nt_hash: bytes,
        make_bytes: Callable[[int], bytes],
        now: Callable[[], float],
    ) -> None:
        self._login = login
        self._key = response_key(nt_hash, login.user, login.domain)
        self._make_bytes = make_bytes
        self._now = now

    def __repr__(self) -> str:
        return f"<NtlmClient {self._login!r}>"

    def authenticate(self, challenge: bytes, target_name: str, channel_bindings: bytes | None) -> bytes:
        """Return the AUTHENTICATE message for a CHALLENGE that answers `NEGOTIATE` (MS-NLMP 3.1.5.1.2).

        Args:
            challenge: As it came.
            target_name: SPN of the server, ``HTTP/host``, which the response covers.
            channel_bindings: ``tls-server-end-point:`` data (RFC 5929 4), or None without TLS.

        Raises:
            NtlmMalformedError: It is not a CHALLENGE message.
            NtlmError: A name of the login has characters that the server cannot read.
        """
        fields = parse_challenge(challenge)
        info = _extend(fields.target_info, target_name, channel_bindings)
        timestamp = info.get(AV_TIMESTAMP)
        moment = timestamp or struct.pack("<Q", to_filetime(self._now()))
        key, server_challenge, nonce = self._key, fields.server_challenge, self._make_bytes(8)
        nt_response = make_nt_response(key, server_challenge, nonce, moment, format_target_info(info))
        lm_response = bytes(24) if timestamp else make_lm_response(key, server_challenge, nonce)
        message = format_authenticate(fields.flags, self._login, lm_response, nt_response)
        if not read_flags(info) & AV_FLAG_MIC:
            return message
        session_key = hmac_md5(key, nt_response[:PROOF_BYTES])
        return put_mic(message, compute_mic(session_key, NEGOTIATE, challenge, message))


def make_nt_response(
    key: bytes, server_challenge: bytes, nonce: bytes, moment: bytes, target_info: bytes
) -> bytes:
    """Return the NtChallengeResponse of NTLMv2: NTProofStr and what it covers (MS-NLMP 3.3.2).

    Args:
        key: NTOWFv2.
        server_challenge: 8 bytes.
        nonce: ClientChallenge, 8 bytes.
        moment: The server's timestamp; without one, the client's time (8 bytes, MS-DTYP 2.3.3).
        target_info: AV_PAIRs of the server and of the client.
    """
    covered = b"\1\1" + bytes(6) + moment + nonce + bytes(4) + target_info + bytes(4)
    return hmac_md5(key, server_challenge + covered) + covered


def make_lm_response(key: bytes, server_challenge: bytes, nonce: bytes) -> bytes:
    """Return the LmChallengeResponse of NTLMv2, which has the same key (MS-NLMP 3.3.2).

    A server that sends a timestamp gets zeros instead (MS-NLMP 3.1.5.1.2).
    """
    return hmac_md5(key, server_challenge + nonce) + nonce


def _extend(server_info: bytes, target_name: str, channel_bindings: bytes | None) -> dict[int, bytes]:
    """Return the AV_PAIRs of a CHALLENGE, with those that the client adds (MS-NLMP 3.1.5.1.2).

    MsvAvEOL may be missing; the first version of NTLM had no AV_PAIRs. Without channel bindings there is no
    pair for them: not zeros, which say that the client knows of bindings and has none, so that some servers
    refuse it; and not what the server sent, since a relay may have put it there to use the login on its own
    TLS connection.
    """
    info = parse_target_info(server_info + bytes(4))
    info.pop(AV_CHANNEL_BINDINGS, None)
    if channel_bindings:
        info[AV_CHANNEL_BINDINGS] = hash_channel_bindings(channel_bindings)
    info[AV_TARGET_NAME] = target_name.encode("utf-16-le")
    if (timestamp := info.get(AV_TIMESTAMP)) is not None:
        if len(timestamp) != _TIMESTAMP_BYTES:
            raise NtlmMalformedError("the timestamp of the target information is not 8 bytes long")
        info[AV_FLAGS] = struct.pack("<I", read_flags(info) | AV_FLAG_MIC)
    return info
