"""The side of NTLM that challenges and verifies: NTLMv2 only (MS-NLMP 3.2, 3.3.2).

Used where Px is logged in to: its clients, the upstream of ``px --demo``, and the scripted upstream of the
tests. Three messages (MS-NLMP 1.3.1.1)::

    client -> NEGOTIATE     flags                               parse_negotiate
    client <- CHALLENGE     8 random bytes, target info         format_challenge
    client -> AUTHENTICATE  names, proof, time, MIC             verify_authenticate

Nothing here reads a clock or draws random bytes; both are handed in.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

#: Numbers of the messages (MS-NLMP 2.2.1).
NEGOTIATE_TYPE, CHALLENGE_TYPE, AUTHENTICATE_TYPE = 1, 2, 3
#: 1601-01-01 to 1970-01-01 in units of 100 ns (MS-DTYP 2.3.3).
FILETIME_OF_EPOCH = 116_444_736_000_000_000

_SIGNATURE = b"NTLMSSP\0"

# MS-NLMP 2.2.2.5, NEGOTIATE flags.
_UNICODE = 0x00000001
_OEM = 0x00000002
_REQUEST_TARGET = 0x00000004
_SIGN = 0x00000010
_SEAL = 0x00000020
_NTLM = 0x00000200
_ALWAYS_SIGN = 0x00008000
_TARGET_TYPE_SERVER = 0x00020000
_EXTENDED_SESSION_SECURITY = 0x00080000
_TARGET_INFO = 0x00800000
_VERSION = 0x02000000
_KEY_128 = 0x20000000
_KEY_EXCHANGE = 0x40000000
_KEY_56 = 0x80000000
#: What a challenge grants when the client asked for it.
_GRANTED = _SIGN | _SEAL | _ALWAYS_SIGN | _EXTENDED_SESSION_SECURITY | _VERSION
_GRANTED |= _KEY_128 | _KEY_EXCHANGE | _KEY_56
#: MS-NLMP 2.2.2.10: 10.0, build 17763, NTLMSSP_REVISION_W2K3. Clients only log it.
_VERSION_FIELD = struct.pack("<BBH3xB", 10, 0, 17763, 15)

# MS-NLMP 2.2.2.1, AV_PAIR.
_AV_END, _AV_COMPUTER, _AV_DOMAIN, _AV_DNS_COMPUTER, _AV_DNS_DOMAIN = 0, 1, 2, 3, 4
_AV_FLAGS, _AV_TIMESTAMP, _AV_CHANNEL_BINDINGS = 6, 7, 10
_AV_FLAG_MIC = 0x00000002

_MIC = slice(72, 88)
_V1_RESPONSE_BYTES = 24
#: NTProofStr (16) and the fixed part of NTLMv2_CLIENT_CHALLENGE (28) (MS-NLMP 2.2.2.7, 2.2.2.8).
_PROOF_BYTES, _CLIENT_CHALLENGE_BYTES = 16, 28


class NtlmError(Exception):
    """A login by NTLM that fails; the text says why, for the log, and holds no secret."""


class NtlmMalformedError(NtlmError):
    """A message breaks the layout of MS-NLMP 2.2.1."""


class NtlmRefusedError(NtlmError):
    """A well-formed message that proves nothing: wrong secret, NTLMv1, no name, wrong MIC or binding."""


class NtlmNegotiate(NamedTuple):
    """A NEGOTIATE message: `flags` as in MS-NLMP 2.2.2.5."""

    flags: int


class NtlmLogin(NamedTuple):
    """Who logged in, as the client spelt it; `domain` and `workstation` may be empty."""

    user: str
    domain: str
    workstation: str


class _Authenticate(NamedTuple):
    """The fields of an AUTHENTICATE message that are looked at (MS-NLMP 2.2.1.3)."""

    flags: int
    nt_response: bytes
    session_key: bytes
    login: NtlmLogin


class NtlmHandshake:
    """One login of one connection; a challenge is good for one answer.

    Args:
        target_name: NetBIOS name of who challenges.
        make_bytes: Returns so many unpredictable bytes.
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
        """Return a CHALLENGE for a NEGOTIATE message, whatever came before.

        Raises:
            NtlmMalformedError: It is none.
        """
        flags = parse_negotiate(negotiate).flags
        timestamp = int(self._now() * 10_000_000) + FILETIME_OF_EPOCH
        challenge = format_challenge(self._make_bytes(8), self._target_name, timestamp, negotiate_flags=flags)
        self._negotiate, self._challenge = negotiate, challenge
        return challenge

    def verify(self, authenticate: bytes, nt_hash_of: Callable[[str, str], bytes | None]) -> NtlmLogin:
        """Return who logged in by the answer to the last challenge; see `verify_authenticate`.

        Raises:
            NtlmRefusedError: Nothing is proved, or there was no challenge.
            NtlmMalformedError: The message is malformed.
        """
        negotiate, challenge, self._challenge = self._negotiate, self._challenge, b""
        if not challenge:
            raise NtlmRefusedError("a message out of turn")
        return verify_authenticate(negotiate, challenge, authenticate, nt_hash_of)

    def __repr__(self) -> str:
        return f"<NtlmHandshake {'challenged' if self._challenge else 'new'}>"


