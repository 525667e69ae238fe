"""Reload: the next request uses the new configuration, and no running request is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from px.core.startup_errors import ConfigError
from px.processes import program
from px.processes.notices import Notices
from px.system.state.instance import Launch
from tests.free_ports import free_port
from tests.loopback import loopback_places
from tests.px_process import PxProcess, until

from .origin import HELD_BYTES, Client, Origin, get, running_origin
from .test_processes import are_ready, for_one_and_two, posix_only


@pytest.fixture
def origin() -> Iterator[Origin]:
    with running_origin() as running:
        yield running


def write_ini(directory: Path, *lines: str) -> None:
    (directory / "px.ini").write_text("\n".join(["[proxy]", *lines, ""]))


def reload(px: PxProcess, *flags: str) -> None:
    done = px.command("--reload", *flags)
    assert (done.returncode, done.stderr) == (0, "")


def user_agent(origin: Origin) -> str:
    """Return the User-Agent of the last request."""
    lines = origin.heads[-1].decode().split("\r\n")
    return next(line.removeprefix("User-Agent: ") for line in lines if line.startswith("User-Agent: "))


@for_one_and_two
def test_reload_reads_a_changed_px_ini_and_keeps_tunnels_and_requests(
    tmp_path: Path, origin: Origin, workers: int
) -> None:
    write_ini(tmp_path, "noproxy = *", "useragent = old")
    with (
        PxProcess(tmp_path, workers=workers) as px,
        Client(px.port, origin) as tunnel,
        Client(px.port, origin) as busy,
        Client(px.port, origin) as idle,
    ):
        tunnel.open_tunnel()
        assert idle.get() == b"ok"
        busy.ask("/held")
        until(lambda: len(origin.heads) == 2)
        write_ini(tmp_path, "noproxy = *", "useragent = new")
        reload(px)
        assert get(px, origin) == b"ok"
        assert user_agent(origin) == "new"
        assert idle.has_ended()
        origin.release()
        assert len(busy.read()[1]) == HELD_BYTES
        assert busy.has_ended()
        tunnel.echo(b"still here")
        draining = [worker for worker in px.status()["workers"] if worker["is_draining"]]
        assert sum(worker["open_tunnels"] for worker in draining) == 1
        tunnel.sock.close()
        until(lambda: not any(worker["is_draining"] for worker in px.status()["workers"]))
        assert are_ready(px, workers)


def test_reloads_leave_no_objects_in_memory(tmp_path: Path) -> None:
    """Each reload once left a megabyte: all objects of the old worker."""
    write_ini(tmp_path, "noproxy = *")
    with PxProcess(tmp_path, workers=1) as px:
        for _ in range(3):
            reload(px)
        process = psutil.Process(px.status()["pid"])
        before = process.memory_info().rss
        for _ in range(8):
            reload(px)
        assert process.memory_info().rss - before < 4 * 1024 * 1024


@for_one_and_two
def test_a_stop_also_ends_the_workers_that_drain_after_a_reload(
    tmp_path: Path, origin: Origin, workers: int
) -> None:
    write_ini(tmp_path, "noproxy = *")
    with PxProcess(tmp_path, workers=workers) as px, Client(px.port, origin) as tunnel:
        tunnel.open_tunnel()
        reload(px)
        tunnel.echo(b"still here")
        assert px.command("--quit").returncode == 0
        assert tunnel.has_ended()


@for_one_and_two
def test_reload_moves_px_to_another_port(tmp_path: Path, origin: Origin, workers: int) -> None:
    other = free_port()
    px = PxProcess(tmp_path, workers=workers, names_port=False)
    write_ini(tmp_path, "noproxy = *", f"port = {px.port}")
    with px, Client(px.port, origin) as tunnel:
        tunnel.open_tunnel()
        write_ini(tmp_path, "noproxy = *", f"port = {other}")
        reload(px, f"--port={px.port}")
        old, px.port = px.port, other
        assert get(px, origin) == b"ok"
        tunnel.echo(b"still here")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", old))
        assert px.status()["listen"] == loopback_places(other)
        assert px.command("--status", f"--port={old}").returncode == 3


@pytest.mark.skipif(
    sys.platform == "win32", reason="there two sockets cannot have these addresses at one port"
)
@for_one_and_two
def test_reload_opens_and_closes_px_to_others(tmp_path: Path, origin: Origin, workers: int) -> None:
    write_ini(tmp_path, "noproxy = *")
    with PxProcess(tmp_path, workers=workers) as px, Client(px.port, origin) as tunnel:
        tunnel.open_tunnel()
        write_ini(tmp_path, "noproxy = *", "gateway = 1", "allow = 127.*")
        assert px.command("--reload").returncode == 0
        assert f"0.0.0.0:{px.port}" in px.status()["listen"]
        assert get(px, origin) == b"ok"
        write_ini(tmp_path, "noproxy = *")
        reload(px)
        assert px.status()["listen"] == loopback_places(px.port)
        assert get(px, origin) == b"ok"
        tunnel.echo(b"still here")


def test_reload_changes_the_upstream_and_noproxy(tmp_path: Path, origin: Origin) -> None:
    write_ini(tmp_path, f"server = 127.0.0.1:{origin.port}")
    with PxProcess(tmp_path, workers=2) as px:
        assert get(px, origin) == b"ok"
        assert origin.heads[-1].startswith(b"GET http://127.0.0.1")
        write_ini(tmp_path, f"server = 127.0.0.1:{origin.port}", "noproxy = 127.0.0.1")
        reload(px)
        assert get(px, origin) == b"ok"
        assert origin.heads[-1].startswith(b"GET / ")
        write_ini(tmp_path, "server = 127.0.0.1:1")
        reload(px)
        with Client(px.port, origin) as client:
            client.ask()
            assert client.read()[0].startswith(b"HTTP/1.1 502 ")


def test_reload_changes_the_number_of_workers(tmp_path: Path, origin: Origin) -> None:
    write_ini(tmp_path, "noproxy = *", "[settings]", "workers = 1")
    with PxProcess(tmp_path, workers=0) as px, Client(px.port, origin) as tunnel:
        tunnel.open_tunnel()
        for workers in (3, 1):
            write_ini(tmp_path, "noproxy = *", "[settings]", f"workers = {workers}")
            reload(px)
            until(lambda: are_ready(px, workers))  # noqa: B023 - it is called here only
            assert get(px, origin) == b"ok"
        tunnel.echo(b"still here")


@for_one_and_two
def test_a_reload_with_a_wrong_configuration_changes_nothing(
    tmp_path: Path, origin: Origin, workers: int
) -> None:
    write_ini(tmp_path, "noproxy = *", "useragent = old")
    with PxProcess(tmp_path, workers=workers) as px:
        before = px.worker_pids()
        for lines, reason in (
            (["noproxy = *", "[settings]", "idle = soon"], "idle=soon"),
            ([], "no upstream proxy is known"),
            (["noproxy = *", "listen = 192.0.2.1"], "--listen=192.0.2.1: cannot listen there"),
            ([f"server = localhost:{px.port}"], "this Px itself listens there"),
        ):
            write_ini(tmp_path, *lines)
            done = px.command("--reload")
            assert (done.returncode, done.stdout) == (2, "")
            assert done.stderr.startswith("px: not reloaded: ")
            assert reason in done.stderr
        assert get(px, origin) == b"ok"
        assert user_agent(origin) == "old"
        assert px.worker_pids() == before


def test_the_old_workers_stay_if_the_new_ones_cannot_start(tmp_path: Path, origin: Origin) -> None:
    write_ini(tmp_path, "noproxy = *")
    with PxProcess(tmp_path, workers=2) as px:
        until(lambda: are_ready(px, 2))
        before = px.worker_pids()
        for number in (3, 4):
            (tmp_path / f"debug-{px.port}-worker{number}.log").mkdir()
        write_ini(tmp_path, "noproxy = *", "[settings]", "log = 2")
        done = px.command("--reload")
        assert done.returncode == 2
        assert "cannot be written" in done.stderr
        assert px.worker_pids() == before
        assert get(px, origin) == b"ok"


def test_px_keeps_its_port_if_the_new_one_is_in_use(tmp_path: Path, origin: Origin) -> None:
    px = PxProcess(tmp_path, names_port=False)
    with PxProcess(tmp_path, "--noproxy=*") as other:
        write_ini(tmp_path, "noproxy = *", f"port = {px.port}")
        with px:
            write_ini(tmp_path, "noproxy = *", f"port = {other.port}")
            done = px.command("--reload")
            assert done.returncode == 5
            assert f"in use by Px, pid {other.pid}" in done.stderr
            assert get(px, origin) == b"ok"
            assert px.status()["pid"] == px.pid


def assert_refused(px: PxProcess, cause: str) -> None:
    done = px.command("--reload")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"px: not reloaded: {cause}")


@posix_only
def test_a_failed_command_gets_the_cause_as_answer_and_px_continues(tmp_path: Path, origin: Origin) -> None:
    place = tmp_path / "place"
    place.mkdir()
    write_ini(place, "noproxy = *", "useragent = old")
    px = PxProcess(tmp_path)
    px.directory = place
    with px:
        px.directory = tmp_path
        (place / "px.ini").write_text("port = 1")
        outside = "this line comes before any section; begin the file with [proxy]"
        assert_refused(px, f"{place / 'px.ini'}:1: {outside}")
        (place / "px.ini").unlink()
        assert_refused(px, "no upstream proxy is known")
        place.rmdir()
        gone = "the working directory, where Px looks for px.ini and .env, no longer exists: No such file"
        assert_refused(px, gone)
        done = px.command("--restart")
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == (
            f"px: the running Px was started in {place}: No such file or directory;"
            " run --restart in another directory and give all options again\n"
        )
        assert get(px, origin) == b"ok"
        assert user_agent(origin) == "old"


@posix_only
def test_px_replaces_a_worker_even_if_the_working_directory_is_gone(tmp_path: Path, origin: Origin) -> None:
    place = tmp_path / "place"
    place.mkdir()
    px = PxProcess(tmp_path, "--noproxy=*", workers=2)
    px.directory = place
    with px:
        px.directory = tmp_path
        place.rmdir()
        before = set(px.worker_pids())
        os.kill(min(before), signal.SIGKILL)
        until(lambda: len(set(px.worker_pids()) - {min(before)}) == len(before))
        assert get(px, origin) == b"ok"
        assert "crashed" not in px.output


class Supervised:
    """Stands in for a `Supervisor`; `changes` records the settings of each change."""

    def __init__(self) -> None:
        self.listen_sockets = SimpleNamespace(
            addresses=(), hosts=(), warnings=(), instance=SimpleNamespace(publish=bool)
        )
        self.changes: list[object] = []

    async def change(self, settings: object) -> None:
        await asyncio.sleep(0)
        self.changes.append(settings)


async def test_the_last_of_many_reloads_uses_the_newest_configuration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checked, may_go_on = threading.Event(), threading.Event()
    newest = ["first"]

    def check(settings: object) -> None:
        checked.set()
        assert settings != "first" or may_go_on.wait(10)

    monkeypatch.setattr(program, "check_routes", check)
    monkeypatch.setattr(program, "allow_retry", bool)
    supervised = Supervised()
    px: Any = program.Program(
        supervised,  # type: ignore[arg-type]
        lambda: SimpleNamespace(settings=newest[-1], warnings=()),  # type: ignore[arg-type, return-value]
        print,
        Notices(print, print),
        launch=Launch(),
    )
    reloads = [asyncio.create_task(px._obey({"do": "reload"}))]
    await asyncio.to_thread(checked.wait, 10)
    for name in ("second", "third", "fourth"):
        newest.append(name)
        reloads += [asyncio.create_task(px._obey({"do": "reload"})) for _ in range(5)]
        await asyncio.sleep(0)
    may_go_on.set()
    answers = await asyncio.gather(*reloads)
    assert all("error" not in answer for answer in answers)
    assert supervised.changes == ["first", "fourth"]


@pytest.mark.parametrize(
    ("failure", "told", "exit_code"),
    [
        (ConfigError("wrong"), "wrong", 2),
        (OSError(5, "Input/output error", "px.ini"), "OSError: [Errno 5] Input/output error: 'px.ini'", 1),
        (RuntimeError("a fault"), "RuntimeError: a fault", 1),
    ],
)
async def test_a_reload_reports_any_failure(failure: Exception, told: str, exit_code: int) -> None:
    def fail() -> Any:
        raise failure

    px: Any = program.Program(Supervised(), fail, print, Notices(print, print), launch=Launch())  # type: ignore[arg-type]
    answer = await px._obey({"do": "reload"})
    assert (answer["error"], answer["exit_code"]) == (told, exit_code)
    assert "does not know" in (await px._obey({"do": "dance"}))["error"]


@posix_only
def test_the_signal_hup_reloads(tmp_path: Path, origin: Origin) -> None:
    write_ini(tmp_path, "noproxy = *", "useragent = old")
    with PxProcess(tmp_path, workers=2) as px:
        until(lambda: are_ready(px, 2))
        before = px.worker_pids()
        write_ini(tmp_path, "noproxy = *", "useragent = new")
        for pid in (px.pid, *before):  # a terminal sends it to all processes
            os.kill(pid, signal.SIGHUP)
        until(lambda: not set(before) & set(px.worker_pids()))
        assert get(px, origin) == b"ok"
        assert user_agent(origin) == "new"


def test_reload_names_the_flags_that_it_cannot_change(tmp_path: Path) -> None:
    write_ini(tmp_path, "noproxy = *")
    with PxProcess(tmp_path) as px:
        done = px.command("--reload", "--useragent=x", "--idle=7")
        assert done.returncode == 0
        assert done.stderr == (
            "px: warning: --useragent, --idle: --reload does not apply new options; use --restart\n"
        )


def test_reload_reports_the_warnings_of_a_start(tmp_path: Path) -> None:
    write_ini(tmp_path, "noproxy = *")
    with PxProcess(tmp_path) as px:
        write_ini(tmp_path, "noproxy = *", "prot = 1")
        done = px.command("--reload")
        assert done.returncode == 0
        assert "unknown key [proxy] prot" in done.stderr


class Poster(threading.Thread):
    """Sends one POST after another until `stop`; each must get an answer.

    Args:
        px: The Px that gets them.
        origin: The origin of the requests.
        keeps: Whether it keeps its connection as long as Px does.
    """

    def __init__(self, px: PxProcess, origin: Origin, *, keeps: bool) -> None:
        super().__init__(daemon=True)
        self._px, self._origin, self._keeps = px, origin, keeps
        self._stopping = threading.Event()
        self.answered = 0
        self.failures: list[str] = []

    def run(self) -> None:
        host = f"127.0.0.1:{self._origin.port}"
        head = f"POST http://{host}/ HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n".encode()
        while not self._stopping.is_set():
            with Client(self._px.port, self._origin) as client:
                is_kept = True
                while is_kept and not self._stopping.is_set():
                    try:
                        client.sock.sendall(head)
                        said, body = client.read()
                    except (OSError, AssertionError, StopIteration) as error:
                        self.failures.append(repr(error))
                        break
                    assert body == b"ok", said
                    self.answered += 1
                    is_kept = self._keeps and b"\r\nConnection: close\r\n" not in said

    def stop(self) -> None:
        self._stopping.set()
        self.join()


@for_one_and_two
def test_no_request_is_lost_over_reloads(tmp_path: Path, origin: Origin, workers: int) -> None:
    write_ini(tmp_path, "noproxy = *")
    with PxProcess(tmp_path, workers=workers) as px:
        posters = [Poster(px, origin, keeps=keeps) for keeps in (True, True, True, False, False)]
        for poster in posters:
            poster.start()
        for _ in range(4):
            reload(px)
        for poster in posters:
            poster.stop()
        assert [poster.failures for poster in posters] == [[]] * len(posters)
        assert all(poster.answered for poster in posters)
