"""Bodies of any length with predictable content.

The pattern's period is a prime number of bytes, so that pieces which arrive in
the wrong order or twice change the checksum whatever the size of the pieces.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

_PERIOD = 262_139
_PATTERN = memoryview(hashlib.shake_128(b"corporate network").digest(_PERIOD))


def payload(length: int) -> Iterator[memoryview]:
    """Yield the body of this length, piece by piece."""
    whole, rest = divmod(length, _PERIOD)
    for _ in range(whole):
        yield _PATTERN
    if rest:
        yield _PATTERN[:rest]


def payload_bytes(length: int) -> bytes:
    """Return the body of this length."""
    return b"".join(payload(length))


def payload_sha256(length: int) -> str:
    """Return the checksum of the body of this length."""
    digest = hashlib.sha256()
    for piece in payload(length):
        digest.update(piece)
    return digest.hexdigest()
