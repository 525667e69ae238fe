"""Refused heads: Px describes the reason in plain words."""

from __future__ import annotations

import pytest

from px.core.errors import BadRequestError, BadResponseError
from px.core.http.request_head import looks_like_noise, parse_request
from px.core.http.response_head import parse_response
from tests.core.http.heads import check_answer_beginning, check_beginning, request, response

BOM = b"\xef\xbb\xbf"


class TestRequest:
    def test_the_reason_is_described_after_empty_lines_too(self) -> None:
        with pytest.raises(BadRequestError, match="other than 1"):
            parse_request(b"\r\n" * 4 + request(line=b"GET / HTTP/2.0"))

    @pytest.mark.parametrize(
        ("line", "reason", "status"),
        [
            (b"GET  / HTTP/1.1", "one space between", 400),
            (b"GET / HTTP/1.1 ", "one space between", 400),
            (b"GET / x HTTP/1.1", "one space between", 400),
            (b"GET /", "one space between", 400),
            (b"GET", "one space between", 400),
            (b"GET\t/\tHTTP/1.1", "one space between", 400),
            (b"G@T / HTTP/1.1", "The method has a character", 400),
            (b" GET / HTTP/1.1", "does not speak HTTP/1", 400),
            (b"GET http://\xc3\xa9/ HTTP/1.1", "not ASCII before its path", 400),
            (b"GET \xc3\xa9/ HTTP/1.1", "not ASCII before its path", 400),
            (b"CONNECT \xc3\xa9:443 HTTP/1.1", "not ASCII before its path", 400),
            (b"GET /\xc3\xa9  HTTP/1.1", "one space between", 400),
            (b"G\xc3 / HTTP/1.1", "The method has a character", 400),
            (b"GET / HTTP/1.1\xc3", "does not end with a version", 400),
            (b"GET /\x00 HTTP/1.1", "request line has a NUL", 400),
            (b"GET /\x7f HTTP/1.1", "request line has a control character", 400),
            (b"GET /\rHTTP/1.1", "a CR without an LF", 400),
            (b"GET /\nHTTP/1.1", "an LF without a CR", 400),
            (b"GET / HTTP/1.10", "does not end with a version", 400),
            (b"GET / HTTP/1.", "does not end with a version", 400),
            (b"GET / HTTP/1.1\t", "does not end with a version", 400),
            (b"GET / http/1.1", "does not end with a version", 400),
            (b"GET / HTTP/2.0", "other than 1", 505),
            (b"PRI * HTTP/2.0", "other than 1", 505),
            (b"GET / HTTP/0.9", "other than 1", 505),
            (BOM + b"GET / HTTP/1.1", "does not speak HTTP/1", 400),
        ],
    )
    def test_a_bad_request_line_is_refused(self, line: bytes, reason: str, status: int) -> None:
        with pytest.raises(BadRequestError, match=reason) as caught:
            parse_request(request(line=line))
        assert caught.value.status == status

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            (b"A : b", "white space before its colon"),
            (b"A\t: b", "white space before its colon"),
            (b": b", "no name"),
            (b"A", "no colon"),
            (b"A b: c", "a character in its name"),
            (b"A\xe9: c", "a character in its name"),
            (b"A(: c", "a character in its name"),
            (b"A: b\x00", "a NUL"),
            (b"A: b\x01", "a control character"),
            (b"A: b\x0b", "a control character"),
            (b"A: b\x7f", "a control character"),
            (b"A: b\nC: d", "an LF without a CR"),
            (b"A: b\rC: d", "a CR without an LF"),
            (b"A: b\r\r", "a CR without an LF"),
        ],
    )
    def test_a_bad_field_line_is_refused(self, line: bytes, reason: str) -> None:
        with pytest.raises(BadRequestError, match=f"Field line 3 has {reason}") as caught:
            parse_request(request(b"Good: \xff\t\xe9", line, b"Good: 1"))
        assert caught.value.status == 400

    @pytest.mark.parametrize(
        ("head", "reason"),
        [
            (request()[:-2], "does not end with an empty line"),
            (b"GET / HTTP/1.0\r\n", "does not end with an empty line"),
            (request() + b"x", "bytes after its empty line"),
            (b"GET / HTTP/1.0\r\n\r\nx: y\r\n\r\n", "bytes after its empty line"),
            (b"", "empty lines"),
        ],
    )
    def test_a_head_must_be_complete_and_alone(self, head: bytes, reason: str) -> None:
        with pytest.raises(BadRequestError, match=reason):
            parse_request(head)


