"""Requests in another spelling than that of RFC 9112: those with one reading pass in that spelling."""

from __future__ import annotations

import pytest

from px.core.errors import BadRequestError
from px.core.http.framing import NO_BODY, Framing, FramingKind
from px.core.http.head import MAX_HEAD_BYTES, find_head_end
from px.core.http.request_head import parse_request
from px.core.http.target import Authority
from tests.core.http.heads import request


def lf(head: bytes) -> bytes:
    return head.replace(b"\r\n", b"\n")


class TestLineEnds:
    @pytest.mark.parametrize(
        "head",
        [
            request(b"A: b"),
            b"CONNECT a.example:443 HTTP/1.0\r\n\r\n",
            b"\r\n\r\n" + request(),
            request(b"Content-Length: 0"),
            request(b"A: b\r\n c"),
        ],
    )
    @pytest.mark.parametrize("rest", [b"", b"\n", b"\r\n\r\n", request(b"A: b")])
    def test_a_head_of_bare_lf_is_read_as_one_of_crlf(self, head: bytes, rest: bytes) -> None:
        bare = lf(head)
        assert find_head_end(bare + rest) == len(bare)
        ours, theirs = parse_request(bare), parse_request(head)
        assert (ours.method, ours.target, ours.block) == (theirs.method, theirs.target, theirs.block)
        assert ours.lines == theirs.lines
        assert b"\n" not in ours.block.replace(b"\r\n", b"")

    @pytest.mark.parametrize("line", [b"Content-Length: 1", b"Transfer-Encoding: chunked"])
    def test_with_a_body_it_is_refused(self, line: bytes) -> None:
        with pytest.raises(BadRequestError, match="bare LF, and it has a body"):
            parse_request(lf(request(line)))

    @pytest.mark.parametrize(
        "head",
        [
            b"GET http://a/ HTTP/1.1\r\nHost: a\n\n",
            b"GET http://a/ HTTP/1.1\nHost: a\r\n\r\n",
            b"GET http://a/ HTTP/1.1\nHost: a\n\r\n",
            b"GET http://a/ HTTP/1.1\nHost: a\r\n\n",
            b"GET http://a/ HTTP/1.1\nHost: a\nA: \rb\n\n",
            b"\nGET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
            b"\r\nGET http://a/ HTTP/1.1\nHost: a\n\n",
        ],
    )
    def test_line_ends_of_two_kinds_are_refused(self, head: bytes) -> None:
        with pytest.raises(BadRequestError):
            parse_request(head)

    def test_its_fault_is_described_as_for_any_other(self) -> None:
        with pytest.raises(BadRequestError, match="Field line 2 has no colon"):
            parse_request(lf(request(b"A")))


