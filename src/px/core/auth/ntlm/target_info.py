"""Target information: AV_PAIRs of a CHALLENGE, which the client returns in its response (MS-NLMP 2.2.2.1)."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from px.core.auth.ntlm.errors import NtlmMalformedError

AV_END, AV_COMPUTER, AV_DOMAIN, AV_DNS_COMPUTER, AV_DNS_DOMAIN = 0, 1, 2, 3, 4
AV_FLAGS, AV_TIMESTAMP, AV_TARGET_NAME, AV_CHANNEL_BINDINGS = 6, 7, 9, 10
#: A flag of AV_FLAGS: the AUTHENTICATE message has a MIC.
AV_FLAG_MIC = 0x00000002
_FLAGS_BYTES = 4
_PAIR = struct.Struct("<HH")


def format_target_info(pairs: Mapping[int, bytes]) -> bytes:
    """Return the AV_PAIRs in their order, and MsvAvEOL behind them."""
    pieces = [_PAIR.pack(kind, len(value)) + value for kind, value in pairs.items()]
    return b"".join((*pieces, _PAIR.pack(AV_END, 0)))


def parse_target_info(data: bytes) -> dict[int, bytes]:
    """Return the AV_PAIRs up to MsvAvEOL; of a repeated one, the first is used.

    Raises:
        NtlmMalformedError: A pair is cut short, or there is no MsvAvEOL.
    """
    pairs: dict[int, bytes] = {}
    position = 0
    while position + _PAIR.size <= len(data):
        kind, length = _PAIR.unpack_from(data, position)
        if kind == AV_END:
            return pairs
        position += _PAIR.size
        if position + length > len(data):
            break
        pairs.setdefault(kind, data[position : position + length])
        position += length
    raise NtlmMalformedError("the target information does not end")


def read_flags(info: Mapping[int, bytes]) -> int:
    """Return MsvAvFlags; 0 if the target information has none.

    Raises:
        NtlmMalformedError: The flags are not 4 bytes long.
    """
    value = info.get(AV_FLAGS, bytes(_FLAGS_BYTES))
    if len(value) != _FLAGS_BYTES:
        raise NtlmMalformedError("the flags of the target information are not 4 bytes long")
    return int.from_bytes(value, "little")
