"""Framing: how to find the end of a body, RFC 9112 6.3; `px.core.http.body_reader` finds it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import NamedTuple

from px.core.errors import BadRequestError, BadResponseError, PxError
from px.core.http.grammar import OWS, TOKEN

MAX_CONTENT_LENGTH = 2**63 - 1

_CONTENT_LENGTH = re.compile(rb"[0-9]{1,19}")
_TOKEN = re.compile(TOKEN)


class FramingKind(Enum):
    """How to find the end of a body, RFC 9112 6.3."""

    NONE = "none"
    LENGTH = "length"
    CHUNKED = "chunked"
    CLOSE = "close"


class Framing(NamedTuple):
    """The end of a body.

    Attributes:
        kind: NONE also for a Content-Length of 0: nothing follows the head.
        length: The octets of the body; 0 unless `kind` is LENGTH.
    """

    kind: FramingKind
    length: int = 0


NO_BODY = Framing(FramingKind.NONE)
_CHUNKED = Framing(FramingKind.CHUNKED)
_UNTIL_CLOSE = Framing(FramingKind.CLOSE)


def list_members(values: Iterable[bytes]) -> list[bytes]:
    """Return the lower-case members of a comma-separated list (RFC 9110 5.6.1) over several lines."""
    members = [member.strip(OWS).lower() for value in values for member in value.split(b",")]
    return [member for member in members if member]


def request_framing(method: bytes, found: Mapping[bytes, list[bytes]], minor_version: int) -> Framing:
    """Return the framing of a request's body.

    Args:
        method: The method of the request.
        found: Values by lower-case name; those of Content-Length and Transfer-Encoding are used.
        minor_version: The minor version of the request.

    Raises:
        BadRequestError: 400, or 501 for an unknown transfer coding.
    """
    if minor_version == 0 and b"transfer-encoding" in found:
        raise BadRequestError(
            "The message is HTTP/1.0 and has a Transfer-Encoding, which HTTP/1.0 does not have."
        )
    framing = _framing(found, BadRequestError)
    if framing is None:
        return NO_BODY
    if method == b"CONNECT" and framing is not NO_BODY:
        raise BadRequestError("The CONNECT request has a body, which has no meaning (RFC 9110 9.3.6).")
    return framing


def response_framing(found: Mapping[bytes, list[bytes]]) -> Framing:
    """Return the framing of the body of a response that has one; `found` as in `request_framing`.

    Raises:
        BadResponseError: Two readers could disagree about the end.
    """
    framing = _framing(found, BadResponseError)
    return _UNTIL_CLOSE if framing is None else framing


def _framing(found: Mapping[bytes, list[bytes]], error: type[PxError]) -> Framing | None:
    codings = found.get(b"transfer-encoding")
    lengths = found.get(b"content-length")
    if codings is None:
        return None if lengths is None else _length_framing(lengths, error)
    if lengths is not None:
        raise error("The message has both Content-Length and Transfer-Encoding.")
    _check_codings(b",".join(codings).split(b","), error)
    return _CHUNKED


def _length_framing(lengths: list[bytes], error: type[PxError]) -> Framing:
    if len(lengths) > 1 or b"," in lengths[0]:
        raise error("The message has more than one Content-Length.")
    if not _CONTENT_LENGTH.fullmatch(lengths[0]) or int(lengths[0]) > MAX_CONTENT_LENGTH:
        raise error("The message has a Content-Length that is not a number below 2^63.")
    length = int(lengths[0])
    return Framing(FramingKind.LENGTH, length) if length else NO_BODY


def _check_codings(codings: list[bytes], error: type[PxError]) -> None:
    """Raise an error unless the coding is chunked, once (RFC 9112 6.1)."""
    codings = [coding.strip(OWS).lower() for coding in codings]
    if codings == [b"chunked"]:
        return
    if not all(_TOKEN.fullmatch(coding) for coding in codings):
        raise error("The message has a Transfer-Encoding that is not a list of names.")
    if b"chunked" in codings[:-1]:
        raise error("The message is chunked more than once, or chunked is not its last Transfer-Encoding.")
    unknown = "The message has a Transfer-Encoding other than chunked."
    raise error(unknown, status=501) if error is BadRequestError else error(unknown)
