"""The three messages of NTLM, read and written (MS-NLMP 2.2.1).

Nothing is proved or verified here; `px.core.auth.ntlm.client` and `px.core.auth.ntlm.verifier` do that.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from px.core.auth.ntlm.errors import NtlmError, NtlmMalformedError
from px.core.auth.ntlm.target_info import (
    AV_COMPUTER,
    AV_DNS_COMPUTER,
    AV_DNS_DOMAIN,
    AV_DOMAIN,
    AV_TIMESTAMP,
    format_target_info,
)

#: Numbers of the messages (MS-NLMP 2.2.1).
NEGOTIATE_TYPE, CHALLENGE_TYPE, AUTHENTICATE_TYPE = 1, 2, 3
#: 1601-01-01 to 1970-01-01 in units of 100 ns (MS-DTYP 2.3.3).
_FILETIME_OF_EPOCH = 116_444_736_000_000_000
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
#: The fixed fields of a CHALLENGE message, today and in the first version of NTLM: old proxies send no more.
_CHALLENGE_BYTES, _SHORT_CHALLENGE_BYTES = 48, 32
#: What a challenge grants when the client asked for it.
_GRANTED = _SIGN | _SEAL | _ALWAYS_SIGN | _EXTENDED_SESSION_SECURITY | _VERSION
_GRANTED |= _KEY_128 | _KEY_EXCHANGE | _KEY_56
#: What a client offers: 0xa2088207, as Windows' own clients do over HTTP. SIGN, SEAL and KEY_EXCHANGE are
#: missing, since nothing of HTTP is signed or sealed.
_OFFERED = _UNICODE | _OEM | _REQUEST_TARGET | _NTLM | _ALWAYS_SIGN | _EXTENDED_SESSION_SECURITY
_OFFERED |= _VERSION | _KEY_128 | _KEY_56
#: MS-NLMP 2.2.2.10: 10.0, build 17763, NTLMSSP_REVISION_W2K3. The other side only logs it.
_VERSION_FIELD = struct.pack("<BBH3xB", 10, 0, 17763, 15)
#: The fixed fields of an AUTHENTICATE message: six buffers, flags, version, MIC (MS-NLMP 2.2.1.3).
_AUTHENTICATE = struct.Struct("<8sI" + 6 * "HHI" + "I8s16x")
#: Buffers have a length of 16 bits.
_MAX_BUFFER_BYTES = 0xFFFF


class NtlmNegotiate(NamedTuple):
    """A NEGOTIATE message: `flags` as in MS-NLMP 2.2.2.5."""

    flags: int


class NtlmChallenge(NamedTuple):
    """The fields of a CHALLENGE message that Px reads (MS-NLMP 2.2.1.2).

    Attributes:
        flags: As in MS-NLMP 2.2.2.5.
        server_challenge: 8 bytes.
        target_info: AV_PAIRs (`px.core.auth.ntlm.target_info`); empty: the server sent none.
    """

    flags: int
    server_challenge: bytes
    target_info: bytes


class NtlmLogin(NamedTuple):
    """The user who logged in, as the client spelt the names; `domain` and `workstation` may be empty."""

    user: str
    domain: str
    workstation: str


class NtlmAuthenticate(NamedTuple):
    """The fields of an AUTHENTICATE message that Px reads (MS-NLMP 2.2.1.3)."""

    flags: int
    nt_response: bytes
    session_key: bytes
    login: NtlmLogin

    def __repr__(self) -> str:
        """Leave the response out: with it, passwords can be guessed off line."""
        return f"<NtlmAuthenticate {self.login!r}>"

    @property
    def has_own_key(self) -> bool:
        """Whether the client has chosen the session key, and has sent it encrypted (MS-NLMP 3.2.5.1.2)."""
        return bool(self.flags & _KEY_EXCHANGE and self.flags & (_SIGN | _SEAL))


def message_type(token: bytes) -> int:
    """Return the number of an NTLM message (MS-NLMP 2.2.1)."""
    return int.from_bytes(token[8:12], "little")


def to_filetime(seconds: float) -> int:
    """Return a time in seconds since 1970 in units of 100 ns since 1601-01-01 UTC (MS-DTYP 2.3.3)."""
    return int(seconds * 10_000_000) + _FILETIME_OF_EPOCH


def read_login(authenticate: bytes) -> NtlmLogin:
    """Return the user whom an AUTHENTICATE message names; nothing is verified.

    Raises:
        NtlmMalformedError: It is not an AUTHENTICATE message.
    """
    return parse_authenticate(authenticate).login


def format_negotiate() -> bytes:
    """Return the NEGOTIATE message of a client (MS-NLMP 2.2.1.1); it names neither domain nor workstation."""
    return _SIGNATURE + struct.pack("<II16x", NEGOTIATE_TYPE, _OFFERED) + _VERSION_FIELD


def parse_negotiate(message: bytes) -> NtlmNegotiate:
    """Return what a NEGOTIATE message says (MS-NLMP 2.2.1.1).

    Raises:
        NtlmMalformedError: It is not a NEGOTIATE message, or offers neither of NTLM's character sets.
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
        target_name: NetBIOS name of the server that challenges; as it stands alone, also that of the domain.
        timestamp: Now, in units of 100 ns since 1601-01-01 UTC (MS-DTYP 2.3.3), which obliges clients to
            send a MIC; or None.
        negotiate_flags: Flags of the client's NEGOTIATE message; only what it offers is granted.
        dns_name: Full name of the host, or empty.
    """
    is_unicode = bool(negotiate_flags & _UNICODE)
    flags = negotiate_flags & _GRANTED | (_UNICODE if is_unicode else _OEM)
    flags |= _REQUEST_TARGET | _NTLM | _TARGET_TYPE_SERVER | _TARGET_INFO
    name = target_name.encode("utf-16-le") if is_unicode else target_name.encode()
    info = _describe_server(target_name, dns_name, timestamp)
    start = 56
    head = _SIGNATURE + struct.pack("<I", CHALLENGE_TYPE) + _format_buffer(name, start)
    head += struct.pack("<I", flags) + server_challenge + bytes(8) + _format_buffer(info, start + len(name))
    return head + _VERSION_FIELD + name + info


def parse_challenge(message: bytes) -> NtlmChallenge:
    """Return the fields of a CHALLENGE message (MS-NLMP 2.2.1.2).

    Raises:
        NtlmMalformedError: It is not a CHALLENGE message, or the target information lies outside of it.
    """
    _check_header(message, CHALLENGE_TYPE, _SHORT_CHALLENGE_BYTES)
    target_info = _read_buffer(message, 40) if len(message) >= _CHALLENGE_BYTES else b""
    return NtlmChallenge(_read_uint32(message, 20), message[24:32], target_info)


def parse_authenticate(message: bytes) -> NtlmAuthenticate:
    """Return the fields of an AUTHENTICATE message (MS-NLMP 2.2.1.3).

    Raises:
        NtlmMalformedError: It is not an AUTHENTICATE message, or a buffer lies outside of it.
    """
    _check_header(message, AUTHENTICATE_TYPE, 64)
    nt_response, domain, user, workstation, session_key = (
        _read_buffer(message, offset) for offset in (20, 28, 36, 44, 52)
    )
    flags = _read_uint32(message, 60)
    names = (_decode_name(name, flags) for name in (user, domain, workstation))
    return NtlmAuthenticate(flags, nt_response, session_key, NtlmLogin(*names))


def format_authenticate(
    challenge_flags: int, login: NtlmLogin, lm_response: bytes, nt_response: bytes
) -> bytes:
    """Return an AUTHENTICATE message, its MIC still zero (MS-NLMP 2.2.1.3).

    Args:
        challenge_flags: Flags of the server's CHALLENGE message; what it has not granted is not used.
        login: The names to send.
        lm_response: LmChallengeResponse.
        nt_response: NtChallengeResponse.

    Raises:
        NtlmError: A name has characters that this server cannot read, or is too long for a message.
        NtlmMalformedError: The response is too long, since the server's target information was.
    """
    if len(nt_response) > _MAX_BUFFER_BYTES:
        raise NtlmMalformedError("the target information is too long to be returned")
    flags = challenge_flags & (_OFFERED | _TARGET_INFO)
    if flags & _UNICODE:
        flags &= ~_OEM
    names = [_encode_name(name, flags) for name in (login.domain, login.user, login.workstation)]
    if max(map(len, names)) > _MAX_BUFFER_BYTES:
        raise NtlmError("a name of the login is too long")
    buffers = (lm_response, nt_response, *names, b"")  # b"": without KEY_EXCHANGE there is no session key
    fields, start = [], _AUTHENTICATE.size
    for data in buffers:
        fields += [len(data), len(data), start]
        start += len(data)
    version = _VERSION_FIELD if flags & _VERSION else bytes(8)
    return _AUTHENTICATE.pack(_SIGNATURE, AUTHENTICATE_TYPE, *fields, flags, version) + b"".join(buffers)


def _describe_server(target_name: str, dns_name: str, timestamp: int | None) -> bytes:
    """Return the target information of a server that stands alone."""
    name, dns = target_name.encode("utf-16-le"), dns_name.encode("utf-16-le")
    pairs = {AV_DOMAIN: name, AV_COMPUTER: name}
    if dns:
        pairs |= {AV_DNS_DOMAIN: dns, AV_DNS_COMPUTER: dns}
    if timestamp is not None:
        pairs[AV_TIMESTAMP] = struct.pack("<Q", timestamp)
    return format_target_info(pairs)


def _encode_name(name: str, flags: int) -> bytes:
    """Return a name in the login's character set; without UNICODE that is unknown: only ASCII will do."""
    try:
        return name.encode("utf-16-le" if flags & _UNICODE else "ascii")
    except UnicodeEncodeError:
        raise NtlmError("a name of the login has characters that the server cannot read") from None


