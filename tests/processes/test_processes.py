"""A Px of one or several processes, as its clients, its user and the system see it."""

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

from tests.free_ports import free_port
from tests.loopback import loopback_hosts
from tests.px_process import PxProcess, until

from .origin import HELD_BYTES, Client, Origin, get, running_origin

_SECONDS = 15.0
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals between processes")
#: On Windows only the default number: a start takes seconds under Wine.
for_one_and_two = pytest.mark.parametrize("workers", [2] if sys.platform == "win32" else [1, 2])


@pytest.fixture
def origin() -> Iterator[Origin]:
    with running_origin() as running:
        yield running


def end_at_once(pid: int) -> None:
    """Kill a process, as a crash would."""
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
def test_there_are_two_workers_by_default(
    tmp_path: Path, origin: Origin, workers: int, processes: int
) -> None:
    with PxProcess(tmp_path, "--noproxy=*", workers=workers) as px:
        until(lambda: are_ready(px, workers or 2))
        assert len({px.pid, *px.worker_pids()}) == processes
        assert get(px, origin) == b"ok"


def test_two_px_of_one_user_can_form_a_chain(tmp_path: Path, origin: Origin) -> None:
    with (
        PxProcess(tmp_path, "--noproxy=*", workers=2) as near,
        PxProcess(tmp_path, f"--proxy=127.0.0.1:{near.port}", workers=2) as far,
    ):
        assert [get(far, origin) for _ in range(4)] == [b"ok"] * 4
    assert origin.heads[0].count(b"px-") == 2  # Via names both


def test_every_worker_notices_a_loop_of_two_px(tmp_path: Path, origin: Origin) -> None:
    port = free_port()
    with (
        PxProcess(tmp_path, f"--proxy=127.0.0.1:{port}", workers=2) as first,
        PxProcess(tmp_path, f"--proxy=127.0.0.1:{first.port}", workers=2, port=port),
    ):
        until(lambda: are_ready(first, 2))
        for _ in range(6):
            with Client(first.port, origin) as client:
                client.ask()
                assert client.read()[0].startswith(b"HTTP/1.1 508 ")
    assert not origin.heads


@posix_only
def test_each_worker_serves_while_the_other_is_stopped(tmp_path: Path, origin: Origin) -> None:
    with PxProcess(tmp_path, "--noproxy=*", workers=2) as px:
        until(lambda: are_ready(px, 2))
        for pid in px.worker_pids():
            os.kill(pid, signal.SIGSTOP)
            try:
                assert [get(px, origin) for _ in range(10)] == [b"ok"] * 10
            finally:
                os.kill(pid, signal.SIGCONT)


