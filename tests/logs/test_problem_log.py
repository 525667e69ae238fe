"""Every warning of the log is a problem that is counted, whether or not a log is written."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from px.core.errors import BadRequestError, UnreachableError
from px.core.problems import CLIENT
from px.downstream.page_answer import PageError
from px.logs.problem_log import ProblemLog

LOGGER = logging.getLogger("px.test")


@pytest.fixture
def told() -> list[Any]:
    return []


@pytest.fixture
def problem_log(told: list[Any]) -> Iterator[ProblemLog]:
    before = logging.getLogger("px").level
    with ProblemLog(told.append, lambda: 7.0) as problem_log:
        yield problem_log
    logging.getLogger("px").setLevel(before)


def test_an_error_counts_with_its_hop_and_hint(problem_log: ProblemLog, told: list[Any]) -> None:
    error = UnreachableError("The name wiki has no address.", "Look at http://a:secret@b/.")
    error.hop, error.target = "http://p:1", "wiki"
    for _ in range(2):
        LOGGER.warning("%s", error, extra={"error": error, "status": 502})
    (problem,) = problem_log.report()
    assert problem == {
        "hop": "http://p:1",
        "status": 502,
        "cause": "The name wiki has no address.",
        "hint": "Look at http://***@b/.",
        "kind": "The name * has no address.",
        "count": 2,
        "first": 7.0,
        "last": 7.0,
    }
    assert [each["count"] for each in told] == [1]
    assert repr(problem_log) == "<ProblemLog <Problems kinds=1>>"


def test_other_warnings_count_with_their_text_and_never_with_a_secret(problem_log: ProblemLog) -> None:
    LOGGER.warning("sent %s", "Proxy-Authorization: Basic c2VjcmV0", extra={"hint": "Ask http://a:b@c/."})
    logging.getLogger("asyncio").error("failed", exc_info=(ValueError, ValueError("why"), None))
    fault, sent = problem_log.report()
    assert fault["cause"] == "failed: ValueError: why"
    assert (sent["cause"], sent["hint"]) == ("sent Proxy-Authorization: Basic ***", "Ask http://***@c/.")


def test_what_is_no_problem_does_not_count(problem_log: ProblemLog, told: list[Any]) -> None:
    error = BadRequestError("The request has no Host field.")
    LOGGER.warning("%s", error, extra={"error": error})
    LOGGER.info("Nothing happened.")
    assert not problem_log.report()
    LOGGER.warning("The user knows already.", extra={"is_quiet": True})
    assert len(problem_log.report()) == 1
    assert not told


def test_a_client_has_a_hop_of_its_own(problem_log: ProblemLog) -> None:
    error = PageError(421, "wiki is not its address.", "Its page is http://127.0.0.1:1/.")
    LOGGER.warning("%s", error, extra={"error": error})
    (problem,) = problem_log.report()
    assert problem["hop"] == CLIENT


def test_a_record_that_cannot_be_counted_hurts_nobody(
    problem_log: ProblemLog, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("px.core.problems.Problems.note", fail)
    LOGGER.warning("A warning.")
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert not problem_log.report()


def test_a_log_that_is_closed_counts_nothing(told: list[Any]) -> None:
    with ProblemLog(told.append) as problem_log:
        pass
    LOGGER.warning("Too late.")
    assert not problem_log.report()
