"""Tables in a terminal of any width."""

from __future__ import annotations

from px.cli.top.cells import Span, measure
from px.cli.top.table import Column, format_table

COLUMNS = [
    Column("TARGET", is_flexible=True),
    Column("DOWN", cells=7, is_right=True, rank=1),
    Column("ROUTE", rank=2),
]
ROWS = [
    [Span("a.example:443"), Span("1.2 MB"), Span("proxy.example:8080")],
    [Span("b\n"), Span(""), Span("direct")],
]


def texts(width: int) -> list[str]:
    return ["".join(span.text for span in line) for line in format_table(COLUMNS, ROWS, width)]


def test_the_flexible_column_takes_the_width_that_is_left():
    assert texts(64) == [
        f"{'TARGET':<35}     DOWN  ROUTE             ",
        f"{'a.example:443':<35}   1.2 MB  proxy.example:8080",
        f"{'b?':<35}           direct            ",
    ]


def test_the_columns_of_the_highest_rank_go_first_where_there_is_no_space():
    assert [line.split() for line in (texts(50)[0], texts(39)[0], texts(30)[0])] == [
        ["TARGET", "DOWN"],
        ["TARGET", "DOWN"],
        ["TARGET"],
    ]
    assert all(measure(line) == width for width in (20, 30, 39, 50, 200) for line in texts(width))
