"""Texts in the cells of a terminal: made harmless, measured, cut; numbers in few cells."""

from __future__ import annotations

import unicodedata
from typing import Final, NamedTuple

_UNKNOWN: Final = "?"
_WIDE: Final = frozenset("WF")
_BYTE_UNITS: Final = ("B", "kB", "MB", "GB", "TB")
#: From here on, the next unit is shorter.
_NEXT_UNIT: Final = 999.5
_TWO_DIGITS: Final = 9.95


class Span(NamedTuple):
    """A part of a line.

    Attributes:
        text: Any text: what is printed is `clean`.
        style: ``bold``, ``dim``, ``good``, ``bad`` or ``warn``; empty: plain.
    """

    text: str
    style: str = ""


Line = tuple[Span, ...]


def clean(text: str) -> str:
    """Return a text without control characters, which could command the terminal or turn its text around."""
    return "".join(char if char.isprintable() else _UNKNOWN for char in text)


def measure(text: str) -> int:
    """Return the number of cells of a clean text."""
    return len(text) if text.isascii() else sum(map(_measure_char, text))


def _measure_char(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in _WIDE else 1


def cut(text: str, cells: int) -> str:
    """Return the beginning of a clean text that fits, with ``...`` where something is left out."""
    if measure(text) <= cells:
        return text
    dots = "..." if cells > len("...") else ""
    kept, free = [], cells - len(dots)
    for char in text:
        free -= _measure_char(char)
        if free < 0:
            break
        kept.append(char)
    return "".join(kept) + dots


def pad(text: str, cells: int, *, is_right: bool = False) -> str:
    """Return a clean text of exactly this size, cut or filled."""
    shown = cut(text, cells)
    fill = " " * (cells - measure(shown))
    return fill + shown if is_right else shown + fill


def format_bytes(amount: float) -> str:
    """Return a number of bytes, as ``1.2 MB``."""
    for unit in _BYTE_UNITS[:-1]:
        if amount < _NEXT_UNIT:
            return _join(amount, unit)
        amount /= 1000
    return _join(amount, _BYTE_UNITS[-1])


def _join(amount: float, unit: str) -> str:
    is_round = unit == _BYTE_UNITS[0] or amount >= _TWO_DIGITS
    return f"{amount:.0f} {unit}" if is_round else f"{amount:.1f} {unit}"


def cut_line(line: Line, cells: int) -> Line:
    """Return the beginning of a line that fits."""
    shown: list[Span] = []
    for span in line:
        text = cut(clean(span.text), cells)
        cells -= measure(text)
        shown.append(Span(text, span.style))
        if text != clean(span.text):
            break
    return tuple(shown)
