"""Px's parser compared with two others: h11, and llhttp (Node's) through httptools.

Two rules hold. Both others accept a message that Px accepts, with the same meaning, so the next hop cannot
misunderstand it. And if Px refuses a message that one of them accepts, the case is listed here with the
reason.
"""

from __future__ import annotations

import pytest
from hypothesis import event, example, given
from hypothesis import strategies as st

from tests.core.http.oracles import (
    RefusedError,
    UnknownMethodError,
    accepts,
    pass_answer_on,
    pass_on,
    read_with_h11,
    read_with_llhttp,
    read_with_px,
)

METHODS = st.sampled_from([b"GET", b"POST", b"PUT", b"OPTIONS", b"DELETE", b"PROPFIND", b"HEAD"])
TARGETS = st.sampled_from(
    [
        b"http://a.example/",
        b"/",
        b"/p?q=1&r=%20",
        b"http://a.example:81/x",
        b"http://[::1]:8080/",
        b"http://a/?b",
        b"HTTP://A/~x!$'()*+,;=:@-._",
        b'/{"a"}|^`\\',
        b"ftp://a/x",
    ]
)
FIELD_LINES = st.sampled_from(
    [
        b"Accept: */*",
        b"X-Empty:",
        b"x-a:\tb ",
        b"X-Obs: \xe9\xff",
        b"Cookie: a=b; c=d",
        b"COOKIE: e",
        b"!#$%&'*+-.^_`|~: 1",
        b"Connection: close",
        b"Connection: keep-alive",
        b"Proxy-Connection: keep-alive",
        b"Expect: 100-continue",
        b"Trailer: a",
        b"TE: trailers",
        b"Via: 1.1 a",
        b"Keep-Alive: timeout=5",
        b"Upgrade: websocket",
    ]
)
BODIES = st.sampled_from(
    [([], b"")] * 2
    + [
        ([b"Content-Length: 0"], b""),
        ([b"content-length: 3"], b"abc"),
        ([b"Content-Length: 012"], b"012345678901"),
    ]
    + [
        ([b"Transfer-Encoding: chunked"], body)
        for body in (b"0\r\n\r\n", b"3\r\nabc\r\n00A\r\n0123456789\r\n0\r\n\r\n")
    ]
    + [([b"transfer-encoding: CHUNKED"], b'1;a;b=c;d="e"\r\nx\r\n0\r\nA: b\r\nC:\r\n\r\n')]
)
OCTETS = st.sampled_from(
    [bytes([octet]) for octet in range(256)] + [b"\r\n", b" ", b"\t", b":", b",", b"0", b"\r\n "] * 8
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    extra, body = draw(BODIES)
    version = draw(st.sampled_from([b"HTTP/1.1"] * 4 + [b"HTTP/1.0"]))
    lines = [b"Host: a.example", *draw(st.lists(FIELD_LINES, max_size=4)), *extra]
    start = b" ".join((draw(METHODS), draw(TARGETS), version))
    return b"\r\n".join((start, *draw(st.permutations(lines)), b"", body))


@st.composite
def responses(draw: st.DrawFn) -> bytes:
    extra, body = draw(BODIES)
    start = draw(
        st.sampled_from([b"HTTP/1.1 200 OK", b"HTTP/1.1 404 ", b"HTTP/1.0 299 a b", b"HTTP/1.1 500 \xe9"])
    )
    lines = [*draw(st.lists(FIELD_LINES.filter(lambda line: b"Upgrade" not in line), max_size=4)), *extra]
    return b"\r\n".join((start, *draw(st.permutations(lines)), b"", body))


@st.composite
def damaged(draw: st.DrawFn, messages: st.SearchStrategy[bytes]) -> bytes:
    """A message with a few octets replaced, added or removed."""
    wire = draw(messages)
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(wire)))
        wire = wire[:at] + draw(st.one_of(st.just(b""), OCTETS)) + wire[at + draw(st.integers(0, 2)) :]
    return wire


