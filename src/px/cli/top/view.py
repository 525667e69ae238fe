"""The view of ``px --top``: the sections of a status in the space that there is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from px.cli.top.cells import Line, Span, cut_line
from px.cli.top.sections import (
    Moment,
    format_active,
    format_head,
    format_problems,
    format_traffic,
    format_upstreams,
)

_BLANK: Final[Line] = ()
#: A section keeps so many lines, if it has them, before the one above it is shortened.
_LEAST_LINES: Final = 6


@dataclass(frozen=True, slots=True)
class Space:
    """The space for a view.

    Attributes:
        columns: Its width.
        rows: Its height; None: without end.
        levels: The characters of plots: see `px.cli.top.traffic.draw_plot`.
        hint: Which keys do what.
    """

    columns: int
    rows: int | None
    levels: str
    hint: str = ""


def format_view(moment: Moment, space: Space) -> list[Line]:
    """Return the lines of a status: at most as many, and as long, as there is space for."""
    columns = space.columns
    sections = [
        format_head(moment, columns, space.hint),
        format_traffic(moment, columns, space.levels),
        format_upstreams(moment, columns),
        format_problems(moment, columns),
        format_active(moment, columns),
    ]
    shown = [section for section in sections if section]
    if space.rows is not None:
        shown = _fit(shown, space.rows - len(shown) + 1)
    lines = [line for section in shown for line in (*section, _BLANK)][:-1]
    return [cut_line(line, columns) for line in lines[: space.rows]]


def _fit(sections: Sequence[list[Line]], rows: int) -> list[list[Line]]:
    """Return sections that have so many rows together if they can: the last one is shortened first."""
    fitted = list(sections)
    for index in reversed(range(len(fitted))):
        excess = sum(map(len, fitted)) - rows
        if excess > 0:
            fitted[index] = _shorten(fitted[index], max(_LEAST_LINES, len(fitted[index]) - excess))
    return fitted


def _shorten(lines: list[Line], count: int) -> list[Line]:
    if len(lines) <= count:
        return lines
    return [*lines[: count - 1], (Span(f"... and {len(lines) - count + 1} more", "dim"),)]
