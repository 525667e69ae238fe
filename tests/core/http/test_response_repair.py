"""Response heads that break RFC 9112: one reading is repaired, two are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from px.core.errors import BadResponseError
from px.core.http.framing import NO_BODY, Framing, FramingKind
from px.core.http.response_head import ResponseHead, find_response_end, parse_response
from tests.core.http.heads import response

CHUNKED = Framing(FramingKind.CHUNKED)
CLOSE = Framing(FramingKind.CLOSE)
LENGTH_3 = Framing(FramingKind.LENGTH, 3)
LENGTH = b"Content-Length: 3"
CODING = b"Transfer-Encoding: chunked"
IDENTITY = b"Transfer-Encoding: identity"


def parse(*lines: bytes, line: bytes = b"HTTP/1.1 200 OK", method: bytes = b"GET") -> ResponseHead:
    return parse_response(response(*lines, line=line), method)


class TestFindResponseEnd:
    @pytest.mark.parametrize("first", [b"\r\n", b"\n"])
    @pytest.mark.parametrize("second", [b"\r\n", b"\n"])
    @pytest.mark.parametrize("empty", [b"\r\n", b"\n"])
    def test_is_after_the_first_empty_line_however_lines_end(
        self, first: bytes, second: bytes, empty: bytes
    ) -> None:
        head = b"HTTP/1.1 200 OK" + first + b"A: b" + second + empty
        for cut in range(len(head)):
            assert find_response_end(head[:cut]) == -1
        for rest in (b"", b"\n\n", b"\r\n\r\n", b"x\n\r\n", b"\n"):
            assert find_response_end(head + rest) == len(head)
        assert parse_response(head, b"GET").pairs() == [(b"A", b"b")]

    def test_may_be_searched_for_from_later_on(self) -> None:
        head = b"HTTP/1.1 200 OK\r\nA: b\n\nC: d\r\n\r\n"
        assert find_response_end(bytearray(head), 15) == head.index(b"C")


class TestLines:
    @pytest.mark.parametrize(
        ("head", "line_and_block"),
        [
            (b"HTTP/1.1 200 OK\nA: b\nC: d\n\n", b"HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\n"),
            (b"HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n", b"HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\n"),
            (b"HTTP/1.0 404 \nA:\r\n\n", b"HTTP/1.0 404 \r\nA:\r\n"),
            (b"HTTP/1.1 200\n\n", b"HTTP/1.1 200 \r\n"),
            (b"HTTP/1.1 200\n\r\n", b"HTTP/1.1 200 \r\n"),
            (b"http/1.1 200 OK\r\nA: b\r\n\r\n", b"HTTP/1.1 200 OK\r\nA: b\r\n"),
            (b"HTTP/1.2 200 OK\r\nA: b\r\n\r\n", b"HTTP/1.1 200 OK\r\nA: b\r\n"),
            (b"HTTP/1.9 200\r\n\r\n", b"HTTP/1.1 200 \r\n"),
            (b"HTTP/1.1 200\tOK\r\n\r\n", b"HTTP/1.1 200 OK\r\n"),
            (b"HTTP/1.1   200   OK \r\n\r\n", b"HTTP/1.1 200   OK \r\n"),
            (b"HTTP/1.1 200 O\x01K\x7f\r\n\r\n", b"HTTP/1.1 200 O K \r\n"),
        ],
    )
    def test_are_put_into_their_usual_form(self, head: bytes, line_and_block: bytes) -> None:
        parsed = parse_response(head, b"GET")
        line = b"HTTP/1.%d %d %b\r\n" % (parsed.minor_version, parsed.status, parsed.reason)
        assert line + parsed.block == line_and_block
        assert parsed.is_repaired

    @pytest.mark.parametrize(
        ("line", "repaired"),
        [
            (b"A : b", b"A: b"),
            (b"A \t: b", b"A: b"),
            (b"A: b\r\n  c", b"A: b c"),
            (b"A:\r\n\tb\n c", b"A: b c"),
            (b"A: b\r\n \t\r\n c", b"A: b  c"),
            (b"A: \x01b\x02\x0b\x0c\x0e\x1b\x1f\x7f\tc\xff", b"A:  b       \tc\xff"),
            (b"Set-Cookie: a=\x01", b"Set-Cookie: a= "),
        ],
    )
    def test_a_field_is_repaired(self, line: bytes, repaired: bytes) -> None:
        head = parse(b"Before: 1", line, b"After: 2", LENGTH)
        assert head.block == b"Before: 1\r\n" + repaired + b"\r\nAfter: 2\r\n" + LENGTH + b"\r\n"
        assert (head.framing, head.is_repaired) == (LENGTH_3, True)

    @pytest.mark.parametrize(
        "line",
        [
            b"My Header: 1",
            b"X-\xc3\xa4: 1",
            b"X-(a)@b: 1",
            b"X\x01: 1",
            b"X[]: 1",
            b": 1",
            b":",
            b"some garbage",
            b"<html>",
            b"X",
            b"X\r\n : 1",
            b"My Header: 1\r\n 2\r\n\t3: 4",
            b"Content Length: 5",
            b"Content-Length 5",
            b"X Content-Length: 5",
            b"Content-Length-: 5 \x01",
        ],
    )
    def test_a_line_that_is_no_field_is_dropped(self, line: bytes) -> None:
        head = parse(b"Before: 1", line, b"After: 2", LENGTH)
        if not line.startswith(b"Content-Length-"):
            assert head.block == b"Before: 1\r\nAfter: 2\r\n" + LENGTH + b"\r\n"
        assert (head.framing, head.is_repaired) == (LENGTH_3, True)

    def test_folded_lines_before_the_first_field_are_dropped(self) -> None:
        head = parse(b" A: b", b"\tC", b"D: e")
        assert head.block == b"D: e\r\n"
        assert parse(b" ").block == b""

    @pytest.mark.parametrize("name", [b"Content-Length", b"transfer-encoding"])
    @pytest.mark.parametrize(
        "line",
        [
            b"%b\x0b: 5",
            b"%b\x01: 5",
            b"\x01%b: 5",
            b"\xef\xbb\xbf%b: 5",
            b"%b\xa0: 5",
            b"%b\xc2\xad: 5",
            b"(%b): 5",
            b"%b",
            b"%b \r\n : 5",
            b"%b\r\n : 5",
            b"A: b\r\n %b: 5",
            b"A: b\r\n c\r\n\t%b : 5",
            b"A b: c\r\n %b: 5",
            b"%b:\r\n 5",
            b"%b: 5\r\n \r\n 6",
            b"%b: 5\x01",
            b"%b: \x0b5",
            b"%b:\r\n \x0c5",
        ],
    )
    def test_what_may_be_read_as_framing_is_refused(self, line: bytes, name: bytes) -> None:
        for lines in ([line % name, b"A: b"], [b"A: b", line % name], [line % name]):
            with pytest.raises(BadResponseError, match="makes the end of its body unclear"):
                parse(*lines)

    @pytest.mark.parametrize("name", [b"Content-Length", b"transfer-encoding"])
    def test_so_it_is_before_the_first_field(self, name: bytes) -> None:
        with pytest.raises(BadResponseError, match="makes the end of its body unclear"):
            parse(b" %b: 5" % name)
        with pytest.raises(BadResponseError, match="makes the end of its body unclear"):
            parse(b" A: 1", b" %b: 5" % name)

    @pytest.mark.parametrize(
        "line", [b"HTTP/1.1 200 OK", b"http/1.0 302 Found: x", b"HTTP/1.1 100 Continue\n b"]
    )
    def test_a_second_status_line_is_refused(self, line: bytes) -> None:
        for lines in ([line], [b"A: b", line, b"C: d"], [b" " + line]):
            with pytest.raises(BadResponseError, match="status line among its fields"):
                parse(*lines)

    def test_a_strict_head_is_not_repaired(self) -> None:
        head = parse(b"A: b", LENGTH)
        assert not head.is_repaired
        assert not parse(CODING).is_repaired
        assert not parse(b"Transfer-Encoding: Chunked").is_repaired

    def test_many_odd_lines_are_fine(self) -> None:
        lines = b"A b\r\n c\r\n: d\r\nE : f\r\n g\r\n" * 400
        head = parse_response(b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n", b"GET")
        assert head.block == b"E: f g\r\n" * 400
        for line in (b"a\n", b": b\n", b" c\n"):
            with pytest.raises(BadResponseError, match="2000 fields"):
                parse_response(b"HTTP/1.1 200 OK\n" + line * 2001 + b"\n", b"GET")


class TestFraming:
    @pytest.mark.parametrize(
        ("lines", "framing", "block"),
        [
            ([LENGTH, CODING], CHUNKED, CODING),
            ([CODING, LENGTH], CHUNKED, CODING),
            ([CODING, LENGTH, LENGTH], CHUNKED, CODING),
            ([b"Content-Length: 0", CODING], CHUNKED, CODING),
            ([b"content-length: x", b"transfer-encoding: CHUNKED"], CHUNKED, CODING),
            ([b"Content-Length:", CODING], CHUNKED, CODING),
            ([IDENTITY], CLOSE, b""),
            ([IDENTITY, LENGTH], LENGTH_3, LENGTH),
            ([LENGTH, IDENTITY], LENGTH_3, LENGTH),
            ([LENGTH, b"Transfer-Encoding: Identity, identity", LENGTH], LENGTH_3, LENGTH),
            ([b"Transfer-Encoding: identity, chunked"], CHUNKED, CODING),
            ([IDENTITY, CODING], CHUNKED, CODING),
            ([LENGTH, IDENTITY, CODING], CHUNKED, CODING),
            ([b"Transfer-Encoding:", LENGTH], LENGTH_3, LENGTH),
            ([b"Transfer-Encoding: , chunked ,"], CHUNKED, CODING),
            ([b"Transfer-Encoding :chunked"], CHUNKED, CODING),
        ],
    )
    @pytest.mark.parametrize("version", [b"1.0", b"1.1", b"1.2"])
    def test_with_one_reading_is_repaired(
        self, lines: list[bytes], framing: Framing, block: bytes, version: bytes
    ) -> None:
        head = parse(b"A: b", *lines, b"C: d", line=b"HTTP/" + version + b" 200 OK")
        left = [
            line for line in head.block.split(b"\r\n") if line[:1] not in (b"A", b"C") or b"onten" in line
        ]
        assert [line.replace(b":chunked", b": chunked") for line in left if line] == (
            [block] if block else []
        )
        assert (head.framing, head.is_repaired) == (framing, True)
        assert head.pairs() == parse_response(response(*head.block.split(b"\r\n")[:-1]), b"GET").pairs()
        assert head.value(b"content-length") == (b"3" if framing is LENGTH_3 else None)
        assert head.values(b"transfer-encoding") == ([b"chunked"] if framing is CHUNKED else [])

    def test_an_old_server_may_use_the_chunked_coding(self) -> None:
        head = parse(CODING, b"Connection: keep-alive", line=b"HTTP/1.0 200 OK")
        assert (head.framing, head.minor_version, head.is_repaired) == (CHUNKED, 0, True)

    @pytest.mark.parametrize("method", [b"HEAD", b"GET"])
    def test_is_repaired_where_no_body_comes_too(self, method: bytes) -> None:
        line = b"HTTP/1.1 200 OK" if method == b"HEAD" else b"HTTP/1.1 304 -"
        head = parse(LENGTH, CODING, line=line, method=method)
        assert (head.framing, head.block) == (NO_BODY, CODING + b"\r\n")

    @pytest.mark.parametrize(
        "lines",
        [
            [LENGTH, b"Content-Length: 4"],
            [b"Content-Length: 3, 4"],
            [LENGTH, b"Content-Length: 03"],
            [LENGTH, b"Content-Length: 4", CODING],
            [CODING, CODING],
            [b"Transfer-Encoding: chunked, chunked"],
            [b"Transfer-Encoding: chunked, gzip"],
            [b"Transfer-Encoding: chunked, identity"],
            [CODING, IDENTITY],
            [b"Transfer-Encoding: gzip, chunked"],
            [b"Transfer-Encoding: gzip"],
            [b"Transfer-Encoding: identity, gzip", LENGTH],
            [b"Transfer-Encoding: xchunked"],
            [b"Transfer-Encoding: chunked;a=b"],
            [b'Transfer-Encoding: "chunked"'],
            [b"Transfer-Encoding: chunked identity"],
            [IDENTITY, b"Content-Length: 3", b"Content-Length: 4"],
            [IDENTITY, b"Content-Length:"],
            [b"Content-Length:"],
            [b"Content-Length: 3,"],
            [b"Content-Length: +3"],
            [b"Content-Length: 3 bytes"],
        ],
    )
    @pytest.mark.parametrize("method", [b"HEAD", b"GET"])
    @pytest.mark.parametrize("version", [b"1.0", b"1.1"])
    def test_with_two_readings_is_refused(self, lines: list[bytes], method: bytes, version: bytes) -> None:
        with pytest.raises(BadResponseError):
            parse(*lines, line=b"HTTP/" + version + b" 200 OK", method=method)


PIECES = [
    b"HTTP/1.1 200 OK",
    b"HTTP/1.0",
    b"Content-Length",
    b"Transfer-Encoding",
    b"chunked",
    b"identity",
    b"A",
    b": ",
    b":",
    b" ",
    b"\t",
    b"3",
    b",",
    b"\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b"\x00",
    b"\x01",
    b"\xe9",
]


@given(st.lists(st.sampled_from(PIECES), max_size=14).map(b"".join))
def test_what_is_passed_on_is_strict_and_reads_the_same(fields: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n\r\n"
    try:
        parsed = parse_response(head[: find_response_end(head)], b"GET")
    except BadResponseError:
        return
    again = parse_response(b"HTTP/1.1 200 OK\r\n" + parsed.block + b"\r\n", b"GET")
    assert not again.is_repaired
    assert (again.block, again.framing, again.notable) == (parsed.block, parsed.framing, parsed.notable)
