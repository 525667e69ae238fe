from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from px.app import client_programs
from px.app.client_programs import PAUSE_SECONDS, ClientPrograms

PX = ("px", 3128)


def client(host: str, *, is_from_here: bool = True) -> Any:
    return SimpleNamespace(end=(host, 1), own_end=PX, program=None, is_from_here=is_from_here)


async def test_each_client_of_this_computer_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[set[object]] = []

    def find(ends: Any) -> dict[object, str]:
        asked.append({*ends})
        return {(("a", 1), PX): "curl"}

    monkeypatch.setattr(client_programs, "find_programs", find)
    programs = ClientPrograms(lambda: 0.0)
    known, unknown, far = client("a"), client("b"), client("c", is_from_here=False)
    await programs.find([known, unknown, far])
    await programs.find([known, unknown, far])
    assert asked == [{(("a", 1), PX), (("b", 1), PX)}]
    assert [each.program for each in (known, unknown, far)] == ["curl", "", None]


async def test_a_system_that_answers_too_late_is_left_alone_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[Any] = []

    def find(ends: Any) -> dict[object, object]:
        calls.append(ends)
        return {}

    monkeypatch.setattr(client_programs, "find_programs", find)
    now = [0.0]
    programs = ClientPrograms(lambda: now[0])

    async def late(*_: object) -> None:
        raise TimeoutError

    one = client("a")
    with monkeypatch.context() as slow:
        slow.setattr(cast("Any", programs)._lane, "run", late)
        await programs.find([one])
    await programs.find([one])
    assert (one.program, calls) == (None, [])
    now[0] = PAUSE_SECONDS
    await programs.find([one])
    assert (one.program, len(calls)) == ("", 1)


async def test_a_system_that_fails_is_left_alone_and_the_log_says_it_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[Any] = []

    def find(ends: Any) -> dict[object, object]:
        calls.append(ends)
        raise RuntimeError("no net_connections here")

    monkeypatch.setattr(client_programs, "find_programs", find)
    now = [0.0]
    programs, one = ClientPrograms(lambda: now[0]), client("a")
    for _ in range(3):
        await programs.find([one])
    now[0] = PAUSE_SECONDS
    await programs.find([one])
    assert len(calls) == 2
    assert [record.getMessage() for record in caplog.records] == [
        "The programs that use Px are not shown: RuntimeError: no net_connections here"
    ]


async def test_look_ups_take_a_small_part_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now, calls = [0.0], 0

    def find(_: Any) -> dict[object, str]:
        nonlocal calls
        calls += 1
        now[0] += 0.5
        return {}

    monkeypatch.setattr(client_programs, "find_programs", find)
    programs = ClientPrograms(lambda: now[0])
    for at in (0.0, 5.0, 10.4, 10.6):
        now[0] = max(now[0], at)
        await programs.find([client("a")])
    assert calls == 2