def message_type(token: bytes) -> int:
    """Return the number of an NTLM message (MS-NLMP 2.2.1)."""
    return int.from_bytes(token[8:12], "little")


def read_login(authenticate: bytes) -> NtlmLogin:
    """Return who an AUTHENTICATE message claims to be from; nothing is verified.

    Raises:
        NtlmMalformedError: It is none.
    """
    return _parse_authenticate(authenticate).login


def parse_negotiate(message: bytes) -> NtlmNegotiate:
    """Read a NEGOTIATE message (MS-NLMP 2.2.1.1).

    Raises:
        NtlmMalformedError: It is none, or offers neither of NTLM's character sets.
    """
    _check_header(message, NEGOTIATE_TYPE, 16)
    flags = _read_uint32(message, 12)
    if not flags & (_UNICODE | _OEM):
        raise NtlmMalformedError("the NEGOTIATE message offers no character set")
    return NtlmNegotiate(flags)


def format_challenge(
    server_challenge: bytes,
    target_name: str,
    timestamp: int | None = None,
    *,
    negotiate_flags: int = _UNICODE | _GRANTED,
    dns_name: str = "",
) -> bytes:
    """Return a CHALLENGE message (MS-NLMP 2.2.1.2, 3.2.5.1.1).

    Args:
        server_challenge: 8 unpredictable bytes, never used twice.
        target_name: NetBIOS name of who challenges; a stand-alone server, so that it is the domain too.
        timestamp: Now, in units of 100 ns since 1601-01-01 UTC (MS-DTYP 2.3.3), which obliges clients to
            send a MIC; or None.
        negotiate_flags: Flags of the client's NEGOTIATE message; only what it offers is granted.
        dns_name: Full name of the host, or empty.
    """
    is_unicode = bool(negotiate_flags & _UNICODE)
    flags = negotiate_flags & _GRANTED | (_UNICODE if is_unicode else _OEM)
    flags |= _REQUEST_TARGET | _NTLM | _TARGET_TYPE_SERVER | _TARGET_INFO
    name = target_name.encode("utf-16-le") if is_unicode else target_name.encode()
    info = _format_target_info(target_name, dns_name, timestamp)
    start = 56
    head = _SIGNATURE + struct.pack("<I", CHALLENGE_TYPE) + _format_buffer(name, start)
    head += struct.pack("<I", flags) + server_challenge + bytes(8) + _format_buffer(info, start + len(name))
    return head + _VERSION_FIELD + name + info


def verify_authenticate(
    negotiate: bytes,
    challenge: bytes,
    authenticate: bytes,
    nt_hash_of: Callable[[str, str], bytes | None],
    channel_bindings: bytes | None = None,
) -> NtlmLogin:
    """Return who logged in, if the AUTHENTICATE message proves knowledge of the NT hash (MS-NLMP 3.3.2).

    Args:
        negotiate: The client's NEGOTIATE message, byte for byte.
        challenge: What `format_challenge` made for this connection.
        authenticate: The client's AUTHENTICATE message.
        nt_hash_of: Gives the NT hash for a user and a domain as the client spelt them; None: unknown.
        channel_bindings: ``tls-server-end-point:`` data (RFC 5929 4) that the client has to have bound to,
            or None: whatever it bound to is ignored.

    Raises:
        NtlmMalformedError: A buffer lies outside the message, or a structure is cut short.
        NtlmRefusedError: Nothing is proved.
    """
    message = _parse_authenticate(authenticate)
    key, proof, client_challenge = _check_response(message, nt_hash_of)
    expected = _hmac_md5(key, _server_challenge_of(challenge) + client_challenge)
    if not hmac.compare_digest(expected, proof):
        raise NtlmRefusedError("wrong user or password, or an answer to another challenge")
    info = _parse_target_info(client_challenge[_CLIENT_CHALLENGE_BYTES:])
    if _read_flags(info) & _AV_FLAG_MIC:
        exported = _export_session_key(message, _hmac_md5(key, proof))
        _check_mic(exported, (negotiate, challenge, authenticate))
    if channel_bindings is not None:
        _check_bindings(info, channel_bindings)
    return message.login


def _check_response(
    message: _Authenticate, nt_hash_of: Callable[[str, str], bytes | None]
) -> tuple[bytes, bytes, bytes]:
    """Return ResponseKeyNT, NTProofStr and the client's challenge; refuse what is no NTLMv2 response."""
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
    """Return a name in upper case as Windows does it: a character for a character, so that "ß" stays."""
    return "".join(upper if len(upper := char.upper()) == 1 else char for char in name)


