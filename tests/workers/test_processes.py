"""A Px of one process or several: what its clients, its user and the system see of it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.px_process import PxProcess, until

from .origin import HELD_BYTES, Client, Origin, get, running_origin

_SECONDS = 15.0
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals between processes")
for_one_and_two = pytest.mark.parametrize("workers", [1, 2])


@pytest.fixture
def origin() -> Iterator[Origin]:
    with running_origin() as running:
        yield running


def end_at_once(pid: int) -> None:
    """End a process as a crash does."""
    os.kill(pid, signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)


def refuses_connections(px: PxProcess) -> bool:
    with contextlib.suppress(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", px.port), _SECONDS).close()
        return False
    return True


def are_ready(px: PxProcess, workers: int) -> bool:
    return len(px.worker_pids()) == workers


@pytest.mark.shows("--workers")
@pytest.mark.parametrize(("workers", "processes"), [(0, 3), (1, 1), (3, 4)])
def test_there_are_two_workers_unless_somebody_wants_another_number(
    tmp_path: Path, origin: Origin, workers: int, processes: int
) -> None:
    with PxProcess(tmp_path, "--noproxy=*", workers=workers) as px:
        until(lambda: are_ready(px, workers or 2))
        assert len({px.pid, *px.worker_pids()}) == processes
        assert get(px, origin) == b"ok"


@posix_only
def test_each_worker_serves_when_the_other_does_not_get_on(tmp_path: Path, origin: Origin) -> None:
    with PxProcess(tmp_path, "--noproxy=*", workers=2) as px:
        until(lambda: are_ready(px, 2))
        for pid in px.worker_pids():
            os.kill(pid, signal.SIGSTOP)
            try:
                assert [get(px, origin) for _ in range(10)] == [b"ok"] * 10
            finally:
                os.kill(pid, signal.SIGCONT)


@posix_only
def test_a_worker_that_dies_takes_its_own_connections_only_and_is_replaced(
    tmp_path: Path, origin: Origin
) -> None:
    with contextlib.ExitStack() as stack:
        px = stack.enter_context(PxProcess(tmp_path, "--noproxy=*", workers=2))
        until(lambda: are_ready(px, 2))
        before = px.worker_pids()
        tunnels = {pid: _open_tunnel_at(pid, px, origin, stack) for pid in before}
        end_at_once(before[0])
        assert tunnels[before[0]].has_ended()
        tunnels[before[1]].echo(b"still here")
        assert [get(px, origin) for _ in range(20)] == [b"ok"] * 20
        until(lambda: are_ready(px, 2) and before[0] not in px.worker_pids())
        assert before[1] in px.worker_pids()


def _open_tunnel_at(pid: int, px: PxProcess, origin: Origin, stack: contextlib.ExitStack) -> Client:
    """Open a tunnel through a certain worker: the only one that is not stopped."""
    others = set(px.worker_pids()) - {pid}
    for other in others:
        os.kill(other, signal.SIGSTOP)
    try:
        client = stack.enter_context(Client(px.port, origin))
        client.open_tunnel()
    finally:
        for other in others:
            os.kill(other, signal.SIGCONT)
    return client


def test_a_worker_that_dies_is_replaced_while_others_serve(tmp_path: Path, origin: Origin) -> None:
    with PxProcess(tmp_path, "--noproxy=*", workers=2) as px:
        until(lambda: are_ready(px, 2))
        before = px.worker_pids()
        for pid in before:
            end_at_once(pid)
            until(lambda: are_ready(px, 2) and pid not in px.worker_pids())  # noqa: B023 - called here only
            assert [get(px, origin) for _ in range(20)] == [b"ok"] * 20


def test_nothing_is_left_of_a_px_whose_main_process_is_killed(tmp_path: Path, origin: Origin) -> None:
    with PxProcess(tmp_path, "--noproxy=*", workers=2) as px, Client(px.port, origin) as client:
        until(lambda: are_ready(px, 2))
        workers = px.worker_pids()
        client.open_tunnel()
        px.kill()
        until(lambda: not any(map(psutil.pid_exists, workers)))
        with PxProcess(tmp_path, "--noproxy=*", workers=2, port=px.port) as heir:
            assert get(heir, origin) == b"ok"


@posix_only
@for_one_and_two
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_lets_requests_under_way_end_and_closes_the_idle(
    tmp_path: Path, origin: Origin, workers: int, number: int
) -> None:
    with (
        PxProcess(tmp_path, "--noproxy=*", workers=workers) as px,
        Client(px.port, origin) as busy,
        Client(px.port, origin) as idle,
    ):
        until(lambda: are_ready(px, workers))
        assert idle.get() == b"ok"
        busy.ask("/held")
        until(lambda: len(origin.heads) == 2)
        for pid in {px.pid, *px.worker_pids()}:  # as a terminal or a service manager does
            os.kill(pid, number)
        assert idle.has_ended()
        until(lambda: refuses_connections(px))
        origin.release()
        assert len(busy.read()[1]) == HELD_BYTES
        assert px.wait() == 0


@pytest.mark.shows("--quit")
@for_one_and_two
def test_quit_lets_a_download_end_and_returns_when_px_has_gone(
    tmp_path: Path, origin: Origin, workers: int
) -> None:
    px = PxProcess(tmp_path, "--noproxy=*", workers=workers)
    with px, Client(px.port, origin) as client:
        client.ask("/held")
        until(lambda: len(origin.heads) == 1)
        quitting = px.start_command("--quit")
        until(lambda: "Px ends" in px.output)
        assert quitting.poll() is None
        origin.release()
        assert len(client.read()[1]) == HELD_BYTES
        client.sock.close()
        assert quitting.communicate(timeout=_SECONDS)[0] == f"Px, pid {px.pid}, has ended.\n"
        assert px.wait() == 0
    done = px.command("--quit")
    assert (done.returncode, done.stderr) == (3, f"px: Px is not running on port {px.port}\n")


def test_quit_names_the_ports_where_px_does_run(tmp_path: Path) -> None:
    with PxProcess(tmp_path, "--noproxy=*") as px:
        done = px.command("--quit", "--port=1")
        assert done.returncode == 3
        assert f"not running on port 1; it runs on {px.port}: give --port" in done.stderr
        assert px.status()["pid"] == px.pid


def test_a_tunnel_that_does_not_end_is_cut_off_in_time(tmp_path: Path, origin: Origin) -> None:
    with PxProcess(tmp_path, "--noproxy=*", workers=2) as px, Client(px.port, origin) as client:
        client.open_tunnel()
        begun = time.monotonic()
        assert px.command("--quit").returncode == 0
        assert client.has_ended()
        assert 4.5 < time.monotonic() - begun < 12
        assert px.wait() == 0


@for_one_and_two
def test_restart_takes_the_place_of_the_px_that_runs(tmp_path: Path, origin: Origin, workers: int) -> None:
    with PxProcess(tmp_path, "--noproxy=*", "--useragent=old", workers=workers) as old:
        assert get(old, origin) == b"ok"
        with PxProcess(
            tmp_path, "--restart", "--noproxy=*", "--useragent=new", workers=workers, port=old.port
        ) as new:
            assert old.wait() == 0
            assert get(new, origin) == b"ok"
            assert [b"\r\nUser-Agent: new\r\n" in head for head in origin.heads] == [False, True]


def test_restart_with_a_configuration_that_cannot_work_leaves_px_alone(tmp_path: Path) -> None:
    with PxProcess(tmp_path, "--noproxy=*") as px:
        done = px.command("--restart")
        assert (done.returncode, done.stdout) == (2, "")
        assert "no upstream proxy is known" in done.stderr
        assert px.status()["pid"] == px.pid


def test_a_second_px_on_a_port_is_told_which_one_has_it(tmp_path: Path) -> None:
    with PxProcess(tmp_path, "--noproxy=*", workers=2) as px:
        for flags in ((), ("--gateway",), ("--listen=127.0.0.2",)):
            done = px.command("--noproxy=*", *flags)
            assert (done.returncode, done.stdout) == (5, "")
            assert done.stderr.splitlines()[-1] == (
                f"px: port {px.port} on 127.0.0.1 is in use by Px, pid {px.pid};"
                f" px --quit --port={px.port} ends it, or choose another --port"
            )


def test_a_gateway_is_found_by_a_px_for_this_computer_only(tmp_path: Path) -> None:
    with PxProcess(tmp_path, "--noproxy=*", "--gateway") as px:
        done = px.command("--noproxy=*")
        assert done.returncode == 5
        assert f"is in use by Px, pid {px.pid}; " in done.stderr


def test_another_program_on_the_port_is_told_from_px(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        px = PxProcess(tmp_path, "--noproxy=*", port=other.getsockname()[1])
        with pytest.raises(AssertionError, match=r"port .* on 127\.0\.0\.1 is in use, perhaps"), px:
            pass
        assert px.wait() == 5


@posix_only
def test_workers_that_cannot_begin_end_px_with_the_reason(tmp_path: Path) -> None:
    px = PxProcess(tmp_path, "--noproxy=*", "--debug", workers=2)
    for number in (1, 2):
        (tmp_path / f"debug-{px.port}-worker{number}.log").mkdir()
    with pytest.raises(AssertionError, match=r"the log .*worker.* cannot be written"), px:
        pass
    assert px.wait() == 2


def test_each_process_has_a_log_of_its_own(tmp_path: Path, origin: Origin) -> None:
    with PxProcess(tmp_path, "--noproxy=*", "--debug", workers=2) as px:
        until(lambda: are_ready(px, 2))
        assert get(px, origin) == b"ok"
    names = {path.name for path in tmp_path.glob("debug-*.log")}
    assert names == {f"debug-{px.port}-{name}.log" for name in ("main", "worker1", "worker2")}
    logs = "".join(path.read_text() for path in tmp_path.glob("debug-*-worker*.log"))
    assert f"GET http://127.0.0.1:{origin.port}" in logs


def test_verbose_shows_what_the_workers_do(tmp_path: Path, origin: Origin) -> None:
    with PxProcess(tmp_path, "--noproxy=*", "--verbose", workers=2) as px:
        assert get(px, origin) == b"ok"
        until(lambda: f"GET http://127.0.0.1:{origin.port}" in px.output)


def test_a_clone_can_have_workers_too(tmp_path: Path, origin: Origin) -> None:
    clone = Path(__file__).resolve().parents[2] / "px.py"
    with PxProcess(
        tmp_path, "--noproxy=*", workers=2, program=(str(clone),), environment={"PYTHONPATH": ""}
    ) as px:
        assert get(px, origin) == b"ok"
