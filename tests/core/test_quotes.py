"""Quotes around a value."""

from __future__ import annotations

import pytest

from px.core.quotes import strip_quotes


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("proxy:80", "proxy:80"),
        (' "proxy:80" ', "proxy:80"),
        ("'proxy:80'", "proxy:80"),
        ("\u201cproxy:80\u201d", "proxy:80"),
        ('" proxy:80 "', "proxy:80"),
        ('"proxy:80', '"proxy:80'),
        ('"a" "b"', '"a" "b"'),
        ('"', '"'),
        ("", ""),
    ],
)
def test_a_pair_of_quotes_around_a_whole_text_is_removed(text: str, bare: str) -> None:
    assert strip_quotes(text) == bare
