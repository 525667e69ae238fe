"""Heads: what Px understands, and what it refuses as unclear."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from px.core.errors import BadRequestError, BadResponseError
from px.core.http.framing import NO_BODY, Framing, FramingKind
from px.core.http.head import find_head_end
from px.core.http.request_head import parse_request
from px.core.http.response_head import parse_response
from px.core.http.target import Authority, TargetForm
from tests.core.http.heads import check_beginning, old_request, request, response

CLOSE = Framing(FramingKind.CLOSE)
CHUNKED = Framing(FramingKind.CHUNKED)
BOM = b"\xef\xbb\xbf"


def length(octets: int) -> Framing:
    return Framing(FramingKind.LENGTH, octets)


class TestFindHeadEnd:
    @given(st.binary(max_size=20), st.integers(min_value=0, max_value=4))
    def test_is_after_the_first_empty_line_behind_the_request_line(
        self, rest: bytes, empty_lines: int
    ) -> None:
        head = b"\r\n" * empty_lines + request(b"A: b")
        assert find_head_end(head + rest) == len(head)
        assert find_head_end(bytearray(b"12345" + head + rest), 5) == len(head) + 5

    @pytest.mark.parametrize("empty_lines", range(5))
    def test_is_not_found_before_the_last_octet(self, empty_lines: int) -> None:
        head = b"\r\n" * empty_lines + request()
        for end in range(len(head)):
            assert find_head_end(head[:end]) == -1
            check_beginning(head[:end])

    def test_a_few_empty_lines_before_a_request_are_skipped(self) -> None:
        assert parse_request(b"\r\n" * 4 + request()).method == b"GET"

    def test_many_empty_lines_are_refused(self) -> None:
        with pytest.raises(BadRequestError, match="empty lines"):
            parse_request(b"\r\n" * 6)
        with pytest.raises(BadRequestError, match="empty lines"):
            parse_request(b"\r\n" * 5 + request())

    def test_empty_lines_alone_are_refused_at_the_limit(self) -> None:
        assert find_head_end(b"\r\n" * 6) == 12


class TestRequest:
    def test_has_what_a_proxy_needs(self) -> None:
        head = parse_request(
            b"POST HTTP://WWW.Example.com/a?b=c HTTP/1.1\r\nhost: www.example.com\r\nX:\t a b \r\nx: \r\n"
            b"CONTENT-length: 12\r\nExpect: 100-Continue\r\n\r\n"
        )
        assert (head.method, head.target, head.minor_version) == (b"POST", b"HTTP://WWW.Example.com/a?b=c", 1)
        assert (head.form, head.scheme) == (TargetForm.ABSOLUTE, b"http")
        assert (head.authority, head.origin_target) == (Authority("www.example.com", 80), b"/a?b=c")
        assert head.framing == length(12)
        assert head.keep_alive
        assert head.expects_continue
        assert head.upgrade is None
        assert head.block.startswith(b"host: www")
        assert head.block.endswith(b"Expect: 100-Continue\r\n")

    def test_fields_are_looked_up_by_lower_case_name(self) -> None:
        head = parse_request(request(b"X:\t a , B", b"x: ", b"VIA: 1.1 a", b"Via: 1.0 b,c"))
        assert head.value(b"x") == b"a , B"
        assert head.values(b"x") == [b"a , B", b""]
        assert head.tokens(b"x") == {b"a", b"b"}
        assert head.values(b"via") == [b"1.1 a", b"1.0 b,c"]
        assert head.tokens(b"via") == {b"1.1 a", b"1.0 b", b"c"}
        assert (head.value(b"y"), head.value(b"te"), head.values(b"y")) == (None, None, [])
        assert head.pairs() == [
            (b"Host", b"a.example"),
            (b"X", b"a , B"),
            (b"x", b""),
            (b"VIA", b"1.1 a"),
            (b"Via", b"1.0 b,c"),
        ]

    def test_its_repr_hides_path_and_fields(self) -> None:
        line = b"GET http://[2001:DB8::1]:81/secret HTTP/1.0"
        head = parse_request(request(b"Authorization: secret", line=line))
        assert repr(head) == "<RequestHead GET [2001:db8::1]:81 HTTP/1.0 none>"

    @pytest.mark.parametrize("method", [b"get", b"PROPFIND", b"M-SEARCH", b"!#$%&'*+-.^_`|~"])
    def test_a_method_is_any_token(self, method: bytes) -> None:
        assert parse_request(request(line=method + b" / HTTP/1.1")).method == method

    @pytest.mark.parametrize(
        "hosts", [[], [b"Host: a", b"Host: a"], [b"Host: a, b"], [b"HOST: a", b"host: b"]]
    )
    def test_exactly_one_host_is_required(self, hosts: list[bytes]) -> None:
        with pytest.raises(BadRequestError, match="Host") as caught:
            parse_request(b"\r\n".join((b"GET http://a/ HTTP/1.1", *hosts, b"", b"")))
        assert caught.value.status == 400

    def test_http_1_0_may_do_without_a_host(self) -> None:
        assert parse_request(old_request()).authority == Authority("a.example", 80)

    def test_an_old_client_may_not_send_two_hosts_either(self) -> None:
        with pytest.raises(BadRequestError, match="more than one Host"):
            parse_request(old_request(b"Host: a.example", b"Host: b.example"))

    @pytest.mark.parametrize(
        ("version", "line", "is_kept"),
        [
            (b"1.1", b"A: b", True),
            (b"1.1", b"Connection: Keep-Alive", True),
            (b"1.1", b"Connection: close", False),
            (b"1.1", b"Connection: a, CLOSE", False),
            (b"1.1", b"Connection: keep-alive\r\nConnection: close", False),
            (b"1.1", b"Proxy-Connection: Close", False),
            (b"1.0", b"A: b", False),
            (b"1.0", b"Connection: keep-alive", False),
            (b"1.0", b"Proxy-Connection: Keep-Alive", True),
            (b"1.0", b"Proxy-Connection: keep-alive\r\nConnection: close", False),
        ],
    )
    def test_the_connection_is_kept_as_the_client_wants(
        self, version: bytes, line: bytes, is_kept: bool
    ) -> None:
        assert parse_request(request(line, line=b"GET / HTTP/" + version)).keep_alive is is_kept

    @pytest.mark.parametrize(
        ("version", "lines", "expects"),
        [
            (b"1.1", [b"Expect: 100-continue", b"Content-Length: 1"], True),
            (b"1.1", [b"Expect: 100-CONTINUE", b"Transfer-Encoding: chunked"], True),
            (b"1.1", [b"Expect: 100-continue"], False),
            (b"1.1", [b"Expect: 100-continue", b"Content-Length: 0"], False),
            (b"1.1", [b"Expect:", b"Content-Length: 1"], False),
            (b"1.0", [b"Expect: 100-continue", b"Content-Length: 1"], False),
        ],
    )
    def test_a_client_with_a_body_may_wait_for_100(
        self, version: bytes, lines: list[bytes], expects: bool
    ) -> None:
        assert parse_request(request(*lines, line=b"PUT / HTTP/" + version)).expects_continue is expects

    @pytest.mark.parametrize("value", [b"200-ok", b"100-continue, x", b"100-continue=1"])
    def test_other_expectations_fail(self, value: bytes) -> None:
        with pytest.raises(BadRequestError, match="100-continue") as caught:
            parse_request(request(b"Expect: " + value))
        assert caught.value.status == 417

    @pytest.mark.parametrize(
        ("version", "lines", "upgrade"),
        [
            (b"1.1", [b"Connection: Upgrade", b"Upgrade: websocket"], b"websocket"),
            (b"1.1", [b"Connection: keep-alive, upgrade", b"Upgrade: a", b"Upgrade: b"], b"a, b"),
            (b"1.1", [b"Upgrade: websocket"], None),
            (b"1.1", [b"Connection: Upgrade"], None),
            (b"1.1", [b"Connection: Upgrade", b"Upgrade:"], None),
            (b"1.0", [b"Connection: Upgrade", b"Upgrade: websocket"], None),
        ],
    )
    def test_an_upgrade_counts_if_connection_lists_it(
        self, version: bytes, lines: list[bytes], upgrade: bytes | None
    ) -> None:
        assert parse_request(request(*lines, line=b"GET / HTTP/" + version)).upgrade == upgrade


class TestRequestFraming:
    @pytest.mark.parametrize(
        ("lines", "framing"),
        [
            ([], NO_BODY),
            ([b"Content-Length: 0"], NO_BODY),
            ([b"Content-Length:\t007 "], length(7)),
            ([b"Content-Length: 9223372036854775807"], length(2**63 - 1)),
            ([b"Transfer-Encoding: Chunked"], CHUNKED),
        ],
    )
    def test_tells_where_the_body_ends(self, lines: list[bytes], framing: Framing) -> None:
        assert parse_request(request(*lines)).framing == framing

    @pytest.mark.parametrize(
        ("lines", "reason", "status"),
        [
            ([b"Content-Length: 3", b"Transfer-Encoding: chunked"], "both Content-Length and Transfer", 400),
            ([b"Transfer-Encoding: chunked", b"content-length: 3"], "both Content-Length and Transfer", 400),
            ([b"Content-Length: 3", b"Content-Length: 4"], "more than one Content-Length", 400),
            ([b"Content-Length: 3", b"Content-Length: 03"], "more than one Content-Length", 400),
            ([b"Content-Length: 3, 4"], "more than one Content-Length", 400),
            ([b"Content-Length: 3,"], "more than one Content-Length", 400),
            ([b"Content-Length: 3", b"Content-Length:"], "more than one Content-Length", 400),
            *(
                ([b"Content-Length: " + value], "Content-Length that is not a number", 400)
                for value in (
                    b"",
                    b"+3",
                    b"-3",
                    b"3 3",
                    b"0x3",
                    b"3.0",
                    b"\xb2",
                    b"9223372036854775808",
                    b"9" * 5000,
                )
            ),
            ([b"Transfer-Encoding: gzip, chunked"], "other than chunked", 501),
            ([b"Transfer-Encoding: gzip"], "other than chunked", 501),
            ([b"Transfer-Encoding: identity"], "other than chunked", 501),
            ([b"Transfer-Encoding: xchunked"], "other than chunked", 501),
            ([b"Transfer-Encoding: chunked, gzip"], "chunked is not its last", 400),
            ([b"Transfer-Encoding: chunked, chunked"], "chunked more than once", 400),
            ([b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"], "chunked more than once", 400),
            ([b"Transfer-Encoding:"], "not a list of names", 400),
            ([b"Transfer-Encoding: ,chunked"], "not a list of names", 400),
            ([b"Transfer-Encoding: chunked;a=b"], "not a list of names", 400),
            ([b'Transfer-Encoding: "chunked"'], "not a list of names", 400),
            ([b"Transfer-Encoding: chunked\x0b"], "control character", 400),
        ],
    )
    def test_a_message_that_two_parsers_may_read_differently_is_refused(
        self, lines: list[bytes], reason: str, status: int
    ) -> None:
        with pytest.raises(BadRequestError, match=reason) as caught:
            parse_request(request(*lines))
        assert caught.value.status == status

    def test_http_1_0_has_no_transfer_encoding(self) -> None:
        with pytest.raises(BadRequestError, match=r"HTTP/1\.0"):
            parse_request(old_request(b"Transfer-Encoding: chunked"))

    @pytest.mark.parametrize("line", [b"Content-Length: 1", b"Transfer-Encoding: chunked"])
    def test_connect_has_no_body(self, line: bytes) -> None:
        with pytest.raises(BadRequestError, match="CONNECT"):
            parse_request(request(line, line=b"CONNECT a.example:1 HTTP/1.1"))

    def test_connect_may_say_that_it_has_no_body(self) -> None:
        head = parse_request(request(b"Content-Length: 0", line=b"CONNECT a.example:1 HTTP/1.1"))
        assert head.framing is NO_BODY


class TestResponse:
    def test_has_what_a_proxy_needs(self) -> None:
        head = parse_response(response(b"Content-Length: 3", line=b"HTTP/1.1 404 Not  Found \xe9"), b"GET")
        assert (head.status, head.reason, head.minor_version) == (404, b"Not  Found \xe9", 1)
        assert (head.framing, head.keep_alive, head.is_interim) == (length(3), True, False)
        assert repr(head) == "<ResponseHead 404 HTTP/1.1 length>"

    @pytest.mark.parametrize("line", [b"HTTP/1.1 200 ", b"HTTP/1.1 200"])
    def test_a_reason_may_be_missing(self, line: bytes) -> None:
        head = parse_response(response(line=line), b"GET")
        assert (head.status, head.reason) == (200, b"")

    @pytest.mark.parametrize(
        ("lines", "line", "method", "framing"),
        [
            ([], b"HTTP/1.1 200 OK", b"GET", CLOSE),
            ([b"Content-Length: 3"], b"HTTP/1.1 200 OK", b"GET", length(3)),
            ([b"Content-Length: 3"], b"HTTP/1.1 200 OK", b"head", length(3)),
            ([b"Content-Length: 3", b"Content-Length: 3"], b"HTTP/1.1 200 OK", b"GET", length(3)),
            ([b"Content-Length: 3, 3"], b"HTTP/1.1 200 OK", b"GET", length(3)),
            ([b"Content-Length: 0"], b"HTTP/1.1 200 OK", b"GET", NO_BODY),
            ([b"Transfer-Encoding: chunked"], b"HTTP/1.1 200 OK", b"GET", CHUNKED),
            ([b"Content-Length: 3"], b"HTTP/1.1 200 OK", b"HEAD", NO_BODY),
            ([b"Content-Length: 3"], b"HTTP/1.1 304 -", b"GET", NO_BODY),
            ([b"Content-Length: 3"], b"HTTP/1.1 204 -", b"GET", NO_BODY),
            ([b"Transfer-Encoding: x"], b"HTTP/1.1 204 -", b"GET", NO_BODY),
            ([b"Content-Length: 3"], b"HTTP/1.1 100 -", b"PUT", NO_BODY),
            ([], b"HTTP/1.1 101 -", b"GET", NO_BODY),
            ([b"Transfer-Encoding: chunked"], b"HTTP/1.0 299 -", b"CONNECT", NO_BODY),
            ([], b"HTTP/1.1 300 -", b"CONNECT", CLOSE),
            ([b"Content-Length: 3"], b"HTTP/1.1 407 -", b"CONNECT", length(3)),
        ],
    )
    def test_method_status_and_fields_tell_where_the_body_ends(
        self, lines: list[bytes], line: bytes, method: bytes, framing: Framing
    ) -> None:
        assert parse_response(response(*lines, line=line), method).framing == framing

    @pytest.mark.parametrize(
        ("lines", "reason"),
        [
            ([b"Content-Length: 3", b"Content-Length: 4"], "more than one"),
            ([b"Content-Length: 3, 4"], "more than one"),
            ([b"Content-Length: x"], "not a number"),
            ([b"Content-Length: x, x"], "not a number"),
            ([b"Content-Length: 3\r\n 4"], "makes the end of its body unclear"),
            ([b"Transfer-Encoding: gzip, chunked"], "other than chunked"),
            ([b"Transfer-Encoding: chunked, chunked"], "more than once"),
        ],
    )
    @pytest.mark.parametrize("method", [b"GET", b"HEAD"])
    def test_unclear_framing_is_refused(self, lines: list[bytes], reason: str, method: bytes) -> None:
        with pytest.raises(BadResponseError, match=reason) as caught:
            parse_response(response(*lines), method)
        assert caught.value.status == 502

    def test_folded_lines_and_space_before_colons_are_repaired(self) -> None:
        head = parse_response(response(b"A: b\r\n  c", b"Content-Length : 3", b"D \t:"), b"GET")
        assert head.block == b"A: b c\r\nContent-Length: 3\r\nD:\r\n"
        assert head.framing == length(3)

    @pytest.mark.parametrize(
        ("line", "lines", "is_kept"),
        [
            (b"HTTP/1.1 200 OK", [b"Content-Length: 3"], True),
            (b"HTTP/1.1 200 OK", [b"Transfer-Encoding: chunked"], True),
            (b"HTTP/1.1 200 OK", [], False),
            (b"HTTP/1.1 200 OK", [b"Content-Length: 3", b"Connection: close"], False),
            (b"HTTP/1.1 200 OK", [b"Content-Length: 3", b"Proxy-Connection: close"], False),
            (b"HTTP/1.0 200 OK", [b"Content-Length: 3"], False),
            (b"HTTP/1.0 200 OK", [b"Content-Length: 3", b"Connection: Keep-Alive"], True),
            (b"HTTP/1.0 200 OK", [b"Content-Length: 3", b"Proxy-Connection: keep-alive"], True),
            (b"HTTP/1.0 200 OK", [b"Connection: keep-alive"], False),
            (b"HTTP/1.1 204 OK", [], True),
            (b"HTTP/1.1 101 OK", [], False),
        ],
    )
    def test_the_connection_can_be_used_again(self, line: bytes, lines: list[bytes], is_kept: bool) -> None:
        assert parse_response(response(*lines, line=line), b"GET").keep_alive is is_kept

    @pytest.mark.parametrize("status", [b"100", b"103", b"204"])
    @pytest.mark.parametrize(
        ("field", "is_kept"),
        [(b"Content-Length: 0", True), (b"Content-Length: 3", False), (b"Transfer-Encoding: chunked", False)],
    )
    def test_a_connection_is_not_reused_after_an_answer_that_announces_a_forbidden_body(
        self, status: bytes, field: bytes, *, is_kept: bool
    ) -> None:
        head = parse_response(response(field, line=b"HTTP/1.1 %b -" % status), b"GET")
        assert (head.framing, head.is_repaired) == (NO_BODY, not is_kept)

    def test_the_connection_of_a_tunnel_is_not_reused_but_that_of_a_refused_one_is(self) -> None:
        assert not parse_response(response(b"Content-Length: 0"), b"CONNECT").keep_alive
        refusal = response(b"Content-Length: 0", line=b"HTTP/1.1 407 -")
        assert parse_response(refusal, b"CONNECT").keep_alive

    @pytest.mark.parametrize(("status", "is_interim"), [(100, True), (101, False), (103, True), (200, False)])
    def test_another_response_follows_an_interim_one(self, status: int, is_interim: bool) -> None:
        assert parse_response(response(line=b"HTTP/1.1 %d x" % status), b"GET").is_interim is is_interim
