"""Texts and numbers in the cells of a terminal."""

from __future__ import annotations

import pytest

from px.cli.top.cells import Span, clean, cut, cut_line, format_bytes, measure, pad


def test_a_text_that_a_stranger_chose_cannot_command_the_terminal():
    hostile = "a\x1b[2J\x9b31m\x07\r\n\u202eb\ud800"
    assert clean(hostile) == "a?[2J?31m????b?"
    assert clean("例え.example ünïcode") == "例え.example ünïcode"


def test_wide_characters_count_twice_and_combining_ones_not_at_all():
    assert (measure("例え"), measure("e\u0301"), measure("abc")) == (4, 1, 3)
    assert pad("例え", 6) == "例え  "
    assert pad("例え例え", 6) == "例... "  # no half character
    assert pad("12", 4, is_right=True) == "  12"


def test_a_text_that_is_too_long_ends_with_dots():
    assert [cut("abcdefgh", cells) for cells in (8, 7, 3, 0)] == ["abcdefgh", "abcd...", "abc", ""]
    assert cut_line((Span("abc", "bold"), Span("defgh"), Span("ij")), 7) == (
        Span("abc", "bold"),
        Span("d..."),
    )


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (999.6, "1.0 kB"),
        (1200, "1.2 kB"),
        (9960, "10 kB"),
        (999_600, "1.0 MB"),
        (88e6, "88 MB"),
        (5e15, "5000 TB"),
    ],
)
def test_bytes_have_at_most_two_digits_and_a_unit_or_three(amount, text):
    assert format_bytes(amount) == text