class TestResponse:
    @pytest.mark.parametrize(
        ("head", "reason"),
        [
            (response(line=b"HTTP/1.10 200 OK"), "is not HTTP"),
            (response(line=b"HTTP/2 200 OK"), "is not HTTP"),
            (response(line=b"ICY 200 OK"), "is not HTTP"),
            (response(line=b"HTTP/1.1 20 OK"), "three digits"),
            (response(line=b"HTTP/1.1 2000 OK"), "three digits"),
            (response(line=b"HTTP/1.1 099 OK"), "three digits"),
            (response(line=b"HTTP/1.1 200OK"), "three digits"),
            (response(line=b"HTTP/1.1 200-OK"), "three digits"),
            (response(line=b"HTTP/1.1\t200 OK"), "is not HTTP"),
            (response(line=b"HTTP/1.1 200 O\x00K"), "status line has a NUL"),
            (response(line=b"HTTP/1.1 200 O\rK"), "status line has a CR"),
            (response(b"A b: c", b"A: b\x00"), "Field line 2 has a NUL"),
            (response(b"A: b\rC: d"), "Field line 1 has a CR"),
            (response(b"A: b\r\r\nC: d"), "Field line 1 has a CR"),
            (b"HTTP/1.1 200 OK\nA: b\n\r\r\n", "Field line 2 has a CR"),
            (response(b"A\x00: b"), "Field line 1 has a NUL"),
            (response(b"", b"A: b"), "bytes after its empty line"),
            (b"HTTP/1.1 200 OK\n\nA: b\n\n", "bytes after its empty line"),
            (b"HTTP/1.1 200 OK\r\nA: b\r\n", "does not end"),
            (b"HTTP/1.1 200 OK\n", "does not end"),
            (b"\r\n" + response(), "is not HTTP"),
        ],
    )
    def test_a_head_that_is_not_http_is_refused(self, head: bytes, reason: str) -> None:
        with pytest.raises(BadResponseError, match=reason):
            parse_response(head, b"GET")


class TestNoise:
    @pytest.mark.parametrize(
        ("received", "reason"),
        [
            (b"\x16", "TLS handshake"),
            (b"\x16\x03\x01\x02\x00\x01", "TLS handshake"),
            (b"\r\n\x16\x03", "TLS handshake"),
            (b"\x05\x01\x00", "SOCKS"),
            (b"\x04\x01\x00\x50", "SOCKS"),
            (b"\x00", "does not speak HTTP/1"),
            (b"G\x00", "does not speak HTTP/1"),
            (b"SSH-2.0-OpenSSH_9.0\r\n", "does not speak HTTP/1"),
            (b"\rGET", "does not speak HTTP/1"),
            (b"\n\x05", "SOCKS"),
        ],
    )
    def test_is_told_at_once(self, received: bytes, reason: str) -> None:
        assert looks_like_noise(received)
        with pytest.raises(BadRequestError, match=reason) as caught:
            check_beginning(received)
        assert (caught.value.status, "http://" in caught.value.hint) == (400, True)

    @pytest.mark.parametrize(
        "received",
        [b"", b"G", b"GET", b"GET ", b"\r", b"\n", b"\r\n", b"\r\nG", b"\nG", b"GET \x00", b"a" * 99],
    )
    def test_is_nothing_that_may_become_a_request(self, received: bytes) -> None:
        assert not looks_like_noise(received)

    def test_that_has_an_empty_line_is_told_too(self) -> None:
        with pytest.raises(BadRequestError, match="TLS handshake"):
            parse_request(b"\x16\x03\x01\r\n\r\n")

    @pytest.mark.parametrize(
        "received",
        [
            b"GET / HTTP/1.0\r\nA: b\n",
            b"GET / HTTP/1.0\nA: b\r\n",
            b"GET / HTTP/1.0\nA: b\r",
            b"\r\nGET / HTTP/1.0\n",
            b"\nGET / HTTP/1.0\r\n",
            b"GET / HTTP/1.0\rA",
            b"GET / HTTP/1.0\r\r\n",
        ],
    )
    @pytest.mark.parametrize("piece_bytes", [1, 2, 99])
    def test_a_client_that_mixes_line_ends_is_told_so_without_a_wait(
        self, received: bytes, piece_bytes: int
    ) -> None:
        with pytest.raises(BadRequestError, match="do not all end"):
            check_beginning(*(received[at : at + piece_bytes] for at in range(0, len(received), piece_bytes)))

    @pytest.mark.parametrize(
        ("received", "reason"),
        [
            (b"SSH-2.0", "begin with an HTTP version"),
            (b"x", "begin with an HTTP version"),
        ],
    )
    def test_is_told_in_an_answer_too(self, received: bytes, reason: str) -> None:
        with pytest.raises(BadResponseError, match=reason):
            check_answer_beginning(received)

    @pytest.mark.parametrize("received", [b"", b"H", b"HTTP", b"http/1.1", b"HTTP/1.1 200 OK\r\nA"])
    def test_the_beginning_of_an_answer_is_waited_for(self, received: bytes) -> None:
        check_answer_beginning(received)
