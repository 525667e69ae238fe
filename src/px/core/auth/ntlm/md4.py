"""MD4 (RFC 1320) and the NT hash made with it (MS-NLMP 3.3.1, NTOWFv1).

OpenSSL 3 no longer offers MD4, so `hashlib` lacks it. MD4 is broken as a hash, but NTLM still needs it.
"""

from __future__ import annotations

import struct

from px.core.errors import LoginUnusableError

_MASK = 0xFFFFFFFF
_BLOCK_BYTES = 64
_START = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476)
#: RFC 1320 3.4: per round the added constant, the order of the words, and the four shifts.
_ROUNDS = (
    (0x00000000, tuple(range(16)), (3, 7, 11, 19)),
    (0x5A827999, (0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), (3, 5, 9, 13)),
    (0x6ED9EBA1, (0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15), (3, 9, 11, 15)),
)


def md4(message: bytes) -> bytes:
    """Return the 16 bytes of MD4 over `message` (RFC 1320)."""
    # RFC 1320 3.1, 3.2: a one bit, zeros up to 56 modulo 64, then the length in bits, little-endian.
    zeros = -(len(message) + 9) % _BLOCK_BYTES
    padded = message + b"\x80" + bytes(zeros) + struct.pack("<Q", len(message) * 8 % 2**64)
    state: tuple[int, ...] = _START
    for start in range(0, len(padded), _BLOCK_BYTES):
        state = _compress(state, struct.unpack_from("<16I", padded, start))
    return struct.pack("<4I", *state)


def nt_hash(password: str) -> bytes:
    """Return the 16 bytes of a password's NT hash: MD4 over UTF-16LE (MS-NLMP 3.3.1).

    Raises:
        LoginUnusableError: The password holds a lone surrogate, which UTF-16 cannot express; it comes from a
            terminal or an environment whose bytes were not in the locale's encoding.
    """
    try:
        encoded = password.encode("utf-16-le")
    except UnicodeEncodeError:
        # `from None`: the exception would carry the password.
        cause = "The password holds bytes that are not text in this locale's encoding"
        raise LoginUnusableError(cause, "Enter it again in a UTF-8 locale.") from None
    return md4(encoded)


def _compress(state: tuple[int, ...], words: tuple[int, ...]) -> tuple[int, ...]:
    """Return the state after one more block of sixteen words (RFC 1320 3.4)."""
    a, b, c, d = state
    for round_number, (constant, order, shifts) in enumerate(_ROUNDS):
        for step, index in enumerate(order):
            total = (a + _mix(round_number, b, c, d) + words[index] + constant) & _MASK
            shift = shifts[step % 4]
            a, b, c, d = d, (total << shift | total >> (32 - shift)) & _MASK, b, c
    return tuple((old + new) & _MASK for old, new in zip(state, (a, b, c, d), strict=True))


def _mix(round_number: int, x: int, y: int, z: int) -> int:
    """Return F, G or H of RFC 1320 3.4: selection, majority, parity."""
    if round_number == 0:
        return (x & y) | (~x & z)
    if round_number == 1:
        return (x & y) | (x & z) | (y & z)
    return x ^ y ^ z
