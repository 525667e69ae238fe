from __future__ import annotations

import pytest

from px.core.message_line import format_line, parse_line


def test_a_message_is_read_as_it_was_written():
    message = {"do": "drain", "seconds": None, "text": "ä\n", "list": [1, 2.5]}
    line = format_line(message)
    assert line.count(b"\n") == 1
    assert parse_line(line) == message


@pytest.mark.parametrize(
    "line", [b"", b"\n", b'{"a":1}', b"[1]\n", b"POST / HTTP/1.1\r\n", b"\xff\n", b"[" * 100_000 + b"\n"]
)
def test_a_line_without_a_message_is_an_error(line):
    with pytest.raises(ValueError):
        parse_line(line)
