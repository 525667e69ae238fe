"""Slots for logins in flight, shared by processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from px.system.login_slot import LoginSlot, make_login_slots

SALT = b"\x01" * 16
_LOG_IN = """
import sys
from pathlib import Path
from px.system.login_slot import LoginSlot
slot = LoginSlot(Path(sys.argv[1]))
print(slot.try_acquire() and not slot.begin(), flush=True)
sys.stdin.readline()
slot.release()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "login.lock"


def start_login(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _LOG_IN, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    return process


def test_one_at_a_time_has_it(path: Path) -> None:
    first, second = LoginSlot(path), LoginSlot(path)
    assert first.try_acquire()
    assert not first.try_acquire()
    assert not second.try_acquire()
    assert not first.begin()
    first.release()
    first.release()
    assert second.try_acquire()
    assert not second.begin()
    second.release()


def test_a_login_that_ends_leaves_no_trace_and_one_whose_process_is_killed_does(path: Path) -> None:
    slot = LoginSlot(path)
    for is_killed in (False, True):
        with start_login(path) as process:
            assert not slot.try_acquire()
            if is_killed:
                process.kill()
            else:
                process.communicate("\n")
        assert slot.try_acquire()
        assert slot.begin() is is_killed
        slot.release()


def test_the_files_names_tell_nobody_whose_they_are(tmp_path: Path) -> None:
    slots = make_login_slots(tmp_path, SALT, 2, "corp\\alice")
    for slot in slots:
        assert slot.try_acquire()
    names = sorted(each.name for each in tmp_path.iterdir())
    assert len(names) == 2
    assert "alice" not in str(names) + repr(slots)
    assert not any(slot.try_acquire() for slot in make_login_slots(tmp_path, SALT, 2, "corp\\alice"))
    for salt, identity in ((SALT, "corp\\bob"), (b"other", "corp\\alice"), (SALT, "corp\\al\udcefce")):
        assert all(slot.try_acquire() for slot in make_login_slots(tmp_path, salt, 2, identity))


def test_a_slot_that_cannot_be_a_file_says_so(path: Path) -> None:
    path.mkdir(parents=True)
    slot = LoginSlot(path)
    with pytest.raises(OSError, match=r"login\.lock"):
        slot.try_acquire()
    assert not slot.begin()
    slot.release()
