"""The limits of a head, however it arrives."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from px.core.errors import BadRequestError, BadResponseError, PxError
from px.core.http.head import MAX_FIELDS, MAX_HEAD_BYTES, MAX_HEAD_BYTES_WITH_TOKEN
from px.core.http.request_head import RequestHead, parse_request
from px.core.http.response_head import (
    MAX_RESPONSE_FIELDS,
    ResponseHead,
    parse_response,
)
from tests.core.http.heads import check_answer_beginning, check_beginning, request, response


class TestLimits:
    def test_are_what_the_documentation_says(self) -> None:
        assert (MAX_HEAD_BYTES, MAX_HEAD_BYTES_WITH_TOKEN, MAX_FIELDS) == (65536, 131072, 200)

    def test_a_head_of_64_kib_is_taken(self) -> None:
        filler = b"a" * (MAX_HEAD_BYTES - len(request(b"A: ")))
        head = request(b"A: " + filler)
        assert len(head) == MAX_HEAD_BYTES
        check_beginning(head[:-1])
        check_beginning(request(b"A: " + filler + b"aa")[:-2])
        assert parse_request(head).value(b"a") == filler
        with pytest.raises(BadRequestError) as caught:
            parse_request(request(b"A: " + filler + b"a"))
        assert caught.value.status == 431

    @pytest.mark.parametrize(
        "line",
        [
            b"Proxy-Authorization: Negotiate YII",
            b"authorization:negotiate YII",
            b"WWW-Authenticate: Negotiate YII",
            b"Proxy-Authenticate: NEGOTIATE YII",
        ],
    )
    def test_a_negotiate_token_doubles_the_limit(self, line: bytes) -> None:
        line += b"I" * (MAX_HEAD_BYTES_WITH_TOKEN - len(request(line)))
        assert len(request(line)) == MAX_HEAD_BYTES_WITH_TOKEN
        assert parse_request(request(line)).block.endswith(b"III\r\n")
        assert parse_response(response(line), b"GET").status == 200
        check_beginning(request(line)[:-2])
        check_answer_beginning(response(line)[:-2])
        with pytest.raises(BadRequestError, match="128 KiB") as caught:
            parse_request(request(line + b"I"))
        assert caught.value.status == 431
        with pytest.raises(BadRequestError, match="128 KiB"):
            check_beginning(request(line + b"III")[:-2])

    @pytest.mark.parametrize(
        "line",
        [b"Authorization: Basic YII", b"X-Authorization: Negotiate YII", b"Proxy-Authenticate: Negotiate ,"],
    )
    def test_only_a_negotiate_token_does(self, line: bytes) -> None:
        with pytest.raises(BadRequestError, match="64 KiB"):
            check_beginning(request(line + b"I" * MAX_HEAD_BYTES)[:-2])
        with pytest.raises(BadRequestError, match="64 KiB"):
            parse_request(request(line, b"A: " + b"I" * MAX_HEAD_BYTES))

    @pytest.mark.parametrize("end", [b"", b" HTTP/1.1\r\n", b" HTTP/1.1\r\nHost: a"])
    def test_a_request_line_beyond_it_is_a_uri_too_long(self, end: bytes) -> None:
        received = b"GET /" + b"a" * MAX_HEAD_BYTES + end
        with pytest.raises(BadRequestError, match="request line is longer") as caught:
            check_beginning(received)
        assert caught.value.status == 414

    def test_a_whole_head_with_such_a_line_is_too(self) -> None:
        with pytest.raises(BadRequestError) as caught:
            parse_request(request(line=b"GET /" + b"a" * MAX_HEAD_BYTES + b" HTTP/1.1"))
        assert caught.value.status == 414

    def test_200_fields_are_taken_and_no_more(self) -> None:
        lines = [b"A:"] * (MAX_FIELDS - 1)
        assert len(parse_request(request(*lines)).pairs()) == MAX_FIELDS
        with pytest.raises(BadRequestError, match="200 fields") as caught:
            parse_request(request(*lines, b"A:"))
        assert caught.value.status == 431

    @pytest.mark.parametrize("name", [b"A", b"A "])
    def test_responses_may_have_2000_fields(self, name: bytes) -> None:
        lines = [name + b":"] * MAX_RESPONSE_FIELDS
        assert len(parse_response(response(*lines), b"GET").pairs()) == MAX_RESPONSE_FIELDS == 2000
        with pytest.raises(BadResponseError, match="2000 fields"):
            parse_response(response(*lines, b"A:"), b"GET")

    def test_responses_may_be_as_long(self) -> None:
        filler = b"A: " + b"a" * (MAX_HEAD_BYTES - len(response(b"A: ")))
        check_answer_beginning(response(filler + b"aa")[:-2])
        assert parse_response(response(filler), b"GET").status == 200
        with pytest.raises(BadResponseError, match="64 KiB"):
            parse_response(response(filler + b"a"), b"GET")
        with pytest.raises(BadResponseError, match="64 KiB"):
            check_answer_beginning(response(filler + b"aaa")[:-2])


PIECES = st.sampled_from(
    [
        b"GET",
        b" ",
        b"/",
        b"http://",
        b"[::1]",
        b"HTTP/1.1",
        b"\r\n",
        b"\n",
        b"Host",
        b":",
        b"a",
        b"@",
        b"%",
        b"0",
        b"Content-Length: ",
        b"Transfer-Encoding: ",
        b"chunked",
        b"Connection: ",
        b"Expect: ",
        b",",
        b"9" * 5000,
        b"HTTP/1.1 200 OK\r\n",
        b"GET http://a/ HTTP/1.1\r\nHost: a\r\n",
        b"\t",
        b"\x00",
        b"\xff",
        b"\r\n\r\n",
    ]
)


@given(st.one_of(st.binary(max_size=200), st.lists(PIECES, max_size=12).map(b"".join)))
@example(b"")
def test_any_input_is_understood_or_refused(received: bytes) -> None:
    """The parsers raise no other exception."""
    for check in (check_beginning, check_answer_beginning):
        try:
            check(received)
        except PxError as error:
            assert error.cause  # noqa: PT017
    for head in (received, received + b"\r\n\r\n"):
        for parse in (parse_request, lambda head: parse_response(head, b"GET")):
            try:
                parsed: RequestHead | ResponseHead = parse(head)
            except PxError as error:
                assert error.cause  # noqa: PT017
            else:
                assert head.endswith(b"\r\n\r\n")
                assert parsed.framing.length >= 0
