"""The lines of a step."""

from __future__ import annotations

import pytest

from px.checks.step import Step, Verdict, format_seconds, format_step

LONG = " ".join(["word"] * 40)


def test_names_verdicts_and_texts_have_their_columns() -> None:
    step = Step("GET", Verdict.FAILED, "http://a.test/: 502", "Ask.", 0.0123)
    assert list(format_step(step, None)) == [
        "FAILED   GET       http://a.test/: 502 (12 ms)",
        "           fix:    Ask.",
    ]
    assert list(format_step(Step("Px", Verdict.OK, "runs"), None)) == ["ok       Px        runs"]


@pytest.mark.parametrize("verdict", Verdict)
def test_lines_fit_a_terminal_of_80_columns(verdict: Verdict) -> None:
    lines = list(format_step(Step("Discovery", verdict, LONG, LONG), 80))
    assert max(map(len, lines)) <= 80
    assert sum(line.count("word") for line in lines) == 80
    assert all(line[19] != " " for line in lines)


def test_times_have_the_unit_that_fits() -> None:
    assert [format_seconds(each) for each in (0.0004, 0.25, 2.04)] == ["0 ms", "250 ms", "2.0 s"]


def test_what_an_upstream_says_commands_no_terminal() -> None:
    step = Step("GET", Verdict.FAILED, "503 No\x1b]0;x\x07\x9b2J\nfix: run this", "a\x1bb")
    assert list(format_step(step, None)) == [
        "FAILED   GET       503 No?]0;x??2J fix: run this",
        "           fix:    a?b",
    ]
