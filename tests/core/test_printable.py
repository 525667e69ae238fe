"""What a text keeps that is shown on a terminal or written to a log."""

from __future__ import annotations

import pytest

from px.core.printable import escape_line, escape_lines, has_control, is_printable, make_printable


@pytest.mark.parametrize("char", ["\x00", "\x07", "\x1b", "\x7f", "\x80", "\x9b", "\x9f", "\u202e", "\udce4"])
def test_no_character_that_commands_a_terminal_or_turns_the_text_is_shown(char: str) -> None:
    assert make_printable(f"a{char}b") == "a?b"
    assert is_printable(escape_line(f"a{char}b"))
    assert has_control(f"a{char}b") is (char != "\udce4")
    assert not is_printable(char)


@pytest.mark.parametrize("space", ["\t", "\n", "\r", "\v"])
def test_a_line_stays_one_line(space: str) -> None:
    assert make_printable(f"a{space}b") == "a b"


def test_letters_of_any_script_stay() -> None:
    text = "Müller, 東京, \U0001f600"
    assert make_printable(text) == escape_line(text) == text


def test_an_escape_names_the_character() -> None:
    assert escape_line("a\x1b[31m\nb\x9b\udce4") == r"a\x1b[31m\nb\x9b\udce4"


def test_lines_keep_their_breaks() -> None:
    assert escape_lines("a\x1b\nb\r\n") == "a\\x1b\nb\\r\n"
