"""The access log: its file, its writers, and the lines of a running Px."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections import Counter
from pathlib import Path

import pytest

from px.core.startup_errors import ConfigError
from px.core.trace.access_record import COLUMNS, AccessRecord
from px.logs import access_log
from px.logs.access_log import AccessLog, AccessLogFile, AccessLogStdout, open_sink
from px.system.state.file_lock import FileLock
from tests.e2e.peers import read_all, read_head, running_peer
from tests.px_process import PxProcess, until

NAMES = COLUMNS.split(" ")
_SECONDS = 15.0


def make_file(directory: Path) -> AccessLogFile:
    return AccessLogFile(directory / "access.log", FileLock(directory / "lock"))


def read_lines(directory: Path) -> list[str]:
    first, *lines = (directory / "access.log").read_text().splitlines()
    assert first == f"# {COLUMNS}"
    return lines


# The file


def test_the_first_line_of_a_file_names_the_columns(tmp_path: Path) -> None:
    for line in (b"one\n", b"two\nthree\n"):
        make_file(tmp_path).append(line)
    assert read_lines(tmp_path) == ["one", "two", "three"]


@pytest.mark.skipif(sys.platform == "win32", reason="modes and links are POSIX")
def test_only_the_owner_can_read_the_access_log_and_px_follows_no_link(tmp_path: Path) -> None:
    make_file(tmp_path).append(b"one\n")
    assert (tmp_path / "access.log").stat().st_mode & 0o777 == 0o600
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "link.log").symlink_to(tmp_path / "victim")
    with pytest.raises(ConfigError, match=r"--accesslog=.*link\.log: cannot be written"):
        open_sink("link.log", tmp_path, tmp_path)
    assert (tmp_path / "victim").read_text() == "precious"


def test_a_full_file_is_rotated_and_only_the_last_few_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_log, "MAX_LOG_BYTES", 1000)
    for number in range(900):
        make_file(tmp_path).append(b"line %d\n" % number)
    names = sorted(path.name for path in tmp_path.glob("access.log*"))
    assert names == ["access.log", "access.log.1", "access.log.2", "access.log.3"]
    texts = [(tmp_path / name).read_text() for name in names]
    assert all(len(text) <= 1000 and text.startswith("# time ") for text in texts)
    kept = [line for text in reversed(texts) for line in text.splitlines()[1:]]
    assert kept == [f"line {number}" for number in range(900 - len(kept), 900)]


def test_lines_are_held_back_while_another_process_has_the_file_locked(tmp_path: Path) -> None:
    other = FileLock(tmp_path / "lock")
    assert other.try_acquire()
    with pytest.raises(BlockingIOError):
        make_file(tmp_path).append(b"one\n")
    other.release()
    make_file(tmp_path).append(b"one\n")
    assert read_lines(tmp_path) == ["one"]


def test_lines_are_written_even_if_the_file_cannot_be_locked(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    AccessLogFile(tmp_path / "access.log", FileLock(tmp_path / "file" / "lock")).append(b"one\n")
    assert read_lines(tmp_path) == ["one"]


WRITERS, LINES = 4, 400
_WRITER_SCRIPT = """
import asyncio, sys
from pathlib import Path
from px.logs import access_log
from px.core.trace.access_record import AccessRecord
from px.system.state.file_lock import FileLock
directory, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
access_log.MAX_LOG_BYTES = 60_000
access_log.GATHER_SECONDS = 0.001
async def write():
    file = access_log.AccessLogFile(directory / "access.log", FileLock(directory / "lock"))
    log = access_log.AccessLog(file)
    for number in range(count):
        log.write(AccessRecord(id=str(number), client=name))
        await asyncio.sleep(0.0005)
    log.close()
