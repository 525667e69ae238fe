from __future__ import annotations

import pytest

from px.processes.status_texts import format_age, format_duration


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (59.6, "1 min 0 s"), (3600, "1 h 0 min"), (90061, "1 d 1 h"), (-3, "0 s")],
)
def test_a_duration_is_written_in_its_two_largest_units(seconds: float, said: str) -> None:
    assert format_duration(seconds) == said


def test_an_age_has_one_unit() -> None:
    ages = (-1, 0, 59.9, 60, 7199, 7200, 90000)
    assert [format_age(age) for age in ages] == ["0 s", "0 s", "59 s", "1 min", "1 h", "2 h", "1 d"]
