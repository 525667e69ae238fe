"""Bodies: readers find their end, however the bytes arrive."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from px.core.errors import BadRequestError, BadResponseError, PxError
from px.core.http.body_reader import BodyReader, body_reader
from px.core.http.chunked import (
    MAX_EXTENSION_BYTES,
    MAX_SPARE_EXTENSION_BYTES,
    MAX_STEPS,
    MAX_TRAILER_BYTES,
    MAX_TRAILER_FIELDS,
    MAX_TRAILER_LINE_BYTES,
)
from px.core.http.framing import NO_BODY, Framing, FramingKind

CHUNKED = Framing(FramingKind.CHUNKED)
CLOSE = Framing(FramingKind.CLOSE)


def reader(
    framing: Framing = CHUNKED, *, decode: bool = False, error: type[PxError] = BadRequestError
) -> BodyReader:
    return body_reader(framing, decode_chunked=decode, error=error)


def read(
    data: bytes,
    cuts: list[int] | None = None,
    *,
    decode: bool = False,
    error: type[PxError] = BadRequestError,
) -> tuple[bytes, bytes, bool]:
    """Return the forwarded part of `data`, cut at `cuts`; the rest; and whether the body is complete."""
    body = reader(decode=decode, error=error)
    forwarded = rest = b""
    ends = sorted({min(cut, len(data)) for cut in cuts or ()} | {len(data)})
    start = 0
    for end in ends:
        piece, more = body.receive(data[start:end])
        while more and not body.is_complete:  # the reader has used up its steps
            forwarded, (piece, more) = forwarded + piece, body.receive(more)
        forwarded, rest, start = forwarded + piece, rest + more, end
    return forwarded, rest, body.is_complete


class TestLengthReader:
    def test_ends_after_its_octets(self) -> None:
        body = reader(Framing(FramingKind.LENGTH, 5))
        assert body.receive(b"abc") == (b"abc", b"")
        assert repr(body) == "<LengthReader 2 octets missing>"
        assert body.receive(b"defg") == (b"de", b"fg")
        assert body.is_complete
        assert body.receive(b"hi") == (b"", b"hi")
        body.receive_eof()

    def test_forwards_its_input_without_a_copy(self) -> None:
        data = bytes(1000)
        assert reader(Framing(FramingKind.LENGTH, 1000)).receive(data)[0] is data

    def test_says_how_much_is_missing_at_the_end(self) -> None:
        body = reader(Framing(FramingKind.LENGTH, 5))
        body.receive(b"abc")
        with pytest.raises(BadRequestError, match="2 bytes before the end"):
            body.receive_eof()

    def test_of_no_body_is_complete_at_once(self) -> None:
        assert reader(NO_BODY).is_complete
        assert reader(NO_BODY).receive(b"next") == (b"", b"next")


def test_a_close_delimited_body_ends_with_the_connection() -> None:
    body = reader(CLOSE)
    assert body.receive(b"abc") == (b"abc", b"")
    assert (body.is_complete, repr(body)) == (False, "<CloseReader reading>")
    body.receive_eof()
    assert (body.is_complete, repr(body)) == (True, "<CloseReader complete>")


class TestChunkedReader:
    @pytest.mark.parametrize(
        ("coded", "payload"),
        [
            (b"0\r\n\r\n", b""),
            (b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
            (b"003\r\nabc\r\n1\r\n\n\r\n000\r\n\r\n", b"abc\n"),
            (b"a\r\n0\r\n\r\n12345\r\nA\r\n0123456789\r\n0\r\n\r\n", b"0\r\n\r\n123450123456789"),
            (b'3;a;b=c;d="e\\"; \xff"\r\nabc\r\n0;z\r\n\r\n', b"abc"),
            (b"0000000000000001\r\nx\r\n0000000000000000\r\nA: b\r\nc:\r\n\r\n", b"x"),
        ],
    )
    def test_forwards_the_coding_or_the_payload(self, coded: bytes, payload: bytes) -> None:
        assert read(coded + b"next") == (coded, b"next", True)
        assert read(coded + b"next", decode=True) == (payload, b"next", True)
        octet_by_octet = list(range(len(coded)))
        assert read(coded + b"next", octet_by_octet) == (coded, b"next", True)
        assert read(coded + b"next", octet_by_octet, decode=True) == (payload, b"next", True)

    @pytest.mark.parametrize(
        "line",
        [
            b"",
            b" 3",
            b"3 ",
            b"+3",
            b"-3",
            b"0x3",
            b"3_0",
            b"g",
            b"\xb2",
            b"00000000000000003",
            b"3,",
            b"\t3",
            b"3;",
            b"3 ;",
            b"3; ;a",
            b"3;a ",
            b"3;a = ",
            b"3;a b",
            b"3;a=b c=d",
            b"3;\x0ba",
            b"3;a=",
            b'3;a="',
            b'3;a="b"c',
            b"3;;a",
            b"3;a=b=c",
            b"3;a\x00",
            b'3;a="\x00"',
            b'3;a="\\\x7f"',
            b"3\n",
            b"3\nabc",
            b"3;a\n",
            b"3\r",
            b"3;a\r",
        ],
    )
    @pytest.mark.parametrize("end", [b"\r\nabc\r\n0\r\n\r\n", b"\r\nabc\r\n"])
    def test_a_bad_chunk_size_is_refused(self, line: bytes, end: bytes) -> None:
        for cuts in ([], list(range(40))):
            with pytest.raises(BadRequestError, match="chunk size"):
                read(line + end, cuts)
            with pytest.raises(BadRequestError, match="chunk size"):
                read(b"1\r\nx\r\n" + line + end, cuts)

    @pytest.mark.parametrize(
        "extensions", [" ;a", ";\ta", ";a =b", ";a= b", " ; a \t= b", ';a ; b = "c d";e', ';a="b" ;c']
    )
    def test_extensions_with_white_space_around_their_parts_are_not_passed_on(self, extensions: str) -> None:
        coded = f"3{extensions}\r\nabc\r\n0{extensions}\r\nA: b\r\n\r\n".encode()
        for cuts in ([], list(range(len(coded)))):
            assert read(coded + b"next", cuts) == (b"3\r\nabc\r\n0\r\nA: b\r\n\r\n", b"next", True)
            assert read(coded + b"next", cuts, decode=True) == (b"abc", b"next", True)

    @pytest.mark.parametrize(
        "beginning", [b"x", b"\n", b"\r\n", b"3\n", b"3 4", b"3;a\n", b"3\rx", b"0" * 17]
    )
    def test_a_bad_beginning_is_refused_before_the_line_ends(self, beginning: bytes) -> None:
        with pytest.raises(BadRequestError):
            reader().receive(beginning)

    @pytest.mark.parametrize("end", [b"x", b"\n", b"\rx", b"d\r\n", b"\r\r\n"])
    def test_a_chunk_that_is_longer_than_its_size_is_refused(self, end: bytes) -> None:
        for cuts in ([], list(range(20))):
            with pytest.raises(BadRequestError, match="does not end where its size says"):
                read(b"3\r\nabc" + end, cuts)

    @pytest.mark.parametrize(
        "line",
        [b" a: b", b"a : b", b"a", b": b", b"a: b\x00", b"a: b\n", b"a: b\nc: d", b"a: b\rc: d", b"a b: c"],
    )
    def test_a_bad_trailer_is_refused(self, line: bytes) -> None:
        for cuts in ([], list(range(40))):
            for decode in (False, True):
                with pytest.raises(BadRequestError, match="trailer"):
                    read(b"0\r\nok: 1\r\n" + line + b"\r\n\r\n", cuts, decode=decode)

    @pytest.mark.parametrize(
        "name",
        b"Transfer-Encoding content-LENGTH Host Content-Type Proxy-Authorization Authorization"
        b" Set-Cookie Connection TE Trailer Upgrade Via Cache-Control Proxy-Status Expect If-Match"
        b" X-Forwarded-For".split(),
    )
    def test_a_trailer_that_would_change_the_message_is_dropped(self, name: bytes) -> None:
        coded = b"1\r\nx\r\n0\r\nA: 1\r\n%b: b\r\nX-%b: c\r\n\r\n" % (name, name)
        kept = b"1\r\nx\r\n0\r\nA: 1\r\nX-%b: c\r\n\r\n" % name
        for cuts in ([], list(range(len(coded)))):
            assert read(coded, cuts) == (kept, b"", True)

    def test_large_payload_is_passed_without_a_copy(self) -> None:
        body = reader()
        body.receive(b"f0000\r\n")
        data = bytes(0x8000)
        assert body.receive(data)[0] is data
        coded = b"8000\r\n" + data + b"\r\n"
        assert reader().receive(coded)[0] is coded

    def test_a_line_may_end_later_however_much_came_before_it(self) -> None:
        coded = b"8000\r\n" + bytes(0x8000) + b"\r\n"
        assert read(coded + b"0;a\r\nA: b\r\n\r\n", [len(coded) + 1])[2]
        trailers = coded + b"0\r\nA: b\r\n"
        assert read(trailers + b"C: d\r\n\r\n", [len(trailers) + 1])[2]

    def test_closing_in_the_middle_is_an_error(self) -> None:
        coded = b"3\r\nabc\r\n0\r\n\r\n"
        for end in range(len(coded)):
            body = reader()
            body.receive(coded[:end])
            with pytest.raises(BadRequestError, match="in the middle"):
                body.receive_eof()
        body = reader()
        body.receive(coded)
        body.receive_eof()

    def test_after_its_end_all_is_rest(self) -> None:
        body = reader()
        body.receive(b"0\r\n\r\n")
        assert body.receive(b"x") == (b"", b"x")

    def test_its_repr_shows_the_state(self) -> None:
        body = reader()
        assert repr(body) == "<ChunkedReader size_line, 0 octets held>"
        body.receive(b"3\r\na")
        assert repr(body) == "<ChunkedReader payload, 0 octets held>"
        body.receive(b"bc\r")
        assert repr(body) == "<ChunkedReader payload_end, 1 octets held>"
        body.receive(b"\n0\r\nA")
        assert repr(body) == "<ChunkedReader trailer_line, 1 octets held>"
        body.receive(b":\r\n\r\n")
        assert repr(body) == "<ChunkedReader complete, 0 octets held>"

    @pytest.mark.parametrize("error", [BadRequestError, BadResponseError])
    def test_errors_are_of_the_class_asked_for(self, error: type[PxError]) -> None:
        body = body_reader(CHUNKED, decode_chunked=False, error=error)
        with pytest.raises(error):
            body.receive(b"x")


class TestLenientChunkedReader:
    """Answers: forms that curl and browsers understand are repaired and forwarded in the form of RFC 9112."""

    @pytest.mark.parametrize(
        ("coded", "strict", "payload"),
        [
            (b"3  \r\nabc\r\n0  \r\n\r\n", b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
            (b"3\t\r\nabc\r\n0\r\n\r\n", b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
            (b"3\nabc\n0\n\n", b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
            (b"3\nabc\r\n0\r\n\n", b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
            (b"3\r\n\nb\n\n0\n\r\n", b"3\r\n\nb\n\r\n0\r\n\r\n", b"\nb\n"),
            (b"3 ; a = b\r\nabc\r\n0;\n\n", b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
            (b'3; a="b\r\nabc\r\n00;;=\x01\xff\r\n\r\n', b"3\r\nabc\r\n00\r\n\r\n", b"abc"),
            (b"3;a=b\r\nabc\n0\r\n\r\n", b"3;a=b\r\nabc\r\n0\r\n\r\n", b"abc"),
            (b"1\r\nx\r\n0\r\nA: b\nC:d\r\n\n", b"1\r\nx\r\n0\r\nA: b\r\nC:d\r\n\r\n", b"x"),
            (b"0\r\na b: c\r\nd\r\n: e\r\nf : g\r\nh: \x01\r\ni: j\r\n\r\n", b"0\r\ni: j\r\n\r\n", b""),
            (b"0\nContent-Length: 5\nHost : a\nTrailer\n\n", b"0\r\n\r\n", b""),
        ],
    )
    def test_repairs_bodies_with_one_reading(self, coded: bytes, strict: bytes, payload: bytes) -> None:
        for cuts in ([], *([at] for at in range(len(coded))), list(range(len(coded)))):
            assert read(coded + b"next", cuts, error=BadResponseError) == (strict, b"next", True)
            assert read(coded + b"next", cuts, decode=True, error=BadResponseError) == (
                payload,
                b"next",
                True,
            )
        assert read(strict) == (strict, b"", True), "what goes on is not strict"

    @pytest.mark.parametrize("coded", [b"3\nabc\r\n0\r\n\r\n", b"3\r\nabc\r\n0\r\na\r\n\r\n", b"0\r\n\n"])
    def test_tells_that_it_has_repaired(self, coded: bytes) -> None:
        for decode in (False, True):
            body = reader(decode=decode, error=BadResponseError)
            assert not body.is_repaired
            body.receive(coded)
            assert (body.is_complete, body.is_repaired) == (True, True)

    def test_strict_bodies_are_passed_on_as_they_are(self) -> None:
        coded = b"3;a=b\r\nabc\r\n0\r\nA: b\r\n\r\n"
        body = reader(error=BadResponseError)
        assert body.receive(coded)[0] is coded
        assert not body.is_repaired

    @pytest.mark.parametrize(
        "coded",
        [
            b" 3\r\nabc\r\n",
            b"+3\r\nabc\r\n",
            b"-3\r\nabc\r\n",
            b"0x3\r\nabc\r\n",
            b"3 a\r\nabc\r\n",
            b"3\r\r\nabc\r\n",
            b"3\rabc\r\n",
            b"3;a\rb\r\nabc\r\n",
            b"3;a\x00\r\nabc\r\n",
            b"\nabc",
            b"\r\nabc",
            b"0" * 17 + b"\r\n",
            b"3\r\nabc3\r\n",
            b"3\r\nabc \r\n",
            b"3\r\nabc\r\r\n",
            b"0\r\nA: b\rc\r\n",
            b"0\r\nA: b\x00\r\n",
            b"0\r\nA: b\r\n c\r\n",
            b"0\r\n a\r\n",
        ],
    )
    def test_refuses_bodies_that_two_readers_read_differently(self, coded: bytes) -> None:
        for cuts in ([], list(range(40))):
            with pytest.raises(BadResponseError):
                read(coded, cuts, error=BadResponseError)

    def test_has_the_limits_of_the_strict_one(self) -> None:
        padding = b" " * (MAX_EXTENSION_BYTES + 1)
        with pytest.raises(BadResponseError, match="extensions"):
            read(b"1" + padding + b"\r\nx", error=BadResponseError)
        with pytest.raises(BadResponseError, match="chunk size"):
            read(b"1" + padding + b" " * 20, error=BadResponseError)
        with pytest.raises(BadResponseError, match="extensions"):
            read(b"1        \r\nx\r\n" * MAX_SPARE_EXTENSION_BYTES, error=BadResponseError)
        with pytest.raises(BadResponseError, match="trailer"):
            read(b"0\n" + b"A\n" * (MAX_TRAILER_FIELDS + 1) + b"\n", error=BadResponseError)
        with pytest.raises(BadResponseError, match="trailer"):
            read(b"0\n" + b"A" * MAX_TRAILER_LINE_BYTES + b"\n\n", error=BadResponseError)

    def test_many_odd_chunks_are_fine(self) -> None:
        coded, strict = b"1 \nx\n" * 50_000 + b"0\n\n", b"1\r\nx\r\n" * 50_000 + b"0\r\n\r\n"
        with pytest.raises(BadResponseError, match="extensions"):
            read(b"1  \nx\n" * 100_000, error=BadResponseError)
        assert read(coded, error=BadResponseError) == (strict, b"", True)


class TestLimits:
    def test_are_what_the_documentation_says(self) -> None:
        assert (MAX_EXTENSION_BYTES, MAX_SPARE_EXTENSION_BYTES) == (4096, 65536)
        assert (MAX_TRAILER_BYTES, MAX_TRAILER_LINE_BYTES, MAX_TRAILER_FIELDS) == (65536, 8192, 200)

    def test_extensions_of_a_chunk(self) -> None:
        extension = b";" + b"a" * (MAX_EXTENSION_BYTES - 1)
        coded = b"1" + extension + b"\r\nx\r\n0\r\n\r\n"
        assert read(coded) == (coded, b"", True)
        with pytest.raises(BadRequestError, match="extensions"):
            read(b"1" + extension + b"a\r\n")
        with pytest.raises(BadRequestError):
            read(b"1" + extension + b"a" * 100)

    def test_extensions_of_a_body(self) -> None:
        chunk = b"1;aaaaaaaa\r\nx\r\n"
        allowed = MAX_SPARE_EXTENSION_BYTES // 8
        assert not read(chunk * allowed)[2]
        with pytest.raises(BadRequestError, match="extensions"):
            read(chunk * (allowed + allowed // 7 + 2))

    def test_payload_earns_extensions(self) -> None:
        chunk = b"400;chunk-signature=" + b"0" * 64 + b"\r\n" + bytes(0x400) + b"\r\n"
        assert not read(chunk * 2000)[2]

    def test_one_huge_chunk_does_not_earn_them_all(self) -> None:
        body = reader()
        body.receive(b"1\r\nx\r\n")
        chunk = b"ffffffffffffffff;a\r\n"
        assert body.receive(chunk) == (chunk, b"")

    def test_tiny_chunks_are_taken_a_few_at_once(self) -> None:
        body = reader()
        coded = b"1\r\nx\r\n" * MAX_STEPS
        piece, rest = body.receive(coded)
        assert 0 < len(piece) < len(coded)
        assert piece + rest == coded

    def test_many_tiny_chunks_are_fine(self) -> None:
        assert read(b"1\r\nx\r\n" * 100_000 + b"0\r\n\r\n", decode=True) == (b"x" * 100_000, b"", True)

    def test_trailer_fields(self) -> None:
        coded = b"0\r\n" + b"A:\r\n" * MAX_TRAILER_FIELDS
        assert read(coded + b"\r\n")[2]
        with pytest.raises(BadRequestError, match="trailer"):
            read(coded + b"A:\r\n\r\n")

    def test_a_trailer_line(self) -> None:
        line = b"A: " + b"a" * (MAX_TRAILER_LINE_BYTES - 5)
        assert read(b"0\r\n" + line + b"\r\n\r\n")[2]
        for end in (b"a\r\n\r\n", b"aaa"):
            for cuts in ([], [100], list(range(MAX_TRAILER_LINE_BYTES, MAX_TRAILER_LINE_BYTES + 20))):
                with pytest.raises(BadRequestError, match="trailer"):
                    read(b"0\r\n" + line + end, cuts)

    def test_all_trailer_lines(self) -> None:
        line = b"A: " + b"a" * (MAX_TRAILER_LINE_BYTES - 5) + b"\r\n"
        assert read(b"0\r\n" + line * 8 + b"\r\n")[2]
        with pytest.raises(BadRequestError, match="trailer"):
            read(b"0\r\n" + line * 8 + b"A:\r\n\r\n")

    @pytest.mark.parametrize("error", [BadRequestError, BadResponseError])
    @pytest.mark.parametrize("begin", [b"1;", b"0\r\nA: "])
    def test_a_long_line_that_comes_octet_by_octet_costs_what_short_ones_cost(
        self, begin: bytes, error: type[PxError]
    ) -> None:
        def cost(line_octets: int, lines: int) -> float:
            wire, begun = begin + b"a" * line_octets, time.process_time()
            for _ in range(lines):
                body = reader(error=error)
                for at in range(len(wire)):
                    body.receive(wire[at : at + 1])
            return time.process_time() - begun

        assert cost(4000, 10) < 4 * cost(100, 400)  # quadratic cost would be ten times as much

    @given(st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=20))
    def test_hold_for_any_input(self, pieces: list[bytes]) -> None:
        body = reader()
        received = forwarded = 0
        for piece in pieces * 50:
            try:
                out, rest = body.receive(piece)
            except PxError:
                return
            received += len(piece) - len(rest)
            forwarded += len(out)
            if body.is_complete:
                return
            assert received - forwarded <= MAX_TRAILER_LINE_BYTES


TOKENS = st.text("abcXYZ09-_!", min_size=1, max_size=6)
EXTENSIONS = st.lists(
    st.one_of(TOKENS, st.tuples(TOKENS, TOKENS).map("=".join), TOKENS.map(lambda name: f'{name}="a b\\"c"')),
    max_size=2,
)
CHUNKS = st.lists(st.tuples(st.binary(min_size=1, max_size=40), EXTENSIONS), max_size=6)
TRAILERS = st.lists(st.tuples(TOKENS, TOKENS), max_size=3)


def encode(
    chunks: list[tuple[bytes, list[str]]], trailers: list[tuple[str, str]], size_format: str = "x"
) -> tuple[bytes, bytes]:
    """A chunked body, and its payload."""
    coded = b""
    for payload, extensions in [*chunks, (b"", [])]:
        line = "".join((format(len(payload), size_format), *(";" + extension for extension in extensions)))
        coded += line.encode() + b"\r\n" + (payload + b"\r\n" if payload else b"")
    coded += b"".join(f"x-{name}: {value}\r\n".encode() for name, value in trailers) + b"\r\n"
    return coded, b"".join(payload for payload, _ in chunks)


@given(CHUNKS, TRAILERS, st.sampled_from(["x", "X", "06x"]), st.lists(st.integers(0, 400), max_size=8))
def test_any_split_of_a_chunked_body_gives_the_same(
    chunks: list[tuple[bytes, list[str]]], trailers: list[tuple[str, str]], size_format: str, cuts: list[int]
) -> None:
    coded, payload = encode(chunks, trailers, size_format)
    for these_cuts in (cuts, list(range(len(coded) + 4))):
        assert read(coded + b"next", these_cuts) == (coded, b"next", True)
        assert read(coded + b"next", these_cuts, decode=True) == (payload, b"next", True)


PIECES = [
    b"0",
    b"3",
    b"a",
    b"\r\n",
    b"\n",
    b"\r",
    b";",
    b"=",
    b'"',
    b" ",
    b"abc",
    b"A: b",
    b"Host: b",
    b"0\r\n",
    b"\x00",
]


@given(st.lists(st.sampled_from(PIECES), max_size=14).map(b"".join), st.lists(st.integers(0, 30), max_size=5))
def test_any_split_of_any_bytes_gives_the_same(data: bytes, cuts: list[int]) -> None:
    """A valid body stays valid and a bad one bad, wherever the pieces end; only PxError is raised."""
    for error in (BadRequestError, BadResponseError):
        results: list[tuple[bytes, bytes, bool] | None] = []
        for these_cuts in ([], cuts, list(range(len(data)))):
            try:
                results.append(read(data, these_cuts, error=error))
            except PxError:
                results.append(None)
        assert results[0] == results[1] == results[2]


@given(st.lists(st.sampled_from(PIECES), max_size=14).map(b"".join))
def test_the_output_of_the_lenient_reader_is_strict(data: bytes) -> None:
    try:
        forwarded, _, is_complete = read(data, error=BadResponseError)
        payload = read(data, decode=True, error=BadResponseError)[0]
    except PxError:
        return
    assert read(forwarded)[2] is is_complete
    assert read(forwarded, decode=True)[0] == payload
