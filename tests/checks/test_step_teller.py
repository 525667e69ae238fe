"""A step in doubt is told before the steps that show its verdict."""

from __future__ import annotations

import pytest

from px.checks.step import Step, Verdict
from px.checks.step_teller import StepTeller

TICKET = Step("Ticket", Verdict.WARNING, "no KDC, so Px goes on")
SKIPPED = Step("Login", Verdict.SKIPPED, "the GET shows it")


@pytest.mark.parametrize(
    ("later", "verdict"),
    [
        (Step("GET", Verdict.FAILED, "Negotiate: no KDC"), Verdict.FAILED),
        (Step("GET", Verdict.FAILED, "wrong password"), Verdict.WARNING),
        (Step("GET", Verdict.OK, "200"), Verdict.WARNING),
        (None, Verdict.WARNING),
    ],
)
def test_a_step_has_failed_if_a_later_one_fails_for_its_cause(later: Step | None, verdict: Verdict) -> None:
    told: list[Step] = []
    teller = StepTeller(told.append)
    teller.tell_doubtful(TICKET, "no KDC")
    teller.tell(SKIPPED)
    assert told == []
    if later is not None:
        teller.tell(later)
    teller.settle()
    assert [(step.name, step.verdict) for step in told[:2]] == [
        ("Ticket", verdict),
        ("Login", Verdict.SKIPPED),
    ]
    assert told[2:] == ([later] if later else [])