class TestRequestLine:
    @pytest.mark.parametrize(
        ("target", "sent", "origin_target"),
        [
            ("http://a.example/über", b"http://a.example/%C3%BCber", b"/%C3%BCber"),
            ("http://a.example?ü=%e4/ä", b"http://a.example?%C3%BC=%e4/%C3%A4", b"/?%C3%BC=%e4/%C3%A4"),
            ('http://a.example/ü|"{}^`\\<>', b'http://a.example/%C3%BC|"{}^`\\<>', b'/%C3%BC|"{}^`\\<>'),
            ("http://[::1]:8/ü#ü", b"http://[::1]:8/%C3%BC", b"/%C3%BC"),
            ("/ü", b"/%C3%BC", b"/%C3%BC"),
        ],
    )
    def test_a_path_beyond_ascii_is_percent_encoded(
        self, target: str, sent: bytes, origin_target: bytes
    ) -> None:
        head = parse_request(request(line=b"GET %b HTTP/1.1" % target.encode()))
        assert (head.target, head.origin_target) == (sent, origin_target)

    def test_octets_that_are_invalid_text_are_encoded_too(self) -> None:
        line = b"GET http://a/" + bytes(range(0x80, 0x100)) + b" HTTP/1.1"
        encoded = "".join(f"%{octet:02X}" for octet in range(0x80, 0x100))
        assert parse_request(request(line=line)).origin_target == b"/" + encoded.encode()

    @pytest.mark.parametrize(
        "target", ["http://bücher.example/", "http://a.exampleü", "http://a:8ü/", "ü", "*ü", "http://ü@a/"]
    )
    def test_a_host_beyond_ascii_is_refused(self, target: str) -> None:
        with pytest.raises(BadRequestError, match="not ASCII before its path"):
            parse_request(request(line=b"GET %b HTTP/1.1" % target.encode()))

    def test_it_may_not_grow_beyond_the_limit(self) -> None:
        line = b"GET http://a/" + b"\xfc" * (MAX_HEAD_BYTES // 2) + b" HTTP/1.1"
        with pytest.raises(BadRequestError, match="request line is longer") as caught:
            parse_request(request(line=line))
        assert caught.value.status == 414

    @pytest.mark.parametrize(
        ("target", "sent", "origin_target"),
        [
            (b"http://a.example/p#top", b"http://a.example/p", b"/p"),
            (b"http://a.example/#", b"http://a.example/", b"/"),
            (b"http://a.example#top", b"http://a.example", b"/"),
            (b"http://a.example#/@b", b"http://a.example#/@b", None),
            (b"http://a.example#@b.example/", b"http://a.example#@b.example/", None),
            (b"http://a.example/?q#a#b?c@d", b"http://a.example/?q", b"/?q"),
            (b"http://a.example?q=/#@b", b"http://a.example?q=/", b"/?q=/"),
            (b"/p#@x", b"/p", b"/p"),
        ],
    )
    def test_a_fragment_is_dropped_where_all_see_the_same_host(
        self, target: bytes, sent: bytes, origin_target: bytes | None
    ) -> None:
        head = request(line=b"GET %b HTTP/1.1" % target)
        if origin_target is None:
            with pytest.raises(BadRequestError):
                parse_request(head)
        else:
            assert (parse_request(head).target, parse_request(head).origin_target) == (sent, origin_target)

    @pytest.mark.parametrize("minor", range(1, 10))
    def test_a_later_minor_version_counts_as_1_1(self, minor: int) -> None:
        head = parse_request(request(b"Connection: Upgrade", line=b"GET / HTTP/1.%d" % minor))
        assert (head.minor_version, head.keep_alive) == (1, True)
        with pytest.raises(BadRequestError, match="no Host"):
            parse_request(b"GET http://a/ HTTP/1.%d\r\n\r\n" % minor)


class TestFoldedLines:
    @pytest.mark.parametrize(
        ("lines", "unfolded"),
        [
            ([b"A: b\r\n c"], b"A: b c"),
            ([b"A: b,\r\n\t \tc\r\n  d"], b"A: b, c d"),
            ([b"A:\r\n b"], b"A: b"),
            ([b"A: b\r\n c: d"], b"A: b c: d"),
            ([b"Cookie: a=b;\r\n c=d", b"B: c"], b"Cookie: a=b; c=d\r\nB: c"),
        ],
    )
    def test_are_unfolded(self, lines: list[bytes], unfolded: bytes) -> None:
        head = parse_request(request(*lines))
        assert head.block == b"Host: a.example\r\n" + unfolded + b"\r\n"
        assert parse_request(request(unfolded)).pairs() == head.pairs()

    @pytest.mark.parametrize(
        "lines",
        [
            [b"A: b\r\n "],
            [b"A: b\r\n \t\r\n c"],
            [b"Content-Length: 1\r\n 0"],
            [b"content-length:\r\n 0"],
            [b"Transfer-Encoding:\r\n chunked"],
            [b"A: b\r\n Transfer-Encoding: chunked"],
            [b"A: b\r\n\tcontent-length : 3"],
            [b"A: b\r\n c\r\n host: x"],
        ],
    )
    def test_are_refused_where_others_may_see_the_end_or_another_field(self, lines: list[bytes]) -> None:
        with pytest.raises(BadRequestError, match="white space at its beginning"):
            parse_request(request(*lines))

    def test_nothing_is_folded_into_the_request_line_or_the_host(self) -> None:
        for head in (
            b"GET http://a/ HTTP/1.1\r\n Host: a\r\n\r\n",
            b"GET http://a/ HTTP/1.1\r\n b\r\nHost: a\r\n\r\n",
            b"GET http://a/ HTTP/1.1\r\nHost: a\r\n .b\r\n\r\n",
            b"GET http://a/ HTTP/1.1\r\nHost:\r\n a\r\n\r\n",
        ):
            with pytest.raises(BadRequestError, match="white space at its beginning"):
                parse_request(head)


class TestFraming:
    @pytest.mark.parametrize(
        "lines",
        [
            [b"Content-Length: 3", b"content-length: 3"],
            [b"Content-Length: 3, 3"],
            [b"Content-Length: 3 ,\t3", b"A: b", b"Content-Length: 3"],
            [b"Content-Length: 3", b"Transfer-Encoding: identity"],
            [b"transfer-encoding: Identity", b"Content-Length: 3, 3"],
        ],
    )
    @pytest.mark.parametrize("version", [b"1.0", b"1.1"])
    def test_one_length_is_passed_on(self, lines: list[bytes], version: bytes) -> None:
        head = parse_request(request(*lines, line=b"PUT http://a/ HTTP/" + version))
        assert head.framing == Framing(FramingKind.LENGTH, 3)
        names = [name.lower() for name, _ in head.pairs()]
        assert (names.count(b"content-length"), names.count(b"transfer-encoding")) == (1, 0)
        assert head.values(b"content-length") == [b"3"]
        assert head.values(b"transfer-encoding") == []
        assert parse_request(request(*head.block.split(b"\r\n")[1:-1])).pairs() == head.pairs()

    @pytest.mark.parametrize(
        "lines",
        [
            [b"Transfer-Encoding: identity"],
            [b"Transfer-Encoding: identity, chunked"],
            [b"Transfer-Encoding: identity, chunked", b"Content-Length: 3"],
            [b"Transfer-Encoding: identity", b"Content-Length: 3", b"Transfer-Encoding: chunked"],
            [b"Transfer-Encoding: identity;q=1", b"Content-Length: 3"],
            [b"Transfer-Encoding: identity", b"Content-Length: 3", b"Content-Length: 4"],
            [b"Transfer-Encoding:", b"Content-Length: 3"],
        ],
    )
    def test_identity_is_refused_without_a_single_length(self, lines: list[bytes]) -> None:
        with pytest.raises(BadRequestError):
            parse_request(request(*lines, line=b"PUT http://a/ HTTP/1.1"))

    @pytest.mark.parametrize("value", [b"chunked", b"\tchunked", b" chunked \t", b"  chunked"])
    def test_chunked_is_passed_on_without_odd_white_space(self, value: bytes) -> None:
        head = parse_request(request(b"A: b", b"transfer-encoding:" + value, b"B: c"))
        assert head.framing.kind is FramingKind.CHUNKED
        assert head.block.endswith(b"A: b\r\nTransfer-Encoding: chunked\r\nB: c\r\n")
        assert head.lines[-1] == (b"Transfer-Encoding", b" chunked")

    def test_te_of_identity_is_an_ordinary_request(self) -> None:
        assert parse_request(request(b"TE: identity", b"Connection: TE")).framing is NO_BODY


class TestConnect:
    @pytest.mark.parametrize("version", [b"1.0", b"1.1", b"1.3"])
    @pytest.mark.parametrize("fields", [b"", b"User-Agent: a\r\n", b"Host:\r\n", b"Host: http://b/\r\n"])
    def test_does_not_need_a_host(self, version: bytes, fields: bytes) -> None:
        head = parse_request(b"CONNECT a.example:443 HTTP/%b\r\n%b\r\n" % (version, fields))
        assert head.authority == Authority("a.example", 443)

    def test_may_not_have_two(self) -> None:
        with pytest.raises(BadRequestError, match="more than one Host"):
            parse_request(request(b"Host: a.example", line=b"CONNECT a.example:443 HTTP/1.1"))


class TestFtp:
    @pytest.mark.parametrize("login", [b"user:p%40ss@", b"user@", b"@", b"a:b:c@", b""])
    def test_a_login_in_its_url_is_the_business_of_the_upstream(self, login: bytes) -> None:
        target = b"ftp://%ba.example/f;type=i" % login
        head = parse_request(request(line=b"GET %b HTTP/1.1" % target))
        assert (head.target, head.authority) == (target, Authority("a.example", 21))
        assert head.origin_target == b"/f;type=i"
        assert b"p%40ss" not in repr(head).encode()

    @pytest.mark.parametrize(
        "target",
        [b"ftp://u:p@x@a/", b"ftp://u\\@a/", b"ftp://u[@a/", b"FTP://u@/", b"http://u:p@a/", b"https://u@a/"],
    )
    def test_any_other_login_is_refused_without_a_word_of_it(self, target: bytes) -> None:
        with pytest.raises(BadRequestError) as caught:
            parse_request(request(line=b"GET %b HTTP/1.1" % target))
        assert "u:p" not in str(caught.value)
