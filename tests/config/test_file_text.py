"""Files as editors save them: in UTF-8 and in other encodings."""

from __future__ import annotations

import codecs
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from px.config.file_text import MAX_FILE_BYTES, decode, read_file_text
from px.core.startup_errors import ConfigError

#: A typical px.ini: mostly ASCII.
TEXT = "[proxy]\n# für das Büro, €5\nserver = proxy:8080\n"


@pytest.mark.parametrize(
    ("data", "encoding", "is_guessed"),
    [
        (TEXT.encode(), "UTF-8", False),
        (codecs.BOM_UTF8 + TEXT.encode(), "UTF-8", False),
        (codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"), "UTF-16", False),
        (codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"), "UTF-16", False),
        (codecs.BOM_UTF32_LE + TEXT.encode("utf-32-le"), "UTF-32", False),
        (codecs.BOM_UTF32_BE + TEXT.encode("utf-32-be"), "UTF-32", False),
        (TEXT.encode("cp1252"), "cp1252", True),
    ],
)
def test_a_text_is_read_in_the_encoding_that_it_was_saved_in(data: bytes, encoding: str, is_guessed: bool):
    found = decode(data)
    assert (found.text, found.encoding, found.is_guessed) == (TEXT, encoding, is_guessed)
    assert not found.had_nuls


@pytest.mark.parametrize("encoding", ["UTF-16-LE", "UTF-16-BE"])
def test_utf16_is_recognized_without_a_byte_order_mark(encoding: str):
    ascii_text = TEXT.encode("ascii", "ignore").decode()
    found = decode(ascii_text.encode(encoding))
    assert (found.text, found.encoding) == (ascii_text, encoding)


def test_a_byte_without_a_character_in_cp1252_is_read_as_latin_1():
    assert decode(b"a\x81\xfc").text == "a\x81ü"


@pytest.mark.parametrize(
    "data", [b"[proxy]\nport = 1\n" + 512 * b"\0", b"[pr\0oxy]\n\0port = 1\n", 99 * b"\0"]
)
def test_nul_bytes_are_left_out(data: bytes):
    found = decode(data)
    assert found.had_nuls
    assert found.text in {"[proxy]\nport = 1\n", ""}


def test_utf16_that_ends_within_a_character_keeps_the_complete_characters():
    assert decode((codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"))[:-1]).text.startswith(TEXT[:-1])


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode() + b"\x1a",
        TEXT.encode("cp1252") + b"\x1a",
        TEXT.encode("utf-16") + b"\x1a",
        codecs.BOM_UTF8 * 2 + TEXT.encode(),
        codecs.BOM_UTF8 + TEXT.encode().replace(b"server", codecs.BOM_UTF8 + b"server"),
    ],
    ids=["Ctrl-Z", "Ctrl-Z in cp1252", "half a character", "two byte order marks", "joined files"],
)
def test_marks_that_tools_leave_in_a_file_are_not_part_of_its_text(data: bytes):
    assert decode(data).text == TEXT


@given(st.binary(max_size=60))
def test_any_bytes_decode_to_a_text_without_nul(data: bytes):
    assert "\0" not in decode(data).text


@pytest.mark.skipif(sys.platform == "win32", reason="has no FIFOs")
@pytest.mark.parametrize("place", ["FIFO", "/dev/zero", "/dev/null"])
def test_what_is_no_regular_file_is_not_read(tmp_path: Path, place: str):
    """A FIFO without a writer would hold Px up for ever, and a device may have no end."""
    path = tmp_path / place
    if place == "FIFO":
        os.mkfifo(path)
    with pytest.raises(ConfigError, match="is no regular file"):
        read_file_text(path, [])


def test_a_file_has_a_limit(tmp_path: Path):
    path = tmp_path / "f"
    path.write_bytes(b"a" * MAX_FILE_BYTES)
    assert len(read_file_text(path, []).text) == MAX_FILE_BYTES
    with path.open("ab") as file:
        file.truncate(1 << 30)
    with pytest.raises(ConfigError, match="larger than 1 MiB"):
        read_file_text(path, [])