def _parse_authenticate(message: bytes) -> _Authenticate:
    _check_header(message, AUTHENTICATE_TYPE, 64)
    nt_response, domain, user, workstation, session_key = (
        _read_buffer(message, offset) for offset in (20, 28, 36, 44, 52)
    )
    flags = _read_uint32(message, 60)
    names = (_decode_name(name, flags) for name in (user, domain, workstation))
    return _Authenticate(flags, nt_response, session_key, NtlmLogin(*names))


def _decode_name(name: bytes, flags: int) -> str:
    """Decode a name; without UNICODE the character set is not on the wire, Latin-1 never fails."""
    if not flags & _UNICODE:
        return name.decode("latin-1")
    if len(name) % 2:
        raise NtlmMalformedError("a name in UTF-16 has an odd length")
    return name.decode("utf-16-le", "surrogatepass")


def _export_session_key(message: _Authenticate, key_exchange_key: bytes) -> bytes:
    """Return ExportedSessionKey (MS-NLMP 3.2.5.1.2): the client's own key if it sent one, encrypted."""
    if not (message.flags & _KEY_EXCHANGE and message.flags & (_SIGN | _SEAL)):
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
    if not hmac.compare_digest(expected, info.get(_AV_CHANNEL_BINDINGS, b"")):
        raise NtlmRefusedError("bound to another TLS channel, or to none")


def hash_channel_bindings(application_data: bytes) -> bytes:
    """Return the MD5 of gss_channel_bindings_struct without addresses (MS-NLMP 2.2.2.1, RFC 4121 4.1.1.2)."""
    packed = bytes(16) + struct.pack("<I", len(application_data)) + application_data
    return hashlib.md5(packed, usedforsecurity=False).digest()


def _format_target_info(target_name: str, dns_name: str, timestamp: int | None) -> bytes:
    name, dns = target_name.encode("utf-16-le"), dns_name.encode("utf-16-le")
    pairs = [(_AV_DOMAIN, name), (_AV_COMPUTER, name)]
    if dns:
        pairs += [(_AV_DNS_DOMAIN, dns), (_AV_DNS_COMPUTER, dns)]
    if timestamp is not None:
        pairs.append((_AV_TIMESTAMP, struct.pack("<Q", timestamp)))
    pairs.append((_AV_END, b""))
    return b"".join(struct.pack("<HH", kind, len(value)) + value for kind, value in pairs)


def _parse_target_info(data: bytes) -> dict[int, bytes]:
    """Read AV_PAIRs up to MsvAvEOL (MS-NLMP 2.2.2.1); of a repeated one the first counts."""
    pairs: dict[int, bytes] = {}
    position = 0
    while position + 4 <= len(data):
        kind, length = struct.unpack_from("<HH", data, position)
        if kind == _AV_END:
            return pairs
        position += 4
        if position + length > len(data):
            break
        pairs.setdefault(kind, data[position : position + length])
        position += length
    raise NtlmMalformedError("the target information does not end")


def _read_flags(info: dict[int, bytes]) -> int:
    value = info.get(_AV_FLAGS, bytes(4))
    if len(value) != struct.calcsize("<I"):
        raise NtlmMalformedError("the flags of the target information are not 4 bytes long")
    return _read_uint32(value, 0)


def _server_challenge_of(challenge: bytes) -> bytes:
    _check_header(challenge, CHALLENGE_TYPE, 32)
    return challenge[24:32]


def _check_header(message: bytes, message_type: int, min_bytes: int) -> None:
    if len(message) < min_bytes or not message.startswith(_SIGNATURE):
        raise NtlmMalformedError("not an NTLM message, or one cut short")
    if _read_uint32(message, 8) != message_type:
        raise NtlmMalformedError(f"not an NTLM message of type {message_type}")


def _read_uint32(message: bytes, offset: int) -> int:
    return int.from_bytes(message[offset : offset + 4], "little")


def _read_buffer(message: bytes, offset: int) -> bytes:
    """Return what a length-and-offset field points at (MS-NLMP 2.2.1.3)."""
    length, _, start = struct.unpack_from("<HHI", message, offset)
    if length == 0:
        return b""
    if start + length > len(message):
        raise NtlmMalformedError("a buffer lies outside the message")
    return message[start : start + length]


def _format_buffer(data: bytes, start: int) -> bytes:
    return struct.pack("<HHI", len(data), len(data), start)


def _hmac_md5(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "md5")


def _rc4(key: bytes, data: bytes) -> bytes:
    """Return RC4 of `data`; NTLM wraps the session key in it, and OpenSSL 3 has it no longer by default."""
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
