"""Answers of Px itself."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from px.core.errors import (
    ForbiddenError,
    LoginBlockedError,
    LoginRefusedError,
    PacError,
    PxError,
    UnreachableError,
)
from px.core.http.own_answer import (
    MAX_REASON,
    format_error,
    format_options,
    format_reason,
    format_trace,
    max_forwards,
)
from px.core.http.request_head import parse_request

#: RFC 8941 4.2: an item (a token) with parameters, each a token or a string of printable ASCII.
_PROXY_STATUS = re.compile(rb'px; error=[a-z_]+; details="(?:[ !#-\[\]-~]|\\["\\])*"')


def head_of(*fields: bytes, method: bytes = b"GET"):
    lines = b"".join(field + b"\r\n" for field in fields)
    return parse_request(b"%b http://o/p HTTP/1.1\r\nHost: o\r\n%b\r\n" % (method, lines))


@pytest.mark.parametrize(
    "cause", ["plain", 'a "quoted" \\ name', "grün <script>alert(1)</script>", "line\r\nX-Evil: 1", "\0\x7f"]
)
def test_proxy_status_is_a_structured_field_whatever_the_cause(cause: str) -> None:
    answer = format_error(PxError(cause), None, keep_alive=False)
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert len(lines) == 6
    (status,) = [line for line in lines if line.startswith(b"Proxy-Status: ")]
    assert _PROXY_STATUS.fullmatch(status.removeprefix(b"Proxy-Status: ")), status
    assert b"Content-Length: %d" % len(body) in lines


def test_a_page_escapes_its_texts() -> None:
    answer = format_error(PxError("<b>&", "<i>"), head_of(b"Accept: text/html"), keep_alive=True)
    assert b"&lt;b&gt;&amp;" in answer
    page = answer.partition(b"\r\n\r\n")[2]
    assert b"<b>" not in page
    assert b"<i>" not in page
    assert b"Connection: keep-alive" in answer


def test_a_page_may_do_nothing_and_that_of_px_itself_is_in_no_frame() -> None:
    own = parse_request(b"GET /p HTTP/1.1\r\nHost: o\r\nAccept: text/html\r\n\r\n")
    for head, is_own in ((head_of(b"Accept: text/html"), False), (own, True)):
        answer = format_error(PxError("No."), head, keep_alive=True)
        assert b"\r\nContent-Security-Policy: default-src 'none'; style-src 'unsafe-inline';" in answer
        assert b"\r\nX-Content-Type-Options: nosniff\r\n" in answer
        assert (b"\r\nX-Frame-Options: DENY\r\n" in answer) == is_own
        assert not re.search(rb"<script|<form|\sstyle=|\son[a-z]+=|src=|href=", answer)


def test_text_has_cause_and_hint() -> None:
    answer = format_error(ForbiddenError("No.", "Ask."), head_of(), keep_alive=False)
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert answer.endswith(b"\r\n\r\nPx: 403 Forbidden\nNo.\nAsk.\n")


@pytest.mark.parametrize("accept", [b"text/html", b"text/plain"])
def test_invalid_text_is_shown_as_well(accept: bytes) -> None:
    r"""Bytes of another encoding in the environment become such: ``b\xf6b``, ``b\udcf6b``."""
    head = head_of(b"Accept: " + accept)
    assert b"b\\udcf6b" in format_error(PxError("No b\udcf6b."), head, keep_alive=True)


def test_an_answer_to_head_has_the_length_of_the_omitted_body() -> None:
    full = format_error(PxError("No."), head_of(), keep_alive=False)
    bare = format_error(PxError("No."), head_of(method=b"HEAD"), keep_alive=False)
    assert bare == full[: full.index(b"\r\n\r\n") + 4]


def test_retry_after_is_sent() -> None:
    answer = format_error(LoginBlockedError("Held back.", retry_after=7), None, keep_alive=False)
    assert b"\r\nRetry-After: 7\r\n" in answer


def test_a_status_without_a_name_is_answered_too() -> None:
    assert format_error(PxError("x", status=599), None, keep_alive=False).startswith(b"HTTP/1.1 599 ")


def test_a_trace_shows_the_request_without_logins_and_cookies() -> None:
    head = head_of(b"Cookie: a", b"Authorization: b", b"Proxy-Authorization: c", b"X: d", method=b"TRACE")
    body = format_trace(head, keep_alive=True).partition(b"\r\n\r\n")[2]
    assert body == b"TRACE http://o/p HTTP/1.1\r\nHost: o\r\nX: d\r\n\r\n"


def test_a_trace_does_not_show_the_login_of_an_ftp_url() -> None:
    head = parse_request(b"TRACE ftp://u:p@o/p HTTP/1.1\r\nHost: o\r\n\r\n")
    body = format_trace(head, keep_alive=True).partition(b"\r\n\r\n")[2]
    assert body == b"TRACE ftp://o/p HTTP/1.1\r\nHost: o\r\n\r\n"


def test_options_name_the_methods() -> None:
    assert b"\r\nAllow: GET, HEAD" in format_options(keep_alive=True)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(b"0", 0), (b"12", 12), (b"-1", None), (b"x", None), (b"9" * 10, None), (b"", None)],
)
def test_max_forwards_is_a_number_or_nothing(value: bytes, expected: int | None) -> None:
    assert max_forwards(head_of(b"Max-Forwards: " + value)) == expected


@pytest.mark.parametrize(
    ("error", "hop", "target", "reason"),
    [
        (
            LoginRefusedError("No."),
            "http://proxy.corp:8080",
            "a.test",
            "Px: login at proxy.corp:8080 refused",
        ),
        (UnreachableError("No."), "direct", "a.test", "Px: cannot connect to a.test"),
        (
            UnreachableError("No.", proxy_status="dns_error"),
            "direct",
            "wiki",
            "Px: no address found for wiki",
        ),
        (UnreachableError("No."), "socks5://[::1]:1080", "a.test", "Px: cannot connect to [::1]:1080"),
        (LoginBlockedError("No."), "", "a.test", "Px: logins paused after refusals"),
        (UnreachableError("No."), "direct", "x" * 250, "Px: cannot connect"),
        (UnreachableError("No."), "direct", "a\r\nX-Evil: 1", "Px: cannot connect"),
        (PacError("No."), "http://proxy.corp:8080", "a.test", "Px: PAC script failed"),
    ],
)
def test_the_reason_phrase_names_the_culprit_in_a_few_safe_characters(
    error: PxError, hop: str, target: str, reason: str
) -> None:
    error.hop, error.target = hop, target
    assert format_error(error, None, keep_alive=False).startswith(
        f"HTTP/1.1 {error.status} {reason}\r\n".encode()
    )


def test_every_reason_phrase_fits_a_line() -> None:
    for kind in walk_errors(PxError):
        error = PxError("No.")
        error.phrase, error.phrase_at = kind.phrase, kind.phrase_at
        error.hop = "http://" + "p" * 25 + ":8080"
        for reason in (format_reason(error), f"Px: {error.phrase}"):
            assert re.fullmatch(r"Px: [A-Za-z0-9.: ]{5,}", reason), reason
            assert len(reason) <= MAX_REASON


def walk_errors(kind: type[PxError]) -> Iterator[type[PxError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from walk_errors(below)
