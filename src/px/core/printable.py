"""Text that is safe to show: what a peer or a file has said may hold commands for the terminal."""

from __future__ import annotations

import re
from typing import Final

#: Control characters, C1 too (ECMA-48: a terminal may take U+009B for ESC [); characters that hide, or that
#: turn the direction of the text; halves of surrogate pairs.
_NOT_PRINTABLE: Final = re.compile(
    r"[^\x20-\x7e\xa0-\U0010ffff]|[\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff]"
)
_TO_SPACES: Final = str.maketrans("\t\n\v\f\r", "     ")


def is_printable(text: str) -> bool:
    """Return whether `make_printable` leaves a text as it is."""
    return _NOT_PRINTABLE.search(text) is None


def has_control(text: str) -> bool:
    """Return whether a text has a character that `make_printable` replaces, other than half a surrogate pair.

    Python gives such a half for each byte of a path that is not UTF-8 (PEP 383).
    """
    return any(not "\ud800" <= found[0] <= "\udfff" for found in _NOT_PRINTABLE.finditer(text))


def make_printable(text: str) -> str:
    """Return a text in one line, with a space for white space and ``?`` for what must not be shown."""
    return text if is_printable(text) else _NOT_PRINTABLE.sub("?", text.translate(_TO_SPACES))


def escape_line(text: str) -> str:
    r"""Return a text in one line, with escapes such as ``\x1b`` and ``\n`` for what must not be shown."""
    return _NOT_PRINTABLE.sub(_escape, text)


def escape_lines(text: str) -> str:
    """Return a text of several lines, such as a traceback, with each line escaped."""
    return "\n".join(map(escape_line, text.split("\n")))


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