@posix_only
def test_a_worker_that_dies_loses_only_its_own_connections_and_is_replaced(
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
    """Open a tunnel through one worker, while the others are stopped."""
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


def test_all_processes_end_if_the_supervisor_is_killed(tmp_path: Path, origin: Origin) -> None:
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
def test_a_stop_lets_running_requests_end_and_closes_idle_connections(
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


@posix_only
@pytest.mark.parametrize("attempt", range(3))
def test_an_interrupt_while_workers_start_ends_px_and_leaves_no_crash_log(
    tmp_path: Path, attempt: int
) -> None:
    px = PxProcess(tmp_path, "--noproxy=*", workers=4)
    px.begin()
    until(lambda: any(tmp_path.rglob(f"px-{px.port}.json")))
    time.sleep(attempt * 0.05)  # three different moments of the start
    os.kill(px.pid, signal.SIGINT)
    assert px.wait() == 0
    assert px.stop() == 0
    assert [path.name for path in tmp_path.glob("*crash*")] == []
    assert "crash" not in px.output


@pytest.mark.shows("--quit")
@for_one_and_two
def test_quit_lets_a_download_end_and_returns_when_px_has_ended(
    tmp_path: Path, origin: Origin, workers: int
) -> None:
    px = PxProcess(tmp_path, "--noproxy=*", workers=workers)
    with px, Client(px.port, origin) as client:
        client.ask("/held")
        until(lambda: len(origin.heads) == 1)
        quitting = px.start_command("--quit")
        px.wait_for_output("Px ends")
        assert quitting.poll() is None
        origin.release()
        assert len(client.read()[1]) == HELD_BYTES
        client.sock.close()
        assert quitting.communicate(timeout=_SECONDS)[0] == f"Px, pid {px.pid}, has ended.\n"
        assert px.wait() == 0
    done = px.command("--quit")
    assert (done.returncode, done.stderr) == (3, f"px: Px is not running on port {px.port}\n")


def test_quit_names_the_ports_on_which_px_runs(tmp_path: Path) -> None:
    with PxProcess(tmp_path, "--noproxy=*") as px:
        done = px.command("--quit", "--port=1")
        assert done.returncode == 3
        assert f"not running on port 1; it runs on {px.port}: give --port={px.port}" in done.stderr
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
def test_restart_replaces_the_running_px(tmp_path: Path, origin: Origin, workers: int) -> None:
    with PxProcess(tmp_path, "--noproxy=*", "--useragent=old", workers=workers) as old:
        assert get(old, origin) == b"ok"
        with PxProcess(
            tmp_path, "--restart", "--noproxy=*", "--useragent=new", workers=workers, port=old.port
        ) as new:
            assert old.wait() == 0
            assert get(new, origin) == b"ok"
            assert [b"\r\nUser-Agent: new\r\n" in head for head in origin.heads] == [False, True]


def test_restart_without_flags_starts_px_with_its_previous_flags(tmp_path: Path, origin: Origin) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with PxProcess(tmp_path, "--noproxy=*", "--useragent=kept", "--workers=2") as old:
        again = PxProcess(tmp_path, "--restart", workers=0, port=old.port)
        again.directory = other
        with again as new:
            assert old.wait() == 0
            assert get(new, origin) == b"ok"
            assert b"\r\nUser-Agent: kept\r\n" in origin.heads[-1]
            assert len(new.status()["workers"]) == 2
            (tmp_path / "px.ini").write_text("[proxy]\nuseragent = of the file\n")
            assert new.command("--reload").returncode == 0
            assert get(new, origin) == b"ok"
            assert b"\r\nUser-Agent: kept\r\n" in origin.heads[-1]


def test_restart_prints_only_the_warnings_of_the_px_that_it_starts(tmp_path: Path) -> None:
    with PxProcess(tmp_path, "--noproxy=*", "--username=alice") as old:
        secret = {"PX_PASSWORD": "p"}
        with PxProcess(tmp_path, "--restart", environment=secret, workers=0, port=old.port) as new:
            old.wait()
            assert "warning" not in new.output
        with PxProcess(
            tmp_path, "--restart", "--noproxy=*", environment=secret, workers=0, port=old.port
        ) as newest:
            new.wait()
            warning = "warning: Px does not use the password or hash without a user name"
            assert newest.output.count(warning) == 1


def test_restart_without_a_running_px_starts_one_with_the_given_options(
    tmp_path: Path, origin: Origin
) -> None:
    (tmp_path / "px.ini").write_text("[proxy]\nnoproxy = *\n")
    with PxProcess(tmp_path, "--restart", workers=0) as px:
        assert get(px, origin) == b"ok"


def test_env_describes_the_running_px(tmp_path: Path) -> None:
    with PxProcess(tmp_path, "--noproxy=*.corp.example", "--listen=127.0.0.5") as px:
        for names_port in (True, False):
            done = px.command("--env=sh", names_port=names_port)
            assert (done.returncode, done.stderr) == (0, "")
            assert f'export http_proxy="http://127.0.0.5:{px.port}"\n' in done.stdout
            assert ",.corp.example" in done.stdout
            assert f'eval "$(px --env=sh --port={px.port})"' in done.stdout
        done = px.command("--env=sh", "--port=1", names_port=False)
        assert 'http_proxy="http://127.0.0.1:1"' in done.stdout
        assert done.stderr == (
            f"px: Px is not running on port 1; it runs on {px.port}: give --port={px.port};"
            " the settings below are for a Px with your configuration\n"
        )


def test_restart_with_a_wrong_configuration_leaves_px_running(tmp_path: Path) -> None:
    with PxProcess(tmp_path, "--noproxy=*") as px:
        done = px.command("--restart", "--useragent=x")
        assert (done.returncode, done.stdout) == (2, "")
        assert "no upstream proxy is known" in done.stderr
        assert px.status()["pid"] == px.pid


def test_the_error_for_a_second_px_on_a_port_names_the_first(tmp_path: Path) -> None:
    with PxProcess(tmp_path, "--noproxy=*", workers=2) as px:
        for flags in ((), ("--gateway",), ("--listen=127.0.0.2",)):
            done = px.command("--noproxy=*", *flags)
            assert (done.returncode, done.stdout) == (5, "")
            assert done.stderr.splitlines()[-1] == (
                f"px: port {px.port} on {', '.join(loopback_hosts())} is in use by Px, pid {px.pid};"
                f" px --quit --port={px.port} ends it, or choose another --port"
            )


def test_a_px_for_this_computer_only_notices_a_gateway_on_its_port(tmp_path: Path) -> None:
    with PxProcess(tmp_path, "--noproxy=*", "--gateway") as px:
        done = px.command("--noproxy=*")
        assert done.returncode == 5
        assert f"is in use by Px, pid {px.pid}; " in done.stderr


def test_the_error_for_a_port_in_use_tells_another_program_from_px(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        px = PxProcess(tmp_path, "--noproxy=*", port=other.getsockname()[1])
        with pytest.raises(AssertionError, match=r"port .* on 127\.0\.0\.1 is in use, perhaps"), px:
            pass
        assert px.wait() == 5


@posix_only
def test_px_ends_with_the_reason_if_its_workers_cannot_start(tmp_path: Path) -> None:
    px = PxProcess(tmp_path, "--noproxy=*", "--debug", workers=2)
    for number in (1, 2):
        (tmp_path / f"debug-{px.port}-worker{number}.log").mkdir()
    with pytest.raises(AssertionError, match=r"the log .*worker.* cannot be written"), px:
        pass
    assert px.wait() == 2


def test_each_process_of_px_has_its_own_log_file(tmp_path: Path, origin: Origin) -> None:
    with PxProcess(tmp_path, "--noproxy=*", "--debug", workers=2) as px:
        until(lambda: are_ready(px, 2))
        assert get(px, origin) == b"ok"
    names = {path.name for path in tmp_path.glob("debug-*.log")}
    assert names == {f"debug-{px.port}-{name}.log" for name in ("main", "worker1", "worker2")}
    logs = "".join(path.read_text() for path in tmp_path.glob("debug-*-worker*.log"))
    assert f"GET http://127.0.0.1:{origin.port}" in logs


def test_verbose_shows_the_log_of_the_workers(tmp_path: Path, origin: Origin) -> None:
    with PxProcess(tmp_path, "--noproxy=*", "--verbose", workers=2) as px:
        assert get(px, origin) == b"ok"
        px.wait_for_output(f"GET http://127.0.0.1:{origin.port}")


def test_px_in_a_clone_of_the_repository_can_have_workers(tmp_path: Path, origin: Origin) -> None:
    clone = Path(__file__).resolve().parents[2] / "px.py"
    with PxProcess(
        tmp_path, "--noproxy=*", workers=2, program=(str(clone),), environment={"PYTHONPATH": ""}
    ) as px:
        assert get(px, origin) == b"ok"


def test_clients_cannot_make_a_report_so_long_that_a_worker_is_lost(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0), backlog=100) as silent,
        PxProcess(tmp_path, f"--proxy=127.0.0.1:{silent.getsockname()[1]}", workers=2) as px,
        contextlib.ExitStack() as clients,
    ):
        until(lambda: are_ready(px, 2))
        before = px.worker_pids()
        for _ in range(50):
            client = clients.enter_context(socket.create_connection(("127.0.0.1", px.port)))
            client.sendall(b"M" * 60_000 + b" http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n")
        until(lambda: px.status()["active_total"] == 50)
        assert px.worker_pids() == before
