"""The lock-out memory on disk."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from px.system.lockout_file import LockoutFile


def test_what_is_saved_is_loaded_by_the_next_process(tmp_path: Path) -> None:
    path = tmp_path / "new" / "lockout.json"
    LockoutFile(path).save_record("me", {"refusals": 2})
    assert LockoutFile(path).load_record("me") == {"refusals": 2}
    assert LockoutFile(path).load_record("you") == {}
    assert "records=0" in repr(LockoutFile(path))


@pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX")
def test_only_the_user_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "lockout.json"
    LockoutFile(path).save_record("me", {})
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0
    assert [each.name for each in path.parent.iterdir()] == ["lockout.json"]


def test_processes_see_each_others_records(tmp_path: Path) -> None:
    one, other = (LockoutFile(tmp_path / "lockout.json") for _ in range(2))
    one.save_record("me", {"refusals": 1})
    assert other.load_record("me") == {"refusals": 1}
    other.save_record("you", {"refusals": 2})
    other.save_record("me", None)
    assert one.load_record("me") == {}
    assert one.load_record("you") == {"refusals": 2}


@pytest.mark.parametrize("content", ["", "nonsense", "[]", '{"me": 3}', "\udcff"])
def test_a_broken_file_is_no_record(tmp_path: Path, content: str) -> None:
    path = tmp_path / "lockout.json"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    assert LockoutFile(path).load_record("me") == {}


def test_a_directory_that_cannot_be_written_leaves_the_memory_of_the_process(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    memory = LockoutFile(tmp_path / "file" / "lockout.json")
    memory.save_record("me", {"refusals": 1})
    assert memory.load_record("me") == {"refusals": 1}


def test_a_file_that_was_removed_leaves_the_memory_of_the_process(tmp_path: Path) -> None:
    path = tmp_path / "lockout.json"
    memory = LockoutFile(path)
    memory.save_record("me", {"refusals": 1})
    path.unlink()
    assert memory.load_record("me") == {"refusals": 1}
