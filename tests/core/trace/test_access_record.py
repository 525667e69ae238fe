"""The line of the access log: columns that awk can count on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from px.core.trace.access_record import COLUMNS, MAX_TARGET_CHARS, AccessRecord, format_record, show_target

TIME = "2026-01-02T03:04:05.678+0100"


def columns(record: AccessRecord) -> dict[str, str]:
    line = format_record(record, TIME, 4711)
    assert line.endswith("\n")
    values = line[:-1].split(" ")
    names = COLUMNS.split(" ")
    assert len(values) == len(names), line
    return dict(zip(names, values, strict=True))


def test_each_column_has_its_place() -> None:
    record = AccessRecord(
        id="c7.2",
        client="127.0.0.1",
        user="CORP\\alice",
        method="GET",
        target="http://origin.test/",
        status=200,
        up=101,
        down=2002,
        seconds=1.23456,
        first_seconds=0.0501,
        route="http://proxy.test:8080",
        login="negotiate-ntlm",
        challenges=2,
        is_kept=False,
        end="cut",
    )
    assert format_record(record, TIME, 4711) == (
        f"{TIME} 127.0.0.1 CORP\\alice GET http://origin.test/ 200 101 2002 1234.6 50.1"
        " http://proxy.test:8080 negotiate-ntlm 2 new cut 4711.c7.2\n"
    )


def test_an_empty_value_is_a_dash() -> None:
    assert set(columns(AccessRecord()).values()) == {TIME, "-", "0", "0.0", "ok"}


def test_kept_and_new_connections_differ() -> None:
    shown = [columns(AccessRecord(is_kept=is_kept))["connection"] for is_kept in (True, False, None)]
    assert shown == ["kept", "new", "-"]


@pytest.mark.parametrize(
    ("user", "shown"),
    [
        ("alice@REALM", "alice@REALM"),
        ("Jürgen Müller", "Jürgen%20Müller"),
        ("a\nb\tc\u2028d", "a%0Ab%09c%E2%80%A8d"),
        ("", "-"),
    ],
)
def test_a_user_name_ends_no_column_and_no_line(user: str, shown: str) -> None:
    assert columns(AccessRecord(user=user))["user"] == shown


@given(st.text())
def test_any_user_name_is_one_column(user: str) -> None:
    assert columns(AccessRecord(user=user))["id"] == "-"


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        (b"origin.test:443", "origin.test:443"),
        (b"http://origin.test/a/b?token=s3cret", "http://origin.test/a/b"),
        (b"http://origin.test?token=s3cret", "http://origin.test"),
        (b"http://origin.test/" + b"a" * 2000, "http://origin.test/" + "a" * (MAX_TARGET_CHARS - 19) + "..."),
        (b"FTP://u:p%40@a/f?x", "FTP://a/f"),
        (b"ftp://a/f@b", "ftp://a/f@b"),
    ],
)
def test_a_target_is_shown_without_its_query_and_cut_where_it_is_long(target: bytes, shown: str) -> None:
    assert show_target(target) == shown
