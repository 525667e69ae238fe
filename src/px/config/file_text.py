"""The text of a file that a person has saved, in any encoding that an editor may use."""

from __future__ import annotations

import codecs
import locale
import os
import re
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from px.core.startup_errors import ConfigError

#: Byte order marks, the longer one first where one begins with another.
_MARKS: Final = (
    (codecs.BOM_UTF8, "UTF-8"),
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
#: In UTF-16, at least this share of every second byte is zero if the text is mostly ASCII.
_UTF16_SHARE: Final = 0.5
#: Files of settings are much smaller, and the time to read them grows with them.
MAX_FILE_BYTES: Final = 1024 * 1024
#: Remains of tools that are no text: a byte order mark at the start of any line, from joined files or a mark
#: set twice; at the end of the file the Ctrl-Z of DOS, or half a character of a truncated file.
_REMAINS: Final = re.compile(r"^\ufeff+|[\x1a\ufffd]+(?=\s*\Z)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class FileText:
    """A file as text.

    Attributes:
        text: The content with its line ends, without a byte order mark.
        encoding: The encoding of the file.
        is_guessed: Whether the encoding is a guess: characters beyond ASCII may be wrong.
        had_nuls: Whether NUL bytes were removed; a system that crashes may leave some in a file.
    """

    text: str = field(repr=False)
    encoding: str = "UTF-8"
    is_guessed: bool = False
    had_nuls: bool = False


def read_file_text(path: Path, warnings: list[str]) -> FileText:
    """Return the text of a file; add a warning, with the remedy, if the file is not clean UTF-8.

    Raises:
        ConfigError: The file cannot be read, is no regular file, or is larger than `MAX_FILE_BYTES`.
    """
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ConfigError(f"{path}: is no regular file; save what it gives in a file")
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(f"{path}: is larger than {MAX_FILE_BYTES // 1024**2} MiB, so it has no settings")
    found = decode(data)
    if found.encoding != "UTF-8":
        warnings.append(f"{path}: is not UTF-8 text and was read as {found.encoding}; save it as UTF-8")
    if found.had_nuls:
        warnings.append(f"{path}: has NUL bytes, which were left out; check the file and save it again")
    return found


def _open_at_once(path: str, flags: int) -> int:
    """Open a file without waiting, as for the writer of a FIFO."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def decode(data: bytes) -> FileText:
    """Return the text of the bytes of a file; never fails."""
    found = _decode(data)
    return replace(found, text=_REMAINS.sub("", found.text))


def _decode(data: bytes) -> FileText:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            name = encoding if encoding == "UTF-8" else f"{encoding}-{'LE' if mark[0] == 0xFF else 'BE'}"  # noqa: PLR2004
            text = data.removeprefix(mark).decode(name, errors="replace")
            return FileText(text.replace("\0", ""), encoding, had_nuls="\0" in text)
    if b"\0" in data:
        return _decode_with_nuls(data)
    return next(_decodings(data))


def _decode_with_nuls(data: bytes) -> FileText:
    for encoding, offset in (("UTF-16-LE", 1), ("UTF-16-BE", 0)):
        zeros, others = data[offset::2].count(0), data[1 - offset :: 2].count(0)
        if zeros >= _UTF16_SHARE * (len(data) // 2) and not others:
            return FileText(data.decode(encoding, errors="replace"), encoding, is_guessed=True)
    found = next(_decodings(data.replace(b"\0", b"")))
    return FileText(found.text, found.encoding, found.is_guessed, had_nuls=True)


def _decodings(data: bytes) -> Iterator[FileText]:
    """Yield possible texts of the bytes, the likeliest first; the last, latin-1, decodes any bytes."""
    local = [locale.getencoding()] if sys.platform == "win32" else []
    for encoding in ("UTF-8", *local, "cp1252", "latin-1"):
        try:
            yield FileText(data.decode(encoding), encoding, is_guessed=encoding != "UTF-8")
        except UnicodeDecodeError:
            continue
