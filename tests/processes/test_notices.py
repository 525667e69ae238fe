"""What the processes of a Px tell the user."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from px.core.problems import Problems
from px.logs.warning_log import WarningLog
from px.processes.notices import Notices, format_problem_notice, format_proxy_notice

PROBLEM = Problems().note("It failed.", 5, hint="Mend it.").to_report()


@pytest.fixture(autouse=True)
def level() -> Iterator[None]:
    before = logging.getLogger("px").level
    yield
    logging.getLogger("px").setLevel(before)


async def test_a_terminal_shows_once_what_several_workers_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    shown: list[str] = []
    notices = Notices(shown.append, print, WarningLog(Path("unused")))
    for _ in range(2):
        notices.receive(format_problem_notice(PROBLEM))
    assert shown == ["warning: It failed. Mend it."]
    assert notices.log_path == ""


async def test_a_terminal_shows_once_what_this_process_and_a_worker_report(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    shown: list[str] = []
    with Notices(shown.append, print) as notices:
        for is_worker_first, text in ((True, "A failed."), (False, "B failed.")):
            for is_worker in (is_worker_first, not is_worker_first):
                if is_worker:
                    problem = Problems().note(text, time.time()).to_report()
                    notices.receive(format_problem_notice(problem))
                else:
                    logging.getLogger("px.test").warning(text)
                await asyncio.sleep(0)
    assert shown == ["warning: A failed.", "warning: B failed."]


async def test_without_a_terminal_the_log_has_it(tmp_path: Path) -> None:
    shown: list[str] = []
    log = WarningLog(tmp_path / "warnings.log")
    with Notices(shown.append, print, log) as notices:
        notices.receive(format_problem_notice(PROBLEM))
        notices.warn("warning: of the start")
        await asyncio.sleep(0)
    assert shown == ["warning: of the start"]
    assert [line.partition("WARNING ")[2] for line in log.path.read_text().splitlines()] == [
        "It failed. Mend it.",
        "of the start",
    ]
    assert [problem["cause"] for problem in notices.problems] == ["of the start"]
    assert notices.log_path == str(log.path)


async def test_a_log_that_cannot_be_written_is_a_problem_itself(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with Notices(print, print, WarningLog(tmp_path / "file" / "warnings.log")) as notices:
        notices.receive(format_problem_notice(PROBLEM))
    (problem,) = notices.problems
    assert "warnings are lost" in problem["cause"]


async def test_the_proxy_is_named_once_px_listens_and_when_it_changes() -> None:
    announced: list[str] = []
    notices = Notices(print, announced.append)
    for text in ("from a: http://p:1", "from a: http://p:1"):
        notices.receive(format_proxy_notice(text))
    assert not announced
    notices.begin_announcing()
    for text in ("from a: http://p:1", "from b: http://q:1"):
        notices.receive(format_proxy_notice(text))
    assert announced == ["Upstream from a: http://p:1.", "Upstream now from b: http://q:1."]
