"""The messages between a SOCKS5 client and Px."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as some

from px.core.errors import (
    BadRequestError,
    ExhaustedError,
    ForbiddenError,
    HopTimeoutError,
    LoginRefusedError,
    LoopError,
    PxError,
    TargetError,
    UnreachableError,
    UpstreamSilentError,
)
from px.core.http.target import Authority
from px.core.socks.client_messages import (
    NO_LOGIN,
    REQUEST_BEGINNING_BYTES,
    USER_AND_PASSWORD,
    SocksRequestError,
    choose_method,
    format_failure,
    parse_target,
    request_size,
)


@pytest.mark.parametrize(
    ("offered", "needs_login", "chosen"),
    [
        (b"\0", False, NO_LOGIN),
        (b"\2\0", False, NO_LOGIN),
        (b"\2", False, USER_AND_PASSWORD),
        (b"\0\2", True, USER_AND_PASSWORD),
        (b"\0", True, None),
        (b"\1", False, None),
        (b"", False, None),
    ],
)
def test_the_method_is_the_one_that_px_needs(offered: bytes, needs_login: bool, chosen: int | None) -> None:
    assert choose_method(offered, needs_login=needs_login) == chosen


@pytest.mark.parametrize(
    ("request_bytes", "target"),
    [
        (b"\5\1\0\1\xc0\0\2\1\0\x50", Authority("192.0.2.1", 80)),
        (b"\5\1\0\3\1a\1\xbb", Authority("a", 443)),
        (b"\5\1\0\4" + bytes(15) + b"\1\xff\xff", Authority("::1", 65535)),
        (b"\5\1\0\3\x09192.0.2.1\0\x50", Authority("192.0.2.1", 80)),
    ],
)
def test_a_request_names_a_target(request_bytes: bytes, target: Authority) -> None:
    assert request_size(request_bytes[:REQUEST_BEGINNING_BYTES]) == len(request_bytes)
    assert parse_target(request_bytes) == target


@given(some.binary(min_size=REQUEST_BEGINNING_BYTES, max_size=300))
def test_any_bytes_are_a_request_or_an_error_for_the_client(data: bytes) -> None:
    with contextlib.suppress(BadRequestError):
        size = request_size(data[:REQUEST_BEGINNING_BYTES])
        assert size <= 4 + 1 + 255 + 2
        assert parse_target(data[:size].ljust(size, b"a")).port


def of_upstream() -> UnreachableError:
    error = UnreachableError("", proxy_status="connection_refused")
    error.is_upstream = True
    return error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ForbiddenError(""), 2),
        (LoopError(""), 2),
        (TargetError("", status=403, proxy_status="http_request_denied"), 2),
        (UnreachableError("", proxy_status="destination_ip_unroutable"), 3),
        (UnreachableError("", proxy_status="dns_error"), 4),
        (TargetError("", status=502), 4),
        (UnreachableError("", proxy_status="connection_refused"), 5),
        (UnreachableError("", status=504, proxy_status="connection_timeout"), 6),
        (HopTimeoutError(""), 6),
        (UpstreamSilentError(""), 6),
        (SocksRequestError("", 7), 7),
        (of_upstream(), 1),
        (UnreachableError(""), 1),
        (LoginRefusedError(""), 1),
        (ExhaustedError(""), 1),
        (BadRequestError(""), 1),
    ],
)
def test_the_reply_code_fits_the_error(error: PxError, code: int) -> None:
    assert format_failure(error) == bytes((5, code, 0, 1, 0, 0, 0, 0, 0, 0))
