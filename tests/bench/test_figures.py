from __future__ import annotations

import pytest

from bench.figures import Figures, least_target, most_target, ratio_target, spread_target


@pytest.fixture
def figures() -> Figures:
    found = Figures()
    for ours, theirs in ((10.0, 5.0), (2.0, 4.0), (30.0, 10.0)):  # the machine was slow in the second round
        found.add("ours", {"speed": ours})
        found.add("theirs", {"speed": theirs})
    return found


def test_a_ratio_is_the_median_of_those_within_a_round(figures):
    assert (
        figures.ratio("ours", "theirs", "speed") == 2.0
    )  # of 2, 0.5 and 3; the medians would give 2 by 5/10
    assert figures.median("ours", "speed") == 10.0


def test_a_round_in_which_one_failed_is_left_out_of_ratios(figures):
    figures.add("ours", {"speed": 1000.0})
    figures.fail("theirs", "fell over")
    figures.fail("theirs", "fell over")
    assert figures.ratio("ours", "theirs", "speed") == 2.0
    assert figures.failures == {"theirs": ["fell over"]}
    assert figures.ratio("ours", "nobody", "speed") is None


def test_targets_say_met_or_by_how_much_they_are_missed(figures):
    assert ratio_target("ours", "theirs", "speed", 2).judge(figures) == "2.00, met"
    assert ratio_target("ours", "theirs", "speed", 4).judge(figures) == "2.00, **missed by 50%**"
    assert least_target("ours", "speed", 11).judge(figures) == "10.00, **missed by 9%**"
    assert most_target("ours", "speed", 8, digits=0).judge(figures) == "10, **missed by 25%**"
    assert most_target("nobody", "speed", 8).judge(figures) == "not measured"
    assert spread_target(["ours", "theirs"], "speed", 2).judge(figures) == "2.00, met"
    assert spread_target(["ours", "nobody"], "speed", 2).judge(figures) == "not measured"


def test_figures_survive_the_way_through_json(figures):
    figures.fail("theirs", "fell over")
    again = Figures.from_json(figures.to_json())
    assert again == figures
