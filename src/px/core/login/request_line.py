"""What a login needs to know of the request that it is for."""

from __future__ import annotations

from typing import NamedTuple


class RequestLine(NamedTuple):
    """The parts of a request that a login uses.

    Attributes:
        method: As sent.
        uri: The request-target as sent; Digest hashes it.
        target: ``host:port`` of the origin; a rule of the upstream may deny it.
    """

    method: bytes
    uri: bytes
    target: str
