"""The lock-out memory on disk."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from px.system.state.file_lock import FileLock
from px.system.state.lockout_file import LOCK_SECONDS, RETRY_SECONDS, LockoutFile
from px.system.state.lockout_records import KEEP_SECONDS, MAX_FILE_BYTES, MAX_RECORDS
from tests.windows import TICK_SECONDS

Fields = dict[str, object]

_COUNT_UP = """
import sys
import time
from pathlib import Path
from px.system.state.lockout_file import LockoutFile

memory, own, times = LockoutFile(Path(sys.argv[1])), sys.argv[2], int(sys.argv[3])

def count_up(fields):
    return {"refusals": fields.get("refusals", 0) + 1}

print("ready", flush=True)
sys.stdin.readline()
for _ in range(times):
    for key in ("all", own):
        memory.change_record(key, count_up)
    time.sleep(0.001)  # a polled lock is not fair, and no real process changes records all the time
"""


class Clock:
    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


def to(**fields: object) -> Callable[[Fields], Fields]:
    return lambda _: fields


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lockout.json"


def stored_in(path: Path) -> dict[str, Fields]:
    content = json.loads(path.read_text())
    assert isinstance(content, dict)
    return content


def test_the_next_process_loads_the_changed_records(tmp_path: Path) -> None:
    path = tmp_path / "new" / "lockout.json"
    LockoutFile(path).change_record("me", to(refusals=2))
    assert LockoutFile(path).load_record("me") == {"refusals": 2}
    assert LockoutFile(path).load_record("you") == {}
    assert LockoutFile(path).list_keys() == ["me"]
    assert "records=0" in repr(LockoutFile(path))


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes")
def test_only_the_user_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "lockout.json"
    LockoutFile(path).change_record("me", to(refusals=1))
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0
    assert sorted(each.name for each in path.parent.iterdir()) == ["lockout.json", "lockout.lock"]


def test_processes_see_each_others_records(path: Path) -> None:
    one, other = LockoutFile(path), LockoutFile(path)
    one.change_record("me", to(refusals=1))
    assert other.load_record("me") == {"refusals": 1}
    other.change_record("you", to(refusals=2))
    other.change_record("me", to())
    assert one.load_record("me") == {}
    assert one.load_record("you") == {"refusals": 2}
    assert list(stored_in(path)) == ["you"]


def test_a_change_applies_to_the_current_file_and_is_written_only_if_something_differs(path: Path) -> None:
    one, other = LockoutFile(path), LockoutFile(path)
    one.change_record("me", to(refusals=1))
    other.change_record("me", lambda fields: {**fields, "drops": 1})
    one.change_record("me", lambda fields: {**fields, "upstream": "up"})
    assert other.load_record("me") == {"refusals": 1, "drops": 1, "upstream": "up"}
    written = path.stat()
    one.change_record("me", lambda fields: fields)
    one.change_record("you", to())
    assert path.stat().st_ino == written.st_ino


def test_a_change_waits_as_long_as_other_processes_change_the_file_in_turn(path: Path) -> None:
    """On a slow computer with many processes that takes longer than one of them may hold the lock."""
    others = FileLock(path.with_suffix(".lock"))
    assert others.acquire(LOCK_SECONDS)
    has_ended = threading.Event()

    def change_in_turn() -> None:
        for number in range(20):
            path.write_text("{}" + number * " ")
            time.sleep(LOCK_SECONDS / 10)
        has_ended.set()
        others.release()

    working = threading.Thread(target=change_in_turn)
    working.start()
    LockoutFile(path).change_record("all", lambda _: {"refusals": 1})
    assert has_ended.is_set()
    working.join()


def test_no_change_of_any_process_is_lost_and_no_process_reads_half_a_file(path: Path) -> None:
    processes, times = 4, 60
    running = [
        subprocess.Popen(
            [sys.executable, "-c", _COUNT_UP, str(path), f"own-{number}", str(times)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(processes)
    ]
    for each in running:
        assert each.stdout is not None
        assert each.stdout.readline() == "ready\n"
    for each in running:
        assert each.stdin is not None
        each.stdin.write("\n")
        each.stdin.flush()
    memory, counted = LockoutFile(path), [0]
    while any(each.poll() is None for each in running):
        refusals = memory.load_record("all").get("refusals", 0)
        assert isinstance(refusals, int)
        assert refusals >= counted[-1]
        counted.append(refusals)
    for each in running:
        each.communicate(timeout=60)
        assert each.returncode == 0
    assert any(0 < refusals < processes * times for refusals in counted)
    assert memory.load_record("all") == {"refusals": processes * times}
    for number in range(processes):
        assert memory.load_record(f"own-{number}") == {"refusals": times}


def test_a_process_that_is_killed_in_the_middle_leaves_a_whole_file_and_no_lock(path: Path) -> None:
    """The process is killed at any moment, most likely while it changes records."""
    LockoutFile(path).change_record("kept", to(refusals=1))
    for kill_after_seconds in (0.0, 0.003, 0.01, 0.02):
        with subprocess.Popen(
            [sys.executable, "-c", _COUNT_UP, str(path), "own", "10000"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            process.stdin.write("\n")
            process.stdin.flush()
            time.sleep(kill_after_seconds)
            process.kill()
        stored_in(path)
        started = time.monotonic()
        memory = LockoutFile(path)
        memory.change_record("after", to(refusals=1))
        assert time.monotonic() - started < LOCK_SECONDS
        assert memory.load_record("kept") == {"refusals": 1}


def test_a_lock_that_is_never_released_delays_a_change_and_loses_none(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stuck = FileLock(path.with_suffix(".lock"))
    assert stuck.try_acquire()
    memory = LockoutFile(path)
    started = time.monotonic()
    memory.change_record("me", to(refusals=1))
    assert LOCK_SECONDS - TICK_SECONDS <= time.monotonic() - started < 3 * LOCK_SECONDS
    assert LockoutFile(path).load_record("me") == {"refusals": 1}
    assert "another process holds the lock" in caplog.text
    assert stuck.is_held
    stuck.release()


def _put_directory(path: Path) -> None:
    (path / "with-something-in-it").mkdir(parents=True)


def _put_link(path: Path) -> None:
    (path.parent / "elsewhere").write_text('{"me": {"refusals": 2}}')
    path.symlink_to(path.parent / "elsewhere")


def _put_pipe(path: Path) -> None:
    os.mkfifo(path)  # opening a pipe for reading would wait for a writer for ever


def _put(content: str) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content.encode("utf-8", "surrogateescape"))


_POSIX = pytest.mark.skipif(sys.platform == "win32", reason="links need rights there, pipes have no path")
_BROKEN = [
    pytest.param(_put_directory, id="directory"),
    pytest.param(_put(""), id="empty"),
    pytest.param(_put("nonsense"), id="nonsense"),
    pytest.param(_put("[]"), id="list"),
    pytest.param(_put("\udcff"), id="no-utf-8"),
    pytest.param(_put("[" * 100_000), id="deep"),
    pytest.param(_put('{"me": ' + "1" * 10_000 + "}"), id="long-number"),
    pytest.param(_put('{"me": {"refusals": 2}}' + " " * MAX_FILE_BYTES), id="huge"),
    pytest.param(_put_link, id="link", marks=_POSIX),
    pytest.param(_put_pipe, id="pipe", marks=_POSIX),
]


@pytest.mark.parametrize("put", [*_BROKEN, pytest.param(_put('{"me": 3}'), id="number")])
def test_a_file_without_records_counts_as_empty_and_the_next_change_replaces_it(
    path: Path, put: Callable[[Path], object]
) -> None:
    put(path)
    memory = LockoutFile(path)
    assert memory.load_record("me") == {}
    memory.change_record("me", to(refusals=1))
    assert LockoutFile(path).load_record("me") == {"refusals": 1}
    assert not path.is_symlink()


@pytest.mark.parametrize("put", _BROKEN)
def test_a_process_keeps_its_records_if_the_file_is_replaced_by_something_else(
    path: Path, put: Callable[[Path], object]
) -> None:
    memory = LockoutFile(path)
    memory.change_record("me", to(refusals=1))
    path.unlink()
    put(path)
    memory.change_record("me", lambda fields: {**fields, "drops": 1})
    assert memory.load_record("me") == {"refusals": 1, "drops": 1}


def test_a_process_keeps_its_records_if_the_file_is_removed(path: Path) -> None:
    memory = LockoutFile(path)
    memory.change_record("me", to(refusals=1))
    path.unlink()
    assert memory.load_record("me") == {"refusals": 1}


def test_a_process_keeps_its_records_if_the_directory_cannot_be_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    memory = LockoutFile(tmp_path / "file" / "lockout.json")
    for refusals in (1, 2):
        memory.change_record("me", to(refusals=refusals))
    assert memory.load_record("me") == {"refusals": 2}
    assert caplog.text.count("so Px sends one login that may fail") == 1


def test_changes_that_could_not_be_written_are_written_later(path: Path) -> None:
    """The changes that other processes have written meanwhile are kept."""
    clock = Clock()
    one, other = LockoutFile(path, clock), LockoutFile(path, clock)
    one.change_record("cleared", to(refusals=1))
    one.change_record("both", to(refusals=1))
    in_the_way = path.with_name(f"{path.name}.{os.getpid()}")
    in_the_way.mkdir()  # so the new file cannot be made
    clock.now += 0.1
    one.change_record("mine", to(refusals=1))
    one.change_record("cleared", to())
    one.change_record("both", to(refusals=2))
    in_the_way.rmdir()
    clock.now += 0.1
    other.change_record("both", to(refusals=3))
    assert one.load_record("mine") == {"refusals": 1}
    assert one.load_record("cleared") == {}
    assert one.load_record("both") == {"refusals": 3}
    assert other.load_record("mine") == {}
    clock.now += RETRY_SECONDS
    one.load_record("mine")
    assert other.load_record("mine") == {"refusals": 1}
    assert sorted(stored_in(path)) == ["both", "mine"]


def test_a_change_without_a_new_time_stamp_is_noticed(path: Path) -> None:
    memory = LockoutFile(path)
    memory.change_record("me", to(refusals=1))
    memory.load_record("me")
    before = path.stat()
    path.write_bytes(path.read_bytes().replace(b'"refusals": 1', b'"refusals": 2'))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert memory.load_record("me") == {"refusals": 2}


def test_an_unchanged_file_is_not_read_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    LockoutFile(path).change_record("me", to(refusals=1))
    os.utime(path, (1_000_000_000, 1_000_000_000))
    memory = LockoutFile(path)
    memory.load_record("me")
    monkeypatch.setattr(os, "open", lambda *_: pytest.fail("a file was opened"))
    for _ in range(3):
        assert memory.load_record("me") == {"refusals": 1}


def test_an_old_record_is_removed(path: Path) -> None:
    clock = Clock()
    memory = LockoutFile(path, clock)
    memory.change_record("old", to(refusals=1))
    clock.now += KEEP_SECONDS / 2
    memory.change_record("newer", to(refusals=1))
    assert sorted(stored_in(path)) == ["newer", "old"]
    clock.now += KEEP_SECONDS / 2
    memory.change_record("newest", to(refusals=1))
    assert sorted(stored_in(path)) == ["newer", "newest"]


def test_a_clock_that_is_set_back_neither_keeps_a_record_for_ever_nor_loses_it(path: Path) -> None:
    clock = Clock()
    memory = LockoutFile(path, clock)
    memory.change_record("old", to(refusals=1))
    clock.now -= 10 * KEEP_SECONDS
    memory.change_record("new", to(refusals=1))
    assert sorted(stored_in(path)) == ["new", "old"]
    clock.now += KEEP_SECONDS + 1
    memory.change_record("newest", to(refusals=1))
    assert sorted(stored_in(path)) == ["newest"]


def test_the_number_of_records_is_limited(path: Path) -> None:
    clock = Clock()
    memory = LockoutFile(path, clock)
    for number in range(MAX_RECORDS + 10):
        clock.now += 1
        memory.change_record(str(number), to(refusals=1))
    assert sorted(map(int, stored_in(path))) == list(range(10, MAX_RECORDS + 10))


@pytest.mark.parametrize("changed_at", ['"yesterday"', "null", "1e999", "-1e999", "NaN", "[]"])
def test_a_time_that_was_edited_by_hand_causes_no_crash(path: Path, changed_at: str) -> None:
    path.write_text(f'{{"me": {{"refusals": 1, "changed_at": {changed_at}}}}}')
    memory = LockoutFile(path)
    memory.change_record("you", to(refusals=1))
    assert memory.load_record("you") == {"refusals": 1}
    assert json.loads(path.read_text(), parse_constant=pytest.fail)


# With an event loop, which must not wait


def count_up(fields: Fields) -> Fields:
    refusals = fields.get("refusals", 0)
    assert isinstance(refusals, int)
    return {"refusals": refusals + 1}


def _write(path: Path, records: dict[str, Fields]) -> None:
    path.write_text(json.dumps(records))


def on_a_loop(path: Path) -> LockoutFile:
    return LockoutFile(path, run_in_thread=asyncio.to_thread)


async def test_a_change_counts_at_once_and_waits_for_the_lock_in_a_thread(path: Path) -> None:
    memory, holder = on_a_loop(path), FileLock(path.with_suffix(".lock"))
    assert holder.try_acquire()
    memory.change_record("alice", count_up)
    memory.change_record("alice", count_up)
    assert memory.load_record("alice") == {"refusals": 2}
    assert memory.list_keys() == []
    _write(path, {"alice": {"refusals": 1}})  # what the holder of the lock has changed
    assert memory.load_record("alice") == {"refusals": 3}
    writing = memory.writing
    assert writing is not None
    holder.release()
    await writing
    assert memory.writing is None
    assert LockoutFile(path).load_record("alice") == {"refusals": 3}
    memory.change_record("alice", count_up)
    assert memory.writing is None
    assert LockoutFile(path).load_record("alice") == {"refusals": 4}


async def test_a_lock_that_is_never_released_does_not_keep_a_change_from_the_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("px.system.state.lockout_file.LOCK_SECONDS", 0.02)
    memory, holder = on_a_loop(path), FileLock(path.with_suffix(".lock"))
    assert holder.try_acquire()
    memory.change_record("alice", count_up)
    assert memory.writing is not None
    await memory.writing
    assert LockoutFile(path).load_record("alice") == {"refusals": 1}
    holder.release()


async def test_a_waiting_change_is_written_when_px_ends(path: Path) -> None:
    memory, holder = on_a_loop(path), FileLock(path.with_suffix(".lock"))
    assert holder.try_acquire()
    memory.change_record("alice", count_up)
    assert memory.writing is not None
    await asyncio.sleep(0)  # let the thread start to wait
    memory.writing.cancel()
    holder.release()
    with pytest.raises(asyncio.CancelledError):
        await memory.writing
    assert LockoutFile(path).load_record("alice") == {"refusals": 1}


async def test_a_retry_of_a_failed_write_does_not_block_the_loop(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    memory, holder = on_a_loop(path), FileLock(path.with_suffix(".lock"))
    memory.change_record("alice", count_up)
    memory._is_written, memory._tried_at = False, 0.0
    assert holder.try_acquire()
    assert memory.load_record("alice") == {"refusals": 1}
    assert not memory._is_written
    holder.release()
    assert memory.load_record("alice") == {"refusals": 1}
    assert memory._is_written


@pytest.mark.skipif(sys.platform == "win32", reason="there is no second place for it")
def test_if_the_file_cannot_be_written_all_processes_and_starts_use_the_fallback(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    path, memory = tmp_path / "file" / "lockout.json", tmp_path / "memory"

    def start() -> LockoutFile:
        return LockoutFile(path, fallback=memory)

    first, second = start(), start()
    for each in (first, second, start()):
        each.change_record("alice", lambda fields: {"refusals": int(str(fields.get("refusals", 0))) + 1})
        assert each.is_kept
    assert first.load_record("alice") == second.load_record("alice") == {"refusals": 3}
    assert start().load_record("alice") == {"refusals": 3}
    assert LockoutFile(tmp_path / "other.json", fallback=memory).load_record("alice") == {}
    assert memory.stat().st_mode & 0o777 == 0o700
    assert "refused logins are remembered in" in caplog.text


@pytest.mark.skipif(sys.platform == "win32", reason="there is no second place for it")
def test_a_token_is_charged_in_the_fallback_if_the_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path, memory = tmp_path / "file" / "lockout.json", tmp_path / "memory"
    file = LockoutFile(path, fallback=memory)
    charges = [file.try_change_record("alice", lambda _: {"out": 1}) for _ in range(2)]
    assert charges == [False, True]  # the first try has found that the file cannot be written
    assert LockoutFile(path, fallback=memory).load_record("alice") == {"out": 1}
