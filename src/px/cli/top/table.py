"""A table that fills the width of the terminal; where that is too narrow, it leaves columns out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from px.cli.top.cells import Line, Span, clean, measure, pad

_GAP: Final = 2
_LEAST_FLEXIBLE: Final = 30


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        title: Its head.
        cells: The least number of cells, so that the columns beside it do not move.
        is_right: Whether texts stand at the right.
        is_flexible: Whether the column takes the width that the others leave: exactly one does.
        rank: Of the columns that are too many, the one with the highest rank goes first; 0: it stays.
    """

    title: str
    cells: int = 0
    is_right: bool = False
    is_flexible: bool = False
    rank: int = 0


def format_table(columns: Sequence[Column], rows: Sequence[Sequence[Span]], width: int) -> list[Line]:
    """Return the lines of a table, its head first."""
    widths = [
        max([column.cells, measure(column.title), *(measure(clean(row[index].text)) for row in rows)])
        for index, column in enumerate(columns)
    ]
    kept = list(range(len(columns)))
    while _sum_widths(columns, widths, kept) > width:
        droppable = [index for index in kept if columns[index].rank]
        if not droppable:
            break
        kept.remove(max(droppable, key=lambda index: columns[index].rank))
    others = _sum_widths(columns, widths, kept) - _LEAST_FLEXIBLE
    for index in kept:
        if columns[index].is_flexible:
            widths[index] = max(1, width - others)
    head = [Span(column.title, "bold") for column in columns]
    return [_format_row(columns, widths, kept, row) for row in (head, *rows)]


def _sum_widths(columns: Sequence[Column], widths: Sequence[int], kept: Sequence[int]) -> int:
    """Return the cells that some columns need at least."""
    needed = (_LEAST_FLEXIBLE if columns[index].is_flexible else widths[index] for index in kept)
    return sum(needed) + _GAP * (len(kept) - 1)


def _format_row(
    columns: Sequence[Column], widths: Sequence[int], kept: Sequence[int], row: Sequence[Span]
) -> Line:
    spans: list[Span] = []
    for index in kept:
        text = pad(clean(row[index].text), widths[index], is_right=columns[index].is_right)
        if spans:
            spans.append(Span(" " * _GAP))
        spans.append(Span(text, row[index].style))
    return tuple(spans)
