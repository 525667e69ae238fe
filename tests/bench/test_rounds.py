from __future__ import annotations

import random

from bench.rounds import run_rounds
from bench.tools import MeasureError


def test_every_subject_is_measured_once_a_round_in_changing_order():
    order: list[str] = []

    def measure(name: str) -> dict[str, float]:
        order.append(name)
        return {"number": len(order)}

    names = ["one", "two", "three", "four"]
    subjects = {name: lambda name=name: measure(name) for name in names}
    figures = run_rounds(subjects, 5, random.Random(1), lambda _: None)
    rounds = [order[start : start + 4] for start in range(0, 20, 4)]
    assert all(sorted(each) == sorted(names) for each in rounds)
    assert len({tuple(each) for each in rounds}) > 1
    assert list(figures.rounds) == names  # the report keeps the order of the row
    assert all(len(each) == 5 for each in figures.rounds.values())


def test_a_failure_of_one_subject_is_kept_and_the_others_go_on():
    def fail() -> dict[str, float]:
        raise MeasureError("3 wrong")

    lines: list[str] = []
    figures = run_rounds({"good": lambda: {"speed": 1.0}, "bad": fail}, 2, random.Random(1), lines.append)
    assert figures.values("good", "speed") == [1.0, 1.0]
    assert figures.values("bad", "speed") == []
    assert figures.failures == {"bad": ["3 wrong"]}
    assert sum("FAILED" in line for line in lines) == 2


def test_what_others_used_of_the_machine_is_a_share():
    figures = run_rounds({"none": lambda: {"speed": 1.0}}, 1, random.Random(1), lambda _: None)
    assert figures.foreign >= 0
    assert figures.began.endswith("+00:00")
