from __future__ import annotations

import json
import os
import socket
import stat
import sys
import threading
from dataclasses import replace

import pytest

from px.core.startup_errors import PortInUseError
from px.system.state.instance import Instance, InstanceRecord, find_ports, load_record

RECORD = InstanceRecord(
    pid=os.getpid(),
    listen=("127.0.0.1",),
    control=5,
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


def test_a_second_px_learns_which_px_has_the_port(claimed, tmp_path):
    claimed.publish(RECORD)
    with pytest.raises(PortInUseError) as caught:
        Instance(tmp_path, 3128).claim()
    assert str(caught.value) == (
        f"port 3128 on 127.0.0.1 is in use by Px, pid {os.getpid()};"
        " px --quit --port=3128 ends it, or choose another --port"
    )


def test_a_second_px_is_refused_before_the_first_has_written_its_record(claimed, tmp_path):
    with pytest.raises(PortInUseError, match="a Px that is just starting or ending"):
        Instance(tmp_path, 3128).claim()


def test_a_px_on_another_port_is_independent(claimed, tmp_path):
    other = Instance(tmp_path, 3129)
    other.claim()
    other.release()


def test_checking_for_a_px_does_not_stop_another_from_starting(tmp_path):
    """`is_running` holds the lock for a moment."""
    looking = Instance(tmp_path, 3128)
    assert looking._lock.try_acquire()
    threading.Timer(0.1, looking._lock.release).start()
    starting = Instance(tmp_path, 3128)
    starting.claim()
    starting.release()


def test_a_px_runs_until_it_releases_its_claim(tmp_path):
    other = Instance(tmp_path, 3128)
    assert not other.is_running()
    assert list(tmp_path.iterdir()) == []  # `is_running` makes no file
    one = Instance(tmp_path, 3128)
    one.claim()
    assert other.is_running()
    one.release()
    one.release()
    assert not other.is_running()


def test_a_record_is_found_until_the_px_ends(claimed, tmp_path):
    claimed.publish(RECORD)
    claimed.publish(replace(RECORD, listen=("0.0.0.0", "::")))
    assert load_record(tmp_path, 3128) == replace(RECORD, listen=("0.0.0.0", "::"))
    assert find_ports(tmp_path) == [3128]
    claimed.withdraw()
    assert load_record(tmp_path, 3128) is None
    assert Instance(tmp_path, 3128).is_running()


def test_an_older_px_finds_the_field_names_that_it_knows(claimed, tmp_path):
    claimed.publish(replace(RECORD, control="/run/control.sock"))
    stored = json.loads((tmp_path / "px-3128.json").read_text())
    assert stored.keys() == {"pid", "listen", "control_port", "token", "version", "started"}
    with pytest.raises(OSError):  # the older Px then gives the process id to the user
        socket.create_connection(("127.0.0.1", stored["control_port"]), 1)


def test_the_port_of_an_older_px_is_found(tmp_path):
    stored = {
        "pid": 1,
        "listen": ["127.0.0.1"],
        "control_port": 5,
        "token": "t",
        "version": "0",
        "started": 1,
    }
    (tmp_path / "px-3128.json").write_text(json.dumps(stored))
    record = load_record(tmp_path, 3128)
    assert record is not None
    assert record.control == 5


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no Unix sockets in Python")
def test_the_next_px_removes_the_socket_of_a_killed_one(tmp_path):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "control-1.sock"))
    one = Instance(tmp_path, 3128)
    one.publish(replace(RECORD, control=str(tmp_path / "control-1.sock")))
    one.claim()
    assert {path.suffix for path in tmp_path.iterdir()} == {".lock"}
    one.release()


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", '{"pid": 1, "listen": 3}', '{"control_port": null}', "\ud800"]
)
def test_a_broken_record_is_ignored(tmp_path, content):
    (tmp_path / "px-3128.json").write_bytes(content.encode("utf-8", "surrogatepass"))
    assert load_record(tmp_path, 3128) is None


def test_the_record_of_a_killed_px_does_not_count_for_the_next(tmp_path):
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


def test_the_repr_does_not_show_the_token():
    assert "the-token" not in repr(RECORD)
