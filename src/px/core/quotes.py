"""Quotes that people write around a value, or paste with it."""

from __future__ import annotations

from typing import Final

#: Straight quotes, and the curly ones of word processors.
QUOTES: Final = "\"'\u201c\u201d\u2018\u2019"


def strip_quotes(text: str) -> str:
    """Return a text without surrounding white space, and without quotes if it has them on both sides."""
    bare = text.strip()
    inner = bare[1:-1]
    is_quoted = len(bare) > 1 and bare[0] in QUOTES and bare[-1] in QUOTES and not set(inner) & set(QUOTES)
    return inner.strip() if is_quoted else bare