@given(damaged(requests()))
@example(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
@example(b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n")
@example(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
def test_a_request_that_px_accepts_means_the_same_to_others(wire: bytes) -> None:
    try:
        ours = read_with_px(wire)
    except RefusedError:
        event("refused")
        return
    event("accepted")
    sent = pass_on(wire)
    theirs = read_with_px(sent)
    assert (theirs.start[:2], theirs.body, theirs.is_complete) == (
        ours.start[:2],
        ours.body,
        ours.is_complete,
    )
    assert pass_on(sent) == sent
    assert read_with_h11(sent) == theirs
    try:
        assert read_with_llhttp(sent) == theirs
    except UnknownMethodError:
        event("unknown to llhttp")


@given(damaged(responses()))
@example(b"HTTP/1.1 200 OK\r\n\r\nuntil close")
@example(b"HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx")
def test_a_response_that_px_accepts_means_the_same_to_others(wire: bytes) -> None:
    try:
        ours = read_with_px(wire, answers=b"GET")
    except RefusedError:
        event("refused")
        return
    event("accepted")
    sent = pass_answer_on(wire)
    theirs = read_with_px(sent, answers=b"GET")
    assert (theirs.start, theirs.body, theirs.is_complete) == (ours.start, ours.body, ours.is_complete)
    assert pass_answer_on(sent) == sent
    assert read_with_h11(sent, answers=b"GET") == theirs
    theirs.is_complete = read_with_llhttp(sent, answers=b"GET").is_complete  # llhttp is not told of a close
    assert read_with_llhttp(sent, answers=b"GET") == theirs


def request(*lines: bytes, line: bytes = b"GET / HTTP/1.1", body: bytes = b"") -> bytes:
    return b"\r\n".join((line, b"Host: a", *lines, b"", body))


CHUNKED = b"Transfer-Encoding: chunked"
H11, LLHTTP = "h11", "llhttp"


@pytest.mark.parametrize(
    ("wire", "accepted_by", "why"),
    [
        (request(b"Content-Length: 3", CHUNKED, body=b"0\r\n\r\n"), {H11}, "one of two lengths is wrong"),
        (request(b"Content-Length: 3", b"Content-Length: 4", body=b"abc"), set(), "it is in every list"),
        (
            request(b"Content-Length: 3", body=b"abc").replace(b"\r\n", b"\n"),
            {H11},
            "others do not end lines there, so its body may be another request",
        ),
        (request(b"A: b\r\n \r\n c"), {H11}, "the head may end there"),
        (request(b"Transfer-Encoding:\r\n chunked", body=b"0\r\n\r\n"), {H11}, "the coding may be empty"),
        (
            request(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
            {LLHTTP},
            "nobody would decode gzip",
        ),
        (
            request(CHUNKED, line=b"PUT / HTTP/1.0", body=b"0\r\n\r\n"),
            {H11, LLHTTP},
            "RFC 9112 6.1: it is faulty",
        ),
        (b"GET http://a/ HTTP/1.1\r\n\r\n", {LLHTTP}, "RFC 9112 3.2 wants a Host"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", {LLHTTP}, "RFC 9112 3.2 wants one Host"),
        (b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", {H11, LLHTTP}, "that is no host"),
        (b"GET / HTTP/1.1\r\nHost: a:0\r\n\r\n", {H11, LLHTTP}, "nobody listens there"),
        (request(line=b"GET http://u:p@a/ HTTP/1.1"), {H11, LLHTTP}, "RFC 9110 4.2.4 deprecates it"),
        (request(line=b"GET http://127.1/ HTTP/1.1"), {H11, LLHTTP}, "it walks around rules about addresses"),
        (request(line=b"GET * HTTP/1.1"), {H11, LLHTTP}, "RFC 9112 3.2.4: for OPTIONS"),
        (request(line=b"GET a HTTP/1.1"), {H11}, "it is of no form"),
        (request(line=b"GET / HTTP/2.0"), {H11, LLHTTP}, "it is another protocol"),
        (request(b"Expect: x"), {H11, LLHTTP}, "RFC 9110 10.1.1 lets us say so"),
        (
            request(b"Content-Length: 1", line=b"CONNECT a:1 HTTP/1.1", body=b"x"),
            {H11, LLHTTP},
            "RFC 9110 9.3.6",
        ),
        (request(CHUNKED, body=b"0 \r\n\r\n"), {H11}, "RFC 9112 7.1 has no white space there"),
        (request(CHUNKED, body=b"0;\x80\r\n\r\n"), {H11}, "an extension has a name"),
        (request(CHUNKED, body=b"0\n\n"), set(), "lines end with CRLF"),
        (request(CHUNKED, body=b"0" * 17 + b"\r\n\r\n"), {H11, LLHTTP}, "some count the digits"),
        (request(b"A : b"), set(), "RFC 9112 5.1"),
        (request(b"A: \x00"), set(), "RFC 9110 5.5"),
        (request(b"A: \x01"), {H11}, "RFC 9110 5.5 lets us refuse it"),
        (request(b"Content-Length: +3", body=b"abc"), set(), "it is no number"),
    ],
)
def test_messages_that_px_refuses_although_others_may_not(
    wire: bytes, accepted_by: set[str], why: str
) -> None:
    assert not accepts(read_with_px, wire), why
    readers = {H11: read_with_h11, LLHTTP: read_with_llhttp}
    assert {name for name, read in readers.items() if accepts(read, wire)} == accepted_by, why


@pytest.mark.parametrize(
    ("wire", "accepted_by", "why"),
    [
        (request(b"Content-Length: 3", b"Content-Length: 3", body=b"abc"), {H11}, "both are equal"),
        (request(b"Content-Length: 3, 3", body=b"abc"), {H11}, "both are equal"),
        (
            request(b"Content-Length: 3", b"Transfer-Encoding: identity", body=b"abc"),
            set(),
            "RFC 2616 3.6: identity is no coding",
        ),
        (b"GET / HTTP/1.1\nHost: a\n\n", {H11}, "RFC 9112 2.2 allows it"),
        (request(b"A: b\r\n c"), {H11}, "RFC 9112 5.2 allows it"),
        (request(line=b"GET /#x HTTP/1.1"), {H11, LLHTTP}, "a fragment is never sent"),
        (request(line=b"GET /\xc3\xbc HTTP/1.1"), set(), "there is one way to encode it"),
        (request(line=b"GET / HTTP/1.2"), {H11}, "RFC 9110 2.5: it is to be read as 1.1"),
        (b"CONNECT a:1 HTTP/1.1\r\n\r\n", {LLHTTP}, "the target says all"),
        (request(CHUNKED, body=b"0 ;a\r\n\r\n"), set(), "RFC 9112 7.1.1 has white space there"),
    ],
)
def test_requests_that_px_repairs_although_others_may_not(
    wire: bytes, accepted_by: set[str], why: str
) -> None:
    assert accepts(read_with_px, wire), why
    readers = {H11: read_with_h11, LLHTTP: read_with_llhttp}
    assert {name for name, read in readers.items() if accepts(read, wire)} == accepted_by, why
    assert all(accepts(read, pass_on(wire)) for read in readers.values()), why


@pytest.mark.parametrize(
    ("wire", "accepted_by", "why"),
    [
        (b"HTTP/1.1 200 OK\r\nA : b\r\nContent-Length: 0\r\n\r\n", set(), "RFC 9112 5.1: a proxy repairs it"),
        (
            b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n",
            {H11},
            "RFC 9112 5.2: a proxy repairs it",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\nx", {H11}, "RFC 9112 6.3 allows it"),
    ],
)
def test_responses_that_px_repairs_although_others_may_not(
    wire: bytes, accepted_by: set[str], why: str
) -> None:
    assert accepts(read_with_px, wire, answers=b"GET"), why
    readers = {H11: read_with_h11, LLHTTP: read_with_llhttp}
    assert {name for name, read in readers.items() if accepts(read, wire, answers=b"GET")} == accepted_by, why
