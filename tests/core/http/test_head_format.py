"""Forwarded heads: only the parts meant for Px are missing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from px.core.http.head_format import format_request, format_response
from px.core.http.request_head import parse_request
from px.core.http.response_head import parse_response
from tests.core.http.heads import old_request, request, response


def sent(*lines: bytes, **arguments: object) -> list[bytes]:
    """Return the field lines of the forwarded request, without its Host."""
    wire = format_request(parse_request(request(*lines)), b"/", host=b"a.example", **arguments)  # type: ignore[arg-type]
    first, host, *rest = wire.split(b"\r\n")
    assert (first, host) == (b"GET / HTTP/1.1", b"Host: a.example")
    assert rest[-2:] == [b"", b""]
    return rest[:-2]


def answered(*lines: bytes, line: bytes = b"HTTP/1.1 200 OK", **arguments: object) -> list[bytes]:
    wire = format_response(parse_response(response(*lines, line=line), b"GET"), **arguments)  # type: ignore[arg-type]
    assert wire.endswith(b"\r\n\r\n")
    return wire[:-4].split(b"\r\n")[1:]


class TestFormatRequest:
    def test_order_case_and_repetition_stay(self) -> None:
        lines = [b"x-b: 1", b"COOKIE:a=1", b"X-A:\t2 ", b"cookie: b=2", b"x-b: 3", b"User-Agent: u"]
        assert sent(*lines) == lines

    def test_hop_by_hop_fields_go(self) -> None:
        kept = sent(
            b"Connection: close, X-Hop, x-none",
            b"A: 1",
            b"x-hop: 1",
            b"Proxy-Connection: keep-alive",
            b"KEEP-ALIVE: timeout=5",
            b"TE: gzip",
            b"Upgrade: websocket",
            b"proxy-authorization: Basic eA==",
            b"X-HOP:2",
            b"Z: 1",
        )
        assert kept == [b"A: 1", b"Z: 1"]

    def test_lines_that_end_like_a_hop_by_hop_field_stay(self) -> None:
        lines = [b"X-Connection: close", b"X: Connection: close", b"Connection-X: a"]
        assert sent(*lines, b"Connection: close") == lines

    def test_connection_cannot_take_end_to_end_fields_away(self) -> None:
        lines = [
            b"Content-Length: 3",
            b"Cache-Control: no-store",
            b"Authorization: x",
            b"Cookie: a",
            b"Via: 1.1 a",
        ]
        assert (
            sent(b"Connection: host,content-length,Cache-Control,authorization,cookie,via", *lines) == lines
        )

    def test_transfer_encoding_and_trailer_stay(self) -> None:
        lines = [b"transfer-encoding: Chunked", b"Trailer: a"]
        assert sent(*lines, b"Connection: Transfer-Encoding, trailer") == lines

    def test_a_client_may_log_in_to_the_next_hop(self) -> None:
        line = b"proxy-authorization: Basic eA=="
        assert sent(line, b"A: 1", keep_proxy_authorization=True) == [line, b"A: 1"]

    def test_te_trailers_is_sent_on_with_its_option(self) -> None:
        assert sent(b"TE: gzip, trailers", b"A: 1") == [b"TE: trailers", b"A: 1", b"Connection: TE"]
        assert sent(b"TE: trailers", b"Connection: TE", b"A: 1") == [
            b"TE: trailers",
            b"Connection: TE",
            b"A: 1",
        ]
        assert sent(b"TE: trailers", b"A: 1", drop=frozenset((b"te",))) == [b"A: 1"]

    def test_an_upgrade_is_sent_on_with_its_option(self) -> None:
        lines = [b"Connection: keep-alive, Upgrade", b"Sec-WebSocket-Key: x", b"upgrade: websocket"]
        assert sent(*lines) == [b"Connection: Upgrade", *lines[1:]]
        assert sent(*lines, drop=frozenset((b"upgrade",))) == [lines[1]]

    def test_the_connection_option_replaces_the_received_one_in_place(self) -> None:
        assert sent(b"connection: x", b"A: 1", connection=b"close") == [b"connection: close", b"A: 1"]
        assert sent(b"A: 1", connection=b"keep-alive") == [b"A: 1", b"Connection: keep-alive"]
        assert (
            sent(b"Connection: a", b"A: 1", b"Connection: b", connection=b"close")[0] == b"Connection: close"
        )
        assert sent(b"TE: trailers", connection=b"close")[1] == b"Connection: close, TE"

    def test_host_is_replaced_in_its_place(self) -> None:
        head = parse_request(b"GET http://b:81/ HTTP/1.1\r\nA: 1\r\nHOST: a\r\nB: 1\r\n\r\n")
        wire = format_request(head, b"/x", host=b"b:81")
        assert wire == b"GET /x HTTP/1.1\r\nA: 1\r\nHOST: b:81\r\nB: 1\r\n\r\n"

    def test_a_line_with_the_same_value_stays_as_it_was_written(self) -> None:
        head = parse_request(b"GET / HTTP/1.1\r\nhost:  a \r\nCONNECTION:close\r\n\r\n")
        wire = format_request(head, b"/", host=b"a", connection=b"close")
        assert wire == b"GET / HTTP/1.1\r\nhost:  a \r\nCONNECTION:close\r\n\r\n"

    def test_host_is_added_first_for_an_old_client(self) -> None:
        wire = format_request(parse_request(old_request(b"A: 1")), b"/", host=b"a.example", via=b"1.0 px")
        assert wire == b"GET / HTTP/1.1\r\nHost: a.example\r\nA: 1\r\nVia: 1.0 px\r\n\r\n"

    def test_fields_that_an_old_client_cannot_mean_are_removed(self) -> None:
        head = parse_request(
            old_request(
                b"TE: trailers", b"Connection: Upgrade", b"Upgrade: x", b"Expect: 100-continue", b"A: 1"
            )
        )
        assert format_request(head, b"/", host=b"h") == b"GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\n\r\n"

    @pytest.mark.parametrize("fields", [(), (b"Content-Length: 0",)])
    def test_an_expect_without_a_body_goes(self, fields: tuple[bytes, ...]) -> None:
        assert sent(b"Expect: 100-continue", *fields) == [*fields]

    def test_an_expect_with_a_body_stays(self) -> None:
        fields = [b"Expect: 100-continue", b"Content-Length: 1"]
        assert sent(*fields) == fields

    def test_via_is_a_new_line_after_the_others(self) -> None:
        assert sent(b"Via: 1.0 a", b"A: 1", via=b"1.1 px") == [b"Via: 1.0 a", b"A: 1", b"Via: 1.1 px"]

    def test_fields_are_set_in_their_place_or_at_the_end(self) -> None:
        kept = sent(
            b"user-agent: a",
            b"Expect: 100-continue",
            b"X-A: 1",
            b"Max-Forwards: 5",
            b"User-Agent: b",
            b"Proxy-Authorization: Basic theirs",
            b"Z: 1",
            set_fields=[(b"User-Agent", b"px"), (b"Max-Forwards", b"4"), (b"X-A", b"2"), (b"X-B", b"3")],
            drop=frozenset((b"expect",)),
        )
        assert kept == [b"user-agent: px", b"X-A: 2", b"Max-Forwards: 4", b"Z: 1", b"X-B: 3"]

    def test_our_login_replaces_the_clients(self) -> None:
        login = [(b"Proxy-Authorization", b"NTLM ours")]
        assert sent(b"A: 1", set_fields=login, via=b"1.1 px")[1:] == [
            b"Proxy-Authorization: NTLM ours",
            b"Via: 1.1 px",
        ]
        assert sent(b"Proxy-Authorization: Basic theirs", set_fields=login) == [
            b"Proxy-Authorization: NTLM ours"
        ]

    def test_the_head_is_not_changed_by_it(self) -> None:
        head = parse_request(request(b"Connection: close", b"A: 1"))
        first = format_request(head, b"/", host=b"h", connection=b"close", set_fields=[(b"A", b"2")])
        assert format_request(head, b"/", host=b"h", connection=b"close", set_fields=[(b"A", b"2")]) == first
        assert head.block == b"Host: a.example\r\nConnection: close\r\nA: 1\r\n"


class TestFormatResponse:
    def test_it_is_http_1_1_and_stays_otherwise(self) -> None:
        head = parse_response(
            response(b"set-Cookie:a", b"Set-Cookie: b", line=b"HTTP/1.0 299 \xe9t\xe9"), b"GET"
        )
        assert format_response(head) == b"HTTP/1.1 299 \xe9t\xe9\r\nset-Cookie:a\r\nSet-Cookie: b\r\n\r\n"

    @pytest.mark.parametrize("value", [b"px; error=dns_error", b"PX", b"a; x=1 , px;y", b'"px"', b"\tpx ,b"])
    def test_no_other_hop_speaks_as_px(self, value: bytes) -> None:
        assert answered(b"Proxy-Status: a", b"proxy-status:" + value, b"A: 1") == [b"A: 1"]

    @pytest.mark.parametrize("value", [b"squid; error=dns_error", b"pxy", b"a.px; details=px"])
    def test_the_status_of_another_proxy_stays(self, value: bytes) -> None:
        assert answered(b"Proxy-Status: " + value) == [b"Proxy-Status: " + value]

    def test_a_repeated_equal_content_length_is_sent_on_once(self) -> None:
        assert answered(b"Content-Length: 3, 3", b"A: b", b"content-length: 3") == [
            b"A: b",
            b"Content-Length: 3",
        ]

    def test_hop_by_hop_fields_go(self) -> None:
        lines = [
            b"Connection: X-Hop, set-cookie",
            b"x-hop: 1",
            b"Keep-Alive: timeout=5",
            b"Set-Cookie: a",
            b"Proxy-Connection: keep-alive",
            b"Upgrade: h2c",
            b"Proxy-Authenticate: NTLM",
            b"Proxy-Authentication-Info: x",
            b"Transfer-Encoding: chunked",
        ]
        assert answered(*lines) == [b"Set-Cookie: a", b"Transfer-Encoding: chunked"]

    def test_challenges_may_be_kept(self) -> None:
        lines = [
            b"Proxy-Authenticate: NTLM",
            b"proxy-authenticate: Negotiate",
            b"Proxy-Authentication-Info: x",
        ]
        assert answered(*lines, keep_proxy_authenticate=True) == lines

    def test_a_decoded_body_loses_its_coding(self) -> None:
        lines = [b"Trailer: a", b"A: 1", b"Transfer-Encoding: chunked"]
        drop = frozenset((b"transfer-encoding", b"trailer"))
        assert answered(*lines, drop=drop, connection=b"close") == [b"A: 1", b"Connection: close"]

    def test_an_accepted_upgrade_is_forwarded(self) -> None:
        lines = [b"Upgrade: websocket", b"connection: upgrade", b"A: 1"]
        switched = answered(*lines, line=b"HTTP/1.1 101 Switching Protocols")
        assert switched == [b"Upgrade: websocket", b"connection: Upgrade", b"A: 1"]

    def test_an_upgrade_is_forwarded_with_426_only_if_the_answer_has_one(self) -> None:
        line = b"HTTP/1.1 426 Upgrade Required"
        assert answered(b"Upgrade: TLS/1.3", line=line) == [b"Upgrade: TLS/1.3", b"Connection: Upgrade"]
        assert answered(b"A: 1", line=line) == [b"A: 1"]

    @pytest.mark.parametrize("status", [b"100", b"204"])
    def test_an_answer_without_a_body_has_no_length(self, status: bytes) -> None:
        assert answered(b"Content-Length: 3", b"A: 1", line=b"HTTP/1.1 " + status) == [b"A: 1"]

    def test_the_length_in_an_answer_to_head_or_in_a_304_stays(self) -> None:
        assert answered(b"Content-Length: 3", line=b"HTTP/1.1 304") == [b"Content-Length: 3"]

    def test_fields_are_set_in_their_place(self) -> None:
        assert answered(b"SERVER: a", b"A: 1", set_fields=[(b"Server", b"b")]) == [b"SERVER: b", b"A: 1"]

    def test_fields_and_via_are_added(self) -> None:
        fields = [(b"Proxy-Status", b"px")]
        assert answered(b"Via: a", set_fields=fields, via=b"1.1 px") == [
            b"Via: a",
            b"Proxy-Status: px",
            b"Via: 1.1 px",
        ]


TOKENS = st.text("abcXYZ019-_!", min_size=1, max_size=8).map(str.encode)
VALUES = st.binary(max_size=12).map(
    lambda raw: bytes(octet for octet in raw if octet >= 0x20 and octet != 0x7F)
)
FIELDS = st.lists(st.tuples(TOKENS.map(lambda name: b"x-" + name), VALUES), max_size=8)


@given(method=TOKENS, fields=FIELDS, version=st.sampled_from([b"1.0", b"1.1"]))
def test_a_formatted_request_has_the_meaning_of_the_received_one(
    method: bytes, fields: list[tuple[bytes, bytes]], version: bytes
) -> None:
    lines = [name + b":" + value for name, value in fields]
    head = parse_request(
        request(*lines, b"Connection: close", line=method + b" http://a.example/p HTTP/" + version)
    )
    wire = format_request(
        head, head.origin_target, host=head.authority.to_host_field(head.scheme), via=b"1.1 px"
    )
    again = parse_request(wire)
    assert (again.method, again.authority, again.origin_target) == (method, head.authority, b"/p")
    assert again.pairs() == [
        (b"Host", b"a.example"),
        *((name, value.strip(b" \t")) for name, value in fields),
        (b"Via", b"1.1 px"),
    ]
    assert b"".join(line + b"\r\n" for line in lines) in wire


@given(reason=VALUES, fields=FIELDS, status=st.integers(min_value=200, max_value=599))
def test_a_formatted_response_has_the_meaning_of_the_received_one(
    reason: bytes, fields: list[tuple[bytes, bytes]], status: int
) -> None:
    lines = [name + b":" + value for name, value in fields]
    head = parse_response(
        response(*lines, b"Keep-Alive: x", line=b"HTTP/1.0 %d %b" % (status, reason)), b"GET"
    )
    again = parse_response(format_response(head), b"GET")
    assert (again.status, again.reason, again.block) == (
        status,
        reason,
        b"".join(line + b"\r\n" for line in lines),
    )
