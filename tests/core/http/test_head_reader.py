"""Heads that come in pieces: the end is the same as in one piece, and each octet is examined once."""

from __future__ import annotations

import sys
from time import thread_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from px.core.errors import BadRequestError
from px.core.http.head import MAX_HEAD_BYTES, HeadReader, find_head_end
from px.core.http.request_head import check_request_beginning
from tests.core.http.heads import request

PIECES = st.lists(
    st.sampled_from([b"GET / HTTP/1.1", b"A: b", b"\r\n", b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\n\n", b" "])
)


@given(PIECES.map(b"".join), st.integers(1, 9))
def test_the_end_is_the_same_in_pieces_of_any_size(received: bytes, piece_bytes: int) -> None:
    reader = HeadReader()
    end = -1
    for at in range(0, len(received), piece_bytes):
        end = reader.receive(received[at : at + piece_bytes])
        if end >= 0 or reader.has_odd_line_end:
            break
    if end >= 0:
        assert find_head_end(received) == end
    elif not reader.has_odd_line_end:
        assert find_head_end(received) == -1


@given(PIECES.map(b"".join))
def test_a_head_without_an_end_has_line_ends_of_one_kind(received: bytes) -> None:
    reader = HeadReader()
    for octet in received:
        if reader.receive(bytes([octet])) >= 0:
            return
    line, lf, _ = received.partition(b"\n")
    if lf and not line.endswith(b"\r"):
        is_odd = b"\r" in received
    else:
        is_odd = bool(set(received.removesuffix(b"\r").replace(b"\r\n", b"")) & set(b"\r\n"))
    assert reader.has_odd_line_end == is_odd


def read_by_octets(beginning: bytes, filler: bytes, octets: int) -> None:
    """Read a head without an end as Px does, each octet alone."""
    reader = HeadReader()
    received = (beginning + filler * (octets // len(filler) + 1))[:octets]
    for octet in received:
        assert reader.receive(bytes([octet])) == -1
        check_request_beginning(reader)


@pytest.mark.skipif(sys.platform == "win32", reason="its clock of CPU time ticks every 16 ms only")
@pytest.mark.parametrize(
    ("beginning", "filler"),
    [
        (b"GET /", b"a"),
        (b"", b"a"),
        (b"GET / HTTP/1.1\r\nA: ", b"b"),
        (b"GET / HTTP/1.1\r\n", b"A: b\r\n"),
        (b"GET / HTTP/1.1\n", b"A: b\n"),
        (b"GET / HTTP/1.1\r\n", b"A: b\r\n c\r\n"),
    ],
)
def test_a_head_octet_by_octet_costs_no_more_the_longer_it_is(beginning: bytes, filler: bytes) -> None:
    """Sixteen heads cost as much CPU time as one as long as all of them; with rescans that one costs more."""
    short, long = [], []
    for _ in range(2):
        began = thread_time()
        for _ in range(16):
            read_by_octets(beginning, filler, MAX_HEAD_BYTES // 32)
        between = thread_time()
        read_by_octets(beginning, filler, MAX_HEAD_BYTES // 2)
        short.append(between - began)
        long.append(thread_time() - between)
    assert min(long) < 5 * min(short)


def test_a_token_counts_for_the_limit_wherever_the_pieces_end() -> None:
    head = request(b"Cookie: " + b"c" * 60_000, b"Proxy-Authorization: Negotiate " + b"Y" * 60_000)
    for piece_bytes in (1000, 65_537, 120_000):
        reader = HeadReader()
        for at in range(0, len(head) - 2, piece_bytes):
            assert reader.receive(head[at : min(at + piece_bytes, len(head) - 2)]) == -1
            check_request_beginning(reader)


def test_a_token_after_the_limit_comes_too_late() -> None:
    reader = HeadReader()
    reader.receive(request(b"Cookie: " + b"c" * MAX_HEAD_BYTES, b"Authorization: Negotiate YYY")[:-2])
    with pytest.raises(BadRequestError, match="64 KiB"):
        check_request_beginning(reader)