asyncio.run(write())
"""


@pytest.mark.slow
def test_several_processes_share_a_file_and_no_line_is_lost_or_torn(tmp_path: Path) -> None:
    source = str(Path(access_log.__file__).parents[2])
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITER_SCRIPT, str(tmp_path), f"w{number}", str(LINES)],
            env={"PYTHONPATH": source},
        )
        for number in range(WRITERS)
    ]
    assert [writer.wait(60) for writer in writers] == [0] * WRITERS
    files = list(tmp_path.glob("access.log*"))
    assert len(files) > 1, "none was moved aside"
    rows = [line.split(" ") for path in files for line in path.read_text().splitlines()]
    assert {len(row) for row in rows if row[0] != "#"} == {len(NAMES)}
    assert sum(row[0] == "#" for row in rows) == len(files)
    seen = Counter((row[1], row[-1].partition(".")[2]) for row in rows if row[0] != "#")
    assert seen == Counter((f"w{number}", str(line)) for number in range(WRITERS) for line in range(LINES))


# Lines that wait to be written


class Disk:
    """A sink that fails when a test sets `error`."""

    def __init__(self) -> None:
        self.error: OSError | None = None
        self.writes: list[str] = []

    def append(self, lines: bytes) -> None:
        if self.error is not None:
            raise self.error
        self.writes.append(lines.decode())


async def test_the_first_line_is_written_at_once_and_later_lines_in_batches() -> None:
    disk = Disk()
    log = AccessLog(disk)
    log.write(AccessRecord(id="c1"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(disk.writes) == 1
    for number in range(50):
        log.write(AccessRecord(id=f"c{number}"))
    await asyncio.sleep(2 * access_log.GATHER_SECONDS)
    assert [text.count("\n") for text in disk.writes] == [1, 50]


async def test_lines_wait_while_another_process_writes() -> None:
    disk = Disk()
    log = AccessLog(disk)
    disk.error = BlockingIOError()
    log.write(AccessRecord(id="c1"))
    await asyncio.sleep(2 * access_log.GATHER_SECONDS)
    disk.error = None
    await asyncio.sleep(2 * access_log.GATHER_SECONDS)
    assert [text.count("\n") for text in disk.writes] == [1]


async def test_a_full_disk_causes_one_warning_and_loses_lines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "px")
    disk = Disk()
    log = AccessLog(disk)
    disk.error = OSError(28, "No space left on device")
    for number in range(3):
        log.write(AccessRecord(id=f"c{number}"))
        log.close()
    assert [record.getMessage().count("No space left") for record in caplog.records] == [1]
    disk.error = None
    log.write(AccessRecord(id="c3"))
    log.close()
    assert [text.split()[-1].partition(".")[2] for text in disk.writes] == ["c3"]


async def test_the_number_of_waiting_lines_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_log, "MAX_WAITING_LINES", 10)
    monkeypatch.setattr(access_log, "LAST_SECONDS", 0.05)
    disk = Disk()
    disk.error = BlockingIOError()
    log = AccessLog(disk)
    for number in range(100):
        log.write(AccessRecord(id=f"c{number}"))
    assert "waiting=10" in repr(log)
    log.close()


async def test_the_last_lines_are_written_at_the_end() -> None:
    disk = Disk()
    log = AccessLog(disk)
    log.write(AccessRecord(id="c1"))
    log.close()
    assert [text.count("\n") for text in disk.writes] == [1]


async def test_a_line_has_local_time_with_its_offset() -> None:
    disk = Disk()
    log = AccessLog(disk)
    log.write(AccessRecord())
    log.close()
    found = re.match(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.\d{3}([+-]\d{4}) ", disk.writes[0])
    assert found is not None
    written = time.mktime(time.strptime(found[1], "%Y-%m-%dT%H:%M:%S"))
    assert abs(written - time.time()) < 5
    assert found[2] == time.strftime("%z")


def test_stdout_gets_the_names_of_the_columns_once(capsys: pytest.CaptureFixture[str]) -> None:
    sink = AccessLogStdout()
    sink.append(b"one\n")
    sink.append(b"two\n")
    assert capsys.readouterr().out == f"# {COLUMNS}\none\ntwo\n"


def test_without_a_stdout_lines_are_discarded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    AccessLogStdout().append(b"one\n")


# A running Px


def serve_ok(connection: socket.socket) -> None:
    read_head(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")


def send(px: PxProcess, request: str) -> bytes:
    with socket.create_connection(("127.0.0.1", px.port), _SECONDS) as client:
        client.sendall(request.encode())
        return read_all(client)


def get(target: str) -> str:
    return f"GET http://{target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def rows(directory: Path) -> list[dict[str, str]]:
    return [dict(zip(NAMES, line.split(" "), strict=True)) for line in read_lines(directory)]


def as_values(row: dict[str, str], names: str) -> str:
    return " ".join(row[name] for name in names.split())


WHAT = "client user method target status route login 407s connection end"


@pytest.mark.shows("--accesslog")
def test_each_request_writes_a_line_when_it_ends(tmp_path: Path) -> None:
    with (
        running_peer(serve_ok) as origin,
        PxProcess(tmp_path, "--noproxy=*", "--accesslog=access.log") as px,
    ):
        at = f"127.0.0.1:{origin.port}"
        answer = send(px, request := get(f"{at}/path?token=s3cret"))
        assert answer.endswith(b"hello")
        send(px, "NONSENSE\r\n\r\n")
        send(px, get("127.0.0.1:1/"))
        until(lambda: len(read_lines(tmp_path)) == 3)
        good, bad, failed = rows(tmp_path)
        assert as_values(good, WHAT) == f"127.0.0.1 - GET http://{at}/path 200 direct - 0 new ok"
        assert (int(good["up"]), int(good["down"])) == (len(request), len(answer))
        assert 0 < float(good["first_ms"]) <= float(good["ms"]) < 5000
        assert good["id"] == f"{px.pid}.c1.1"
        assert as_values(bad, WHAT) == "127.0.0.1 - - - 400 - - 0 - ok"
        assert as_values(failed, WHAT) == "127.0.0.1 - GET http://127.0.0.1:1/ 502 direct - 0 - ok"
    assert "s3cret" not in (tmp_path / "access.log").read_text()


def test_a_tunnel_writes_a_line_when_it_ends(tmp_path: Path) -> None:
    def echo(connection: socket.socket) -> None:
        connection.sendall(connection.recv(100) * 2)

    with running_peer(echo) as origin, PxProcess(tmp_path, "--noproxy=*", "--accesslog=access.log") as px:
        head = f"CONNECT 127.0.0.1:{origin.port} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        with socket.create_connection(("127.0.0.1", px.port), _SECONDS) as client:
            client.sendall(head)
            established = client.recv(1000)
            assert read_lines(tmp_path) == []
            client.sendall(b"x" * 50)
            client.shutdown(socket.SHUT_WR)
            assert len(read_all(client)) == 100
        until(lambda: read_lines(tmp_path))
        (row,) = rows(tmp_path)
        assert as_values(row, WHAT) == f"127.0.0.1 - CONNECT 127.0.0.1:{origin.port} 200 direct - 0 new ok"
        assert (int(row["up"]), int(row["down"])) == (len(head) + 50, len(established) + 100)


@pytest.mark.slow
def test_the_line_says_why_a_request_ended_early(tmp_path: Path) -> None:
    def cut(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhello")

    def wait(connection: socket.socket) -> None:
        while connection.recv(100):
            pass

    options = ("--noproxy=*", "--accesslog=access.log", "--idle=0.5")
    with running_peer(cut) as cutting, running_peer(wait) as silent, PxProcess(tmp_path, *options) as px:
        with socket.create_connection(("127.0.0.1", px.port), _SECONDS) as client:
            client.sendall(get(f"127.0.0.1:{cutting.port}/").encode())
            with contextlib.suppress(ConnectionResetError):  # Wine reads the reset as an end
                read_all(client)
        with socket.create_connection(("127.0.0.1", px.port), _SECONDS) as client:
            client.sendall(f"CONNECT 127.0.0.1:{silent.port} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            read_all(client)
        until(lambda: len(read_lines(tmp_path)) == 2)
        ends = [(row["status"], row["end"]) for row in rows(tmp_path)]
        assert ends == [("200", "cut"), ("200", "idle")]


@pytest.mark.skipif(sys.platform == "win32", reason="Wine reads such a reset as an end")
def test_the_line_says_that_the_client_has_left(tmp_path: Path) -> None:
    asked = threading.Event()

    def wait(connection: socket.socket) -> None:
        read_head(connection)
        asked.set()
        connection.recv(1)

    with running_peer(wait) as silent, PxProcess(tmp_path, "--noproxy=*", "--accesslog=access.log") as px:
        with socket.create_connection(("127.0.0.1", px.port), _SECONDS) as client:
            client.sendall(get(f"127.0.0.1:{silent.port}/").encode())
            assert asked.wait(_SECONDS)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        until(lambda: read_lines(tmp_path))
        assert [(row["status"], row["end"]) for row in rows(tmp_path)] == [("-", "left")]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there the test kills Px, which can log nothing more")
def test_requests_under_way_write_a_line_when_px_ends(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with PxProcess(tmp_path, "--noproxy=*", "--accesslog=access.log") as px:
            client = socket.create_connection(("127.0.0.1", px.port), _SECONDS)
            at = f"127.0.0.1:{silent.getsockname()[1]}"
            client.sendall(f"CONNECT {at} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert b" 200 " in client.recv(1000)
        client.close()
    assert [(row["status"], row["end"]) for row in rows(tmp_path)] == [("200", "stopped")]


def test_the_line_names_a_client_that_logs_in_at_px(tmp_path: Path) -> None:
    login = b64encode(b"alice:Secret-5c7d").decode()
    options = ("--noproxy=*", "--accesslog=access.log", "--client_auth=BASIC", "--client_username=alice")
    with PxProcess(tmp_path, *options, environment={"PX_CLIENT_PASSWORD": "Secret-5c7d"}) as px:
        request = get("127.0.0.1:1/")
        send(px, request)
        send(px, request.replace("\r\n\r\n", f"\r\nProxy-Authorization: Basic {login}\r\n\r\n"))
        until(lambda: len(read_lines(tmp_path)) == 2)
    assert [(row["user"], row["status"]) for row in rows(tmp_path)] == [("-", "407"), ("alice", "502")]
    text = (tmp_path / "access.log").read_text()
    assert "Secret-5c7d" not in text
    assert login not in text


def test_a_refused_client_writes_a_line(tmp_path: Path) -> None:
    with PxProcess(tmp_path, "--noproxy=*", "--accesslog=access.log", "--allow=10.0.0.0/8") as px:
        send(px, get("origin.test/secret"))
        until(lambda: read_lines(tmp_path))
        assert as_values(rows(tmp_path)[0], WHAT) == "127.0.0.1 - - - 403 - - 0 - ok"


def test_all_workers_write_one_file(tmp_path: Path) -> None:
    with PxProcess(tmp_path, "--noproxy=*", "--accesslog=access.log", workers=2) as px:
        sent = 0

        def have_both_served() -> bool:
            nonlocal sent
            send(px, get("127.0.0.1:9/"))
            sent += 1
            return {row["id"].partition(".")[0] for row in rows(tmp_path)} == set(map(str, px.worker_pids()))

        until(have_both_served)
        until(lambda: len(read_lines(tmp_path)) == sent)


def test_two_px_may_write_one_file(tmp_path: Path) -> None:
    options = ("--noproxy=*", "--accesslog=access.log")
    with PxProcess(tmp_path, *options) as first, PxProcess(tmp_path, *options) as second:
        for px in (first, second, first):
            send(px, get("127.0.0.1:1/"))
        until(lambda: len(read_lines(tmp_path)) == 3)
        assert {row["id"].partition(".")[0] for row in rows(tmp_path)} == {str(first.pid), str(second.pid)}


@pytest.mark.shows("--accesslog")
def test_accesslog_with_a_dash_writes_to_stdout(tmp_path: Path) -> None:
    with PxProcess(tmp_path, "--noproxy=*", "--accesslog=-") as px:
        send(px, get("127.0.0.1:1/"))
        px.wait_for_output("GET http://127.0.0.1:1/ 502")
        assert f"# {COLUMNS}\n" in px.output


@pytest.mark.shows("--accesslog_format")
@pytest.mark.parametrize("workers", [1, 2])
def test_the_file_has_the_format_that_is_asked_for(tmp_path: Path, workers: int) -> None:
    options = ("--noproxy=*", "--accesslog=access.log", "--accesslog_format=json")
    with PxProcess(tmp_path, *options, workers=workers) as px:
        send(px, get("127.0.0.1:1/"))
        until(lambda: (tmp_path / "access.log").stat().st_size)
    line = json.loads((tmp_path / "access.log").read_text())
    assert (line["method"], line["target"], line["status"]) == ("GET", "http://127.0.0.1:1/", 502)


def test_px_ini_can_name_the_access_log(tmp_path: Path) -> None:
    (tmp_path / "px.ini").write_text("[proxy]\nnoproxy = *\n[settings]\naccesslog = access.log\n")
    with PxProcess(tmp_path):
        assert read_lines(tmp_path) == []


def test_without_accesslog_px_writes_no_file(tmp_path: Path) -> None:
    with PxProcess(tmp_path, "--noproxy=*") as px:
        send(px, get("127.0.0.1:1/"))
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_px_does_not_start_if_the_access_log_cannot_be_written(tmp_path: Path) -> None:
    px = PxProcess(tmp_path, "--noproxy=*", "--accesslog=none/access.log")
    with (
        pytest.raises(
            AssertionError, match=r"px: --accesslog=.*none.access\.log: cannot be written: No such"
        ),
        px,
    ):
        pass
    assert px.wait() == 2
