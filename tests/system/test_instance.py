from __future__ import annotations

import os
import stat
import sys
import threading
from dataclasses import replace

import pytest

from px.core.startup_errors import PortInUseError
from px.system.instance import Instance, InstanceRecord, find_ports, load_record

RECORD = InstanceRecord(
    pid=os.getpid(),
    listen=("127.0.0.1",),
    control_port=5,
    token="the-token",
    version="1.2",
    started=1.5,
)


@pytest.fixture
def claimed(tmp_path):
    one = Instance(tmp_path, 3128)
    one.claim()
    yield one
    one.release()


def test_a_second_one_is_told_who_has_the_port(claimed, tmp_path):
    claimed.publish(RECORD)
    with pytest.raises(PortInUseError) as caught:
        Instance(tmp_path, 3128).claim()
    assert str(caught.value) == (
        f"port 3128 on 127.0.0.1 is in use by Px, pid {os.getpid()};"
        " px --quit --port=3128 ends it, or choose another --port"
    )


def test_a_second_one_is_told_so_before_the_first_has_left_a_record(claimed, tmp_path):
    with pytest.raises(PortInUseError, match="a Px that is just starting or ending"):
        Instance(tmp_path, 3128).claim()


def test_another_port_is_another_one(claimed, tmp_path):
    other = Instance(tmp_path, 3129)
    other.claim()
    other.release()


def test_who_only_looks_keeps_nobody_from_starting(tmp_path):
    """A look holds the lock for a moment."""
    looking = Instance(tmp_path, 3128)
    assert looking._lock.try_acquire()
    threading.Timer(0.1, looking._lock.release).start()
    starting = Instance(tmp_path, 3128)
    starting.claim()
    starting.release()


def test_it_is_running_until_it_is_released(tmp_path):
    other = Instance(tmp_path, 3128)
    assert not other.is_running()
    assert list(tmp_path.iterdir()) == []  # looking leaves nothing behind
    one = Instance(tmp_path, 3128)
    one.claim()
    assert other.is_running()
    one.release()
    one.release()
    assert not other.is_running()


def test_a_record_is_found_and_is_gone_with_it(claimed, tmp_path):
    claimed.publish(RECORD)
    claimed.publish(replace(RECORD, listen=("0.0.0.0", "::")))
    assert load_record(tmp_path, 3128) == replace(RECORD, listen=("0.0.0.0", "::"))
    assert find_ports(tmp_path) == [3128]
    claimed.withdraw()
    assert load_record(tmp_path, 3128) is None
    assert Instance(tmp_path, 3128).is_running()


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"pid": 1, "listen": 3}', "\ud800"])
def test_a_record_that_is_none_is_not_there(tmp_path, content):
    (tmp_path / "px-3128.json").write_bytes(content.encode("utf-8", "surrogatepass"))
    assert load_record(tmp_path, 3128) is None


def test_a_record_of_one_that_was_killed_does_not_count_for_the_next(tmp_path):
    (tmp_path / "px-3128.json").write_text("{}")
    one = Instance(tmp_path, 3128)
    one.claim()
    assert find_ports(tmp_path) == []
    one.release()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
def test_only_the_owner_can_read_it(tmp_path):
    one = Instance(tmp_path / "state", 3128)
    one.claim()
    one.publish(RECORD)
    for path in (tmp_path / "state").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    one.release()


def test_the_token_is_not_shown():
    assert "the-token" not in repr(RECORD)
