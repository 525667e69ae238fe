"""The rate of traffic now, and the plot of an hour."""

from __future__ import annotations

import pytest

from px.cli.top.traffic import ASCII_LEVELS, BLOCKS, draw_plot, find_rate

END = 3_600_010


def traffic(*amounts: int, end: float = END) -> dict[str, object]:
    return {"seconds": 10, "end": end, "down": list(amounts)}


@pytest.mark.parametrize(
    ("now", "before", "seconds", "rate"),
    [
        (traffic(7, 50), {}, 0, 5),  # the last slot, which has not ended
        (traffic(7, 50), traffic(7, 30), 2, 10),
        (traffic(7, 50, 4), traffic(7, 30, end=END - 10), 2, 12),  # another slot began meanwhile
        (traffic(1), traffic(7, 30, end=END - 7200), 2, 0),
        (traffic(7, 30), traffic(7, 50), 2, 0),  # a worker has ended
    ],
)
def test_the_rate_is_what_came_since_the_status_before(now, before, seconds, rate):
    assert find_rate("down", now, before, seconds) == rate


def test_a_plot_has_the_last_hour_and_now_stands_at_its_end():
    plot = draw_plot("down", traffic(10, 0, 800), END - 5, 360, BLOCKS)
    assert plot.text == "▁" * 357 + "▂▁█"
    assert plot.peak == 80
    assert draw_plot("down", traffic(10, 0, 800), END + 25, 360, BLOCKS).text.endswith("▂▁█▁▁▁")


def test_a_character_of_a_narrow_plot_stands_for_several_slots():
    plot = draw_plot("down", traffic(*[5] * 360), END, 44, ASCII_LEVELS)
    assert plot.text == "#" * 40  # nine slots each: 44 would not share the hour evenly
    assert plot.peak == 0.5


def test_the_peak_is_that_of_a_slot_also_where_a_character_stands_for_several():
    assert draw_plot("down", traffic(0, 90, 0, 0), END, 44, ASCII_LEVELS).peak == 9


def test_no_traffic_is_a_flat_line():
    assert draw_plot("down", traffic(0), END, 60, ASCII_LEVELS).text == "_" * 60
