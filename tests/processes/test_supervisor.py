"""The supervisor's answers to its workers, and the end of Px while its workers start."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from px.config.settings import Settings, default_settings
from px.core.startup_errors import StartupError
from px.processes import handover
from px.processes.listen_sockets import ListenSockets
from px.processes.notices import Notices
from px.processes.supervisor import Supervisor
from px.system.state.shared_right import SharedRight
from tests.free_ports import free_port
from tests.scripted_upstream import until

ROOT = Path(__file__).resolve().parents[2]

Start = Callable[[Callable[[Settings], Awaitable[Settings]]], Supervisor]


@pytest.fixture
def make_supervisor(tmp_path: Path) -> Iterator[Start]:
    """Return a function that makes a supervisor of two worker processes."""
    settings = default_settings(port=free_port(), workers=2)
    listen_sockets = ListenSockets.take(settings, tmp_path)
    with SharedRight.create() as right:
        yield lambda add_secrets: Supervisor(
            settings, listen_sockets, tmp_path, add_secrets, right, Notices(print, print)
        )
    listen_sockets.shut()
    listen_sockets.instance.release()


async def test_a_drain_while_the_keyring_is_read_ends_px_without_starting_workers(
    make_supervisor: Start,
) -> None:
    is_reading, may_go_on = asyncio.Event(), asyncio.Event()

    async def read_keyring(settings: Settings) -> Settings:
        is_reading.set()
        await may_go_on.wait()
        return settings

    supervisor = make_supervisor(read_keyring)
    starting = asyncio.create_task(supervisor.start())
    await is_reading.wait()
    supervisor.drain(0)
    may_go_on.set()
    async with asyncio.timeout(5):
        with pytest.raises(StartupError, match="Px is ending"):
            await starting
        await supervisor.wait_ended()
    assert (await supervisor.report())["workers"] == []


async def test_a_drain_after_a_failed_start_ends_px(make_supervisor: Start) -> None:
    async def fail(settings: Settings) -> Settings:
        raise StartupError(f"no keyring for port {settings.port}")

    supervisor = make_supervisor(fail)
    with pytest.raises(StartupError, match="no keyring"):
        await supervisor.start()
    supervisor.drain(0)
    async with asyncio.timeout(5):
        await supervisor.wait_ended()


async def test_workers_drained_before_they_have_a_process_end(make_supervisor: Start) -> None:
    async def add_nothing(settings: Settings) -> Settings:
        return settings

    supervisor = make_supervisor(add_nothing)
    starting = asyncio.create_task(supervisor.start())
    while not (await supervisor.report())["workers"]:  # noqa: ASYNC110 - no event reports that
        await asyncio.sleep(0)
    supervisor.drain(0)  # the system is still creating the processes, but their sockets are already closed
    async with asyncio.timeout(10):
        await starting
        await supervisor.wait_ended()
    assert (await supervisor.report())["workers"] == []


def read_answers(directory: Path) -> dict[str, object]:
    return {path.stem: json.loads(path.read_text()) for path in directory.glob("answer-*.json")}


async def test_each_of_two_worker_processes_can_ask_for_the_state_of_both(
    make_supervisor: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def add_nothing(settings: Settings) -> Settings:
        return settings

    # PYTHONPATH would not do: the embeddable Python of Windows does not read it.
    places = [str(ROOT), str(ROOT / "src")]
    code = (
        f"import runpy, sys; sys.path[:0] = {places!r};"
        " runpy.run_module('tests.processes.asking_worker', run_name='__main__')"
    )
    monkeypatch.setattr(handover, "child_command", lambda _: [sys.executable, "-c", code])
    supervisor = make_supervisor(add_nothing)
    await supervisor.start()
    await until(lambda: len(list(tmp_path.glob("answer-*.json"))) == 2)
    answers = read_answers(tmp_path)
    status = await supervisor.report()
    pids = [worker["pid"] for worker in status["workers"]]
    assert sorted(answers) == sorted(f"answer-{pid}" for pid in pids)
    for answer in answers.values():
        assert answer == status
    supervisor.drain(0)
    await supervisor.wait_ended()
