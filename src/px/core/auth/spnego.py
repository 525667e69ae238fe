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

from px.core.auth.der import (
    APPLICATION_0,
    CONTEXT,
    ENUMERATED,
    OCTET_STRING,
    OID,
    SEQUENCE,
    DerError,
    expect,
    format_der,
    read_element,
    read_whole,
)
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
    try:
        return _parse_framed(data)
    except DerError as error:
        raise SpnegoError(str(error)) from error


def _parse_framed(data: bytes) -> NegotiateToken:
    """Return what a token says that is not bare NTLM."""
    tag, content = read_whole(data)
    if tag == CONTEXT[1]:
        return NegotiateToken((), _read_response(content), is_framed=True)
    if tag != APPLICATION_0:
        raise SpnegoError("not a token of Negotiate")
    tag, oid, rest = read_element(content)
    if tag == OID and oid == _KERBEROS_OID:
        return NegotiateToken((Mechanism(oid, KERBEROS),), data, is_framed=False)
    if tag != OID or oid != _SPNEGO_OID:
        raise SpnegoError("a token of an unknown mechanism")
    return _read_init(expect(read_whole(rest), CONTEXT[0]))


def format_reply(mechanism: Mechanism | None, token: bytes, *, is_complete: bool) -> bytes:
    """Return a NegTokenResp (RFC 4178 4.2.2).

    Args:
        mechanism: The chosen mechanism, in the first reply; None in later replies. Its OID is the one that
            the client wrote: several OIDs mean the same, but Windows accepts only its own.
        token: The answer of the mechanism; empty: none.
        is_complete: Whether the client is logged in.
    """
    state = bytes((_ACCEPT_COMPLETED if is_complete else _ACCEPT_INCOMPLETE,))
    fields = format_der(CONTEXT[0], format_der(ENUMERATED, state))
    if mechanism is not None:
        fields += format_der(CONTEXT[1], format_der(OID, mechanism.oid))
    if token:
        fields += format_der(CONTEXT[2], format_der(OCTET_STRING, token))
    return format_der(CONTEXT[1], format_der(SEQUENCE, fields))


def _read_init(content: bytes) -> NegotiateToken:
    """Return what a NegTokenInit says (RFC 4178 4.2.1)."""
    fields = _read_fields(content)
    names = expect(read_whole(fields.get(CONTEXT[0], b"")), SEQUENCE)
    mechanisms = []
    while names:
        tag, oid, names = read_element(names)
        mechanisms.append(Mechanism(expect((tag, oid), OID), _MECHANISMS.get(oid, "")))
    return NegotiateToken(tuple(mechanisms), _read_token(fields), is_framed=True)


def _read_response(content: bytes) -> bytes:
    """Return the responseToken of a NegTokenResp (RFC 4178 4.2.2)."""
    return _read_token(_read_fields(content))


def _read_token(fields: dict[int, bytes]) -> bytes:
    """Return mechToken or responseToken: both have the same tag."""
    if CONTEXT[2] not in fields:
        return b""
    return expect(read_whole(fields[CONTEXT[2]]), OCTET_STRING)


def _read_fields(content: bytes) -> dict[int, bytes]:
    """Return the elements of a sequence by their tags."""
    rest, fields = expect(read_whole(content), SEQUENCE), {}
    while rest:
        tag, value, rest = read_element(rest)
        fields[tag] = value
    return fields
