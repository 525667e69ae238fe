from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from px.system.state.file_lock import FileLock
from tests.windows import TICK_SECONDS

_HOLD = """
import sys
import threading
import time
from pathlib import Path
from px.system.state.file_lock import FileLock
lock = FileLock(Path(sys.argv[1]))
print(lock.try_acquire(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "a.lock"


def _start_holder(path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _HOLD, str(path)]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "True\n"
    return holder


def test_one_lock_object_at_a_time_holds_the_lock(path):
    first, second = FileLock(path), FileLock(path)
    assert first.try_acquire()
    assert first.try_acquire()
    assert not second.try_acquire()
    first.release()
    first.release()
    assert not first.is_held
    assert second.try_acquire()
    second.release()


def test_a_lock_excludes_other_processes_until_its_holder_ends(path):
    lock = FileLock(path)
    with _start_holder(path) as holder:
        assert not lock.try_acquire()
        holder.kill()
    assert lock.try_acquire()
    lock.release()


def test_waiting_ends_when_the_holder_ends_or_the_time_is_over(path):
    lock = FileLock(path)
    with _start_holder(path) as holder:
        started = time.monotonic()
        assert not lock.acquire(0.05)
        assert 0.05 - TICK_SECONDS <= time.monotonic() - started < 1
        threading.Timer(0.05, holder.kill).start()
        assert lock.acquire(10)
    assert lock.is_held
    lock.release()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes")
def test_only_the_owner_can_read_and_write_the_lock_file(path):
    lock = FileLock(path)
    lock.try_acquire()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    lock.release()


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_at_the_path_of_the_lock_is_not_followed(path, tmp_path):
    path.parent.mkdir()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match=r"symbolic links|Too many levels"):
        FileLock(path).try_acquire()
    assert not (tmp_path / "elsewhere").exists()
