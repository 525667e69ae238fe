"""Target information, against pyspnego."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spnego._ntlm_raw.messages import TargetInfo

from px.core.auth.ntlm.errors import NtlmMalformedError
from px.core.auth.ntlm.target_info import (
    AV_COMPUTER,
    AV_DOMAIN,
    AV_FLAGS,
    AV_TIMESTAMP,
    format_target_info,
    parse_target_info,
    read_flags,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20).map(
    lambda text: text.encode("utf-16-le")
)
NOW = 133_000_000_000_000_000
#: Target information as servers send it, its pairs in any order; 8 is MsvAvSingleHost, 11 is unknown.
TARGET_INFO = (
    st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys((1, 2, 3, 4, 5), TEXT),
            AV_FLAGS: st.integers(0, 7).map(lambda flags: struct.pack("<I", flags)),
            AV_TIMESTAMP: st.integers(NOW // 2, NOW * 2).map(lambda moment: struct.pack("<Q", moment)),
            8: st.binary(min_size=40, max_size=40).map(lambda data: struct.pack("<II", 48, 0) + data),
            11: st.binary(max_size=20),
        },
    )
    .flatmap(lambda pairs: st.permutations(list(pairs.items())))
    .map(dict)
)


@given(TARGET_INFO)
def test_target_information_is_read_as_it_was_written(pairs):
    assert parse_target_info(format_target_info(pairs)) == pairs


@given(TARGET_INFO)
def test_pyspnego_reads_and_writes_the_same_bytes(pairs):
    data = format_target_info(pairs)
    assert TargetInfo.unpack(data).pack() == data


def test_of_a_repeated_pair_the_first_is_used_and_nothing_behind_the_end():
    pairs = [(AV_DOMAIN, b"a"), (AV_DOMAIN, b"b"), (0, b""), (AV_COMPUTER, b"c")]
    data = b"".join(struct.pack("<HH", kind, len(value)) + value for kind, value in pairs)
    assert parse_target_info(data) == {AV_DOMAIN: b"a"}


@pytest.mark.parametrize("data", [b"", b"\0", struct.pack("<HH", 7, 99), struct.pack("<HH2s", 1, 2, b"ab")])
def test_target_information_without_an_end_is_malformed(data):
    with pytest.raises(NtlmMalformedError, match="does not end"):
        parse_target_info(data)


def test_flags_of_another_length_are_malformed():
    assert read_flags({}) == 0
    assert read_flags({AV_FLAGS: b"\3\0\0\0"}) == 3
    with pytest.raises(NtlmMalformedError, match="4 bytes"):
        read_flags({AV_FLAGS: b"\3"})
