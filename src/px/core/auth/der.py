"""The part of DER (X.690) that SPNEGO and certificates need: elements with a definite length."""

from __future__ import annotations

# X.690 8.1.2, 8.14: tags.
OCTET_STRING, OID, ENUMERATED, SEQUENCE, APPLICATION_0 = 0x04, 0x06, 0x0A, 0x30, 0x60
CONTEXT = (0xA0, 0xA1, 0xA2, 0xA3)
#: X.690 8.1.3.5: from this length on, the length itself has a length.
_LONG_FORM = 0x80
_MAX_LENGTH_OCTETS = 4


class DerError(ValueError):
    """Bytes that are not the expected elements."""


def format_der(tag: int, content: bytes) -> bytes:
    """Return a DER element with a definite length (X.690 8.1.3)."""
    length = len(content)
    if length < _LONG_FORM:
        return bytes((tag, length)) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, _LONG_FORM | len(octets))) + octets + content


def expect(element: tuple[int, bytes], tag: int) -> bytes:
    """Return the content of an element.

    Raises:
        DerError: It has another tag.
    """
    if element[0] != tag:
        raise DerError("an element of another type than expected")
    return element[1]


def read_whole(data: bytes) -> tuple[int, bytes]:
    """Return tag and content of an element that nothing follows.

    Raises:
        DerError: The element is malformed, or something follows.
    """
    tag, content, rest = read_element(data)
    if rest:
        raise DerError("bytes behind the last element")
    return tag, content


def read_element(data: bytes) -> tuple[int, bytes, bytes]:
    """Return tag and content of the first element, and what follows it.

    Raises:
        DerError: The element is malformed.
    """
    if len(data) < 2:  # noqa: PLR2004 - a tag and a length
        raise DerError("an element is cut short")
    tag, length, start = data[0], data[1], 2
    if length >= _LONG_FORM:
        octets = length - _LONG_FORM
        if not 0 < octets <= _MAX_LENGTH_OCTETS:
            raise DerError("a length of an odd form")
        start += octets
        length = int.from_bytes(data[2:start], "big")
    if len(data) < start + length:
        raise DerError("an element is cut short")
    return tag, data[start : start + length], data[start + length :]