def _decode_name(name: bytes, flags: int) -> str:
    """Return a name as text; without UNICODE its character set is unknown, and Latin-1 never fails."""
    if not flags & _UNICODE:
        return name.decode("latin-1")
    if len(name) % 2:
        raise NtlmMalformedError("a name in UTF-16 has an odd length")
    return name.decode("utf-16-le", "surrogatepass")


def _check_header(message: bytes, message_type: int, min_bytes: int) -> None:
    if len(message) < min_bytes or not message.startswith(_SIGNATURE):
        raise NtlmMalformedError("not an NTLM message, or one cut short")
    if _read_uint32(message, 8) != message_type:
        raise NtlmMalformedError(f"not an NTLM message of type {message_type}")


def _read_uint32(message: bytes, offset: int) -> int:
    return int.from_bytes(message[offset : offset + 4], "little")


def _read_buffer(message: bytes, offset: int) -> bytes:
    """Return the bytes that a length-and-offset field points at (MS-NLMP 2.2.1.3)."""
    length, _, start = struct.unpack_from("<HHI", message, offset)
    if length == 0:
        return b""
    if start + length > len(message):
        raise NtlmMalformedError("a buffer lies outside the message")
    return message[start : start + length]


def _format_buffer(data: bytes, start: int) -> bytes:
    return struct.pack("<HHI", len(data), len(data), start)
