"""The part of SPNEGO (RFC 4178) that ``Negotiate`` (RFC 4559) needs: which mechanism a token is for.

::

    client -> NegTokenInit   its mechanisms in order, a token for the first      parse_negotiate_token
    client <- NegTokenResp   the mechanism taken, its answer                     format_reply
    client -> NegTokenResp   the next token, of that mechanism                   parse_negotiate_token

Clients also send tokens of NTLM, and of Kerberos, without a frame. No ``mechListMIC`` protects the list of
mechanisms here. An attacker who alters the list can only choose a weaker mechanism that Px allows.
"""

from __future__ import annotations

from typing import NamedTuple

from px.core.auth.ntlm.messages import NEGOTIATE_TYPE, message_type

KERBEROS, NTLM = "kerberos", "ntlm"

_SPNEGO_OID = bytes.fromhex("2b0601050502")  # 1.3.6.1.5.5.2
_KERBEROS_OID = bytes.fromhex("2a864886f712010202")  # 1.2.840.113554.1.2.2 (RFC 4121 1)
_MECHANISMS = {
    _KERBEROS_OID: KERBEROS,
    bytes.fromhex("2a864882f712010202"): KERBEROS,  # 1.2.840.48018.1.2.2, a slip of Windows 2000 that stayed
    bytes.fromhex("2b06010401823702020a"): NTLM,  # 1.3.6.1.4.1.311.2.2.10 (MS-SPNG 1.9)
}
_NTLM_SIGNATURE = b"NTLMSSP\0"

# X.690 8.1.2, 8.14: tags.
_OCTET_STRING, _OID, _ENUMERATED, _SEQUENCE, _APPLICATION_0 = 0x04, 0x06, 0x0A, 0x30, 0x60
_CONTEXT = (0xA0, 0xA1, 0xA2, 0xA3)
#: X.690 8.1.3.5: from this length on, the length itself has a length.
_LONG_FORM = 0x80
_MAX_LENGTH_OCTETS = 4

#: RFC 4178 4.2.2, negState.
_ACCEPT_COMPLETED, _ACCEPT_INCOMPLETE = 0, 1


class SpnegoError(ValueError):
    """A token that is no Negotiate token, or a malformed one."""


class Mechanism(NamedTuple):
    """One of a client's mechanisms: the OID as the client wrote it, and its name; empty: unknown."""

    oid: bytes
    name: str


class NegotiateToken(NamedTuple):
    """What a client sent after ``Negotiate``.

    Attributes:
        mechanisms: The client's mechanisms, in its order; empty: the token belongs to the agreed mechanism.
        token: Of the agreed mechanism, or of the first one; empty: there is none.
        is_framed: Whether the token came in SPNEGO's frame, so that the answer needs the frame, too.
    """

    mechanisms: tuple[Mechanism, ...]
    token: bytes
    is_framed: bool


def is_bare_ntlm(data: bytes) -> bool:
    """Whether a token is a message of NTLM without a frame."""
    return data.startswith(_NTLM_SIGNATURE)


def parse_negotiate_token(data: bytes) -> NegotiateToken:
    """Return what a token says, framed or bare.

    Raises:
        SpnegoError: The token is malformed.
    """
    if is_bare_ntlm(data):
        is_first = message_type(data) == NEGOTIATE_TYPE
        return NegotiateToken((Mechanism(b"", NTLM),) if is_first else (), data, is_framed=False)
    tag, content = _read_whole(data)
    if tag == _CONTEXT[1]:
        return NegotiateToken((), _read_response(content), is_framed=True)
    if tag != _APPLICATION_0:
        raise SpnegoError("not a token of Negotiate")
    tag, oid, rest = _read_element(content)
    if tag == _OID and oid == _KERBEROS_OID:
        return NegotiateToken((Mechanism(oid, KERBEROS),), data, is_framed=False)
    if tag != _OID or oid != _SPNEGO_OID:
        raise SpnegoError("a token of an unknown mechanism")
    return _read_init(_expect(_read_whole(rest), _CONTEXT[0]))


def format_reply(mechanism: Mechanism | None, token: bytes, *, is_complete: bool) -> bytes:
    """Return a NegTokenResp (RFC 4178 4.2.2).

    Args:
        mechanism: The chosen mechanism, in the first reply; None in later replies. Its OID is the one that
            the client wrote: several OIDs mean the same, but Windows accepts only its own.
        token: The answer of the mechanism; empty: none.
        is_complete: Whether the client is logged in.
    """
    state = bytes((_ACCEPT_COMPLETED if is_complete else _ACCEPT_INCOMPLETE,))
    fields = format_der(_CONTEXT[0], format_der(_ENUMERATED, state))
    if mechanism is not None:
        fields += format_der(_CONTEXT[1], format_der(_OID, mechanism.oid))
    if token:
        fields += format_der(_CONTEXT[2], format_der(_OCTET_STRING, token))
    return format_der(_CONTEXT[1], format_der(_SEQUENCE, fields))


def format_der(tag: int, content: bytes) -> bytes:
    """Return a DER element with a definite length (X.690 8.1.3)."""
    length = len(content)
    if length < _LONG_FORM:
        return bytes((tag, length)) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, _LONG_FORM | len(octets))) + octets + content


def _read_init(content: bytes) -> NegotiateToken:
    """Return what a NegTokenInit says (RFC 4178 4.2.1)."""
    fields = _read_fields(content)
    names = _expect(_read_whole(fields.get(_CONTEXT[0], b"")), _SEQUENCE)
    mechanisms = []
    while names:
        tag, oid, names = _read_element(names)
        mechanisms.append(Mechanism(_expect((tag, oid), _OID), _MECHANISMS.get(oid, "")))
    return NegotiateToken(tuple(mechanisms), _read_token(fields), is_framed=True)


def _read_response(content: bytes) -> bytes:
    """Return the responseToken of a NegTokenResp (RFC 4178 4.2.2)."""
    return _read_token(_read_fields(content))


def _read_token(fields: dict[int, bytes]) -> bytes:
    """Return mechToken or responseToken: both have the same tag."""
    if _CONTEXT[2] not in fields:
        return b""
    return _expect(_read_whole(fields[_CONTEXT[2]]), _OCTET_STRING)


def _read_fields(content: bytes) -> dict[int, bytes]:
    """Return the elements of a sequence by their tags."""
    rest, fields = _expect(_read_whole(content), _SEQUENCE), {}
    while rest:
        tag, value, rest = _read_element(rest)
        fields[tag] = value
    return fields


def _expect(element: tuple[int, bytes], tag: int) -> bytes:
    if element[0] != tag:
        raise SpnegoError("an element of another type than expected")
    return element[1]


def _read_whole(data: bytes) -> tuple[int, bytes]:
    """Return tag and content of an element that nothing follows."""
    tag, content, rest = _read_element(data)
    if rest:
        raise SpnegoError("bytes behind the last element")
    return tag, content


def _read_element(data: bytes) -> tuple[int, bytes, bytes]:
    """Return tag and content of the first element, and what follows it."""
    if len(data) < 2:  # noqa: PLR2004 - a tag and a length
        raise SpnegoError("an element is cut short")
    tag, length, start = data[0], data[1], 2
    if length >= _LONG_FORM:
        octets = length - _LONG_FORM
        if not 0 < octets <= _MAX_LENGTH_OCTETS:
            raise SpnegoError("a length of an odd form")
        start += octets
        length = int.from_bytes(data[2:start], "big")
    if len(data) < start + length:
        raise SpnegoError("an element is cut short")
    return tag, data[start : start + length], data[start + length :]
