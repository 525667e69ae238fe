"""The process that forks workers, as Linux shows it: who forks whom, what is inherited, and what ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import psutil
import pytest

from tests.free_ports import free_port
from tests.processes.origin import Client, get, running_origin
from tests.px_process import PxProcess, clean_environment, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks workers")

_MAIN = "from px.cli.main import main; main()"
_THREAD = "import threading, time; threading.Thread(target=time.sleep, args=(99,), daemon=True).start()"
_BACKGROUND = "import sys; from px.cli.background import start_in_background as go; print(*go(sys.argv[1:]))"


def workers_of(px: PxProcess, count: int = 2) -> list[int]:
    """Wait until all workers serve; return the ids of their processes."""
    until(lambda: len(px.worker_pids()) == count)
    return px.worker_pids()


def template_of(px: PxProcess) -> int:
    """Return the id of the one process that the supervisor has started."""
    (template,) = psutil.Process(px.pid).children()
    return int(template.pid)


def parents_of(pids: list[int]) -> set[int]:
    return {psutil.Process(pid).ppid() for pid in pids}


def open_files(pid: int) -> list[str]:
    """Return what a process has open besides its standard streams."""
    files = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            if int(descriptor.name) > 2:
                files.append(str(descriptor.readlink()))
    return files


def kinds_of(files: list[str]) -> Counter[str]:
    return Counter("file" if file.startswith("/") else file.partition("[")[0] for file in files)


def listening_at(pid: int) -> set[tuple[str, int]]:
    connections = psutil.Process(pid).net_connections("tcp")
    return {(each.laddr.ip, each.laddr.port) for each in connections if each.status == psutil.CONN_LISTEN}


def kill_template(px: PxProcess) -> None:
    template = template_of(px)
    os.kill(template, signal.SIGKILL)
    until(lambda: not psutil.pid_exists(template))  # the supervisor has noticed: no zombie stays


def replace_worker(px: PxProcess, pid: int) -> int:
    """Kill a worker and return the id of the one that takes its place."""
    before = set(px.worker_pids())
    os.kill(pid, signal.SIGKILL)
    until(lambda: len(set(px.worker_pids()) - {pid, 0}) == len(before))  # 0: its process is being started
    (new,) = set(px.worker_pids()) - before
    return new


def test_the_supervisor_has_one_child_which_forks_all_workers(tmp_path: Path) -> None:
    with running_origin() as origin, PxProcess(tmp_path, "--noproxy=*", "--verbose", workers=2) as px:
        workers = workers_of(px)
        template = template_of(px)
        assert parents_of(workers) == {template}
        new = replace_worker(px, workers[0])
        assert parents_of([new]) == {template}
        until(lambda: f"pid {workers[0]}, ended by SIGKILL" in px.output)
        assert px.command("--reload").returncode == 0
        until(lambda: not {*workers, new} & {*px.worker_pids()})
        assert parents_of(workers_of(px)) == {template}
        assert [get(px, origin) for _ in range(10)] == [b"ok"] * 10
    assert not psutil.pid_exists(template)


def test_a_single_worker_needs_no_template(tmp_path: Path) -> None:
    with PxProcess(tmp_path, "--noproxy=*") as px:
        assert psutil.Process(px.pid).children() == []


def test_workers_inherit_nothing_but_their_sockets(tmp_path: Path) -> None:
    secret = tmp_path / "open in the supervisor"
    secret.write_text("x")
    program = ("-c", f"import os; os.open({str(secret)!r}, os.O_RDONLY); {_MAIN}")
    with PxProcess(tmp_path, "--noproxy=*", "--debug", workers=2, program=program) as px:
        workers = workers_of(px)
        template = template_of(px)
        assert str(secret) in open_files(px.pid)
        assert kinds_of(open_files(template)) == {"socket:": 1, "anon_inode:": 2}
        assert listening_at(template) == set()
        forked = {pid: open_files(pid) for pid in workers}
        names = [f"{tmp_path}/debug-{px.port}-worker{number}.log" for number in (1, 2)]
        assert sorted(file for files in forked.values() for file in files if file[0] == "/") == names
        assert Path(f"/proc/{workers[0]}/fd/0").readlink() == Path(os.devnull)
        kill_template(px)
        executed = replace_worker(px, workers[0])
        # Some sockets are open for a moment only.
        until(lambda: kinds_of(open_files(executed)) == kinds_of(open_files(workers[1])))


def test_a_worker_listens_only_where_its_own_settings_say(tmp_path: Path) -> None:
    ini = tmp_path / "px.ini"
    ini.write_text("[proxy]\nlisten = 127.0.0.5\n")
    with PxProcess(tmp_path, "--noproxy=*", workers=2) as px:
        assert [listening_at(pid) for pid in workers_of(px)] == [{("127.0.0.5", px.port)}] * 2
        ini.write_text("[proxy]\nlisten = 127.0.0.6\n")
        assert px.command("--reload").returncode == 0
        until(
            lambda: (
                ("127.0.0.5", px.port) not in {each for pid in px.worker_pids() for each in listening_at(pid)}
            )
        )
        assert [listening_at(pid) for pid in workers_of(px)] == [{("127.0.0.6", px.port)}] * 2
        assert listening_at(template_of(px)) == set()


def test_px_goes_on_without_its_template(tmp_path: Path) -> None:
    with (
        running_origin() as origin,
        PxProcess(tmp_path, "--noproxy=*", "--verbose", workers=2) as px,
        Client(px.port, origin) as client,
    ):
        client.open_tunnel()
        workers = workers_of(px)
        kill_template(px)
        client.echo(b"still here")
        assert px.worker_pids() == workers
        new = [replace_worker(px, pid) for pid in workers]
        assert parents_of(new) == {px.pid}
        until(lambda: f"pid {workers[0]}, ended in an unknown way" in px.output)
        assert px.command("--reload").returncode == 0
        until(lambda: not {*new} & {*px.worker_pids()})
        assert len(workers_of(px)) == 2
        assert [get(px, origin) for _ in range(10)] == [b"ok"] * 10


def test_a_template_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    with PxProcess(tmp_path, "--noproxy=*", workers=2) as px:
        workers = workers_of(px)
        template = template_of(px)
        os.kill(template, signal.SIGSTOP)
        assert parents_of([replace_worker(px, workers[0])]) == {px.pid}
        assert not psutil.pid_exists(template)


def test_px_can_end_while_its_template_does_not_answer(tmp_path: Path) -> None:
    with PxProcess(tmp_path, "--noproxy=*", workers=2) as px:
        workers = workers_of(px)
        os.kill(template_of(px), signal.SIGSTOP)
        os.kill(workers[0], signal.SIGKILL)
        until(lambda: workers[0] not in px.worker_pids())
        assert px.command("--quit").returncode == 0
        assert px.wait() == 0


def test_the_signals_of_a_terminal_and_of_a_service_manager_do_not_end_the_template(tmp_path: Path) -> None:
    with PxProcess(tmp_path, "--noproxy=*", workers=2) as px:
        workers = workers_of(px)
        template = template_of(px)
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            os.kill(template, number)
        assert parents_of([replace_worker(px, workers[0])]) == {template}


def test_the_template_ends_if_the_supervisor_is_killed(tmp_path: Path) -> None:
    with PxProcess(tmp_path, "--noproxy=*", workers=2) as px:
        family = [template_of(px), *workers_of(px)]
        px.kill()
        until(lambda: not any(map(psutil.pid_exists, family)))


def test_a_process_with_another_thread_starts_workers_as_new_interpreters(tmp_path: Path) -> None:
    with PxProcess(tmp_path, "--noproxy=*", workers=2, program=("-c", f"{_THREAD}; {_MAIN}")) as px:
        assert parents_of(workers_of(px)) == {px.pid}


def test_more_sockets_than_one_message_carries_go_to_new_interpreters(tmp_path: Path) -> None:
    limit = "from px.processes.forks import template; template.MAX_DESCRIPTORS = 2"
    with PxProcess(tmp_path, "--noproxy=*", workers=2, program=("-c", f"{limit}; {_MAIN}")) as px:
        assert parents_of(workers_of(px)) == {px.pid}


def test_an_order_may_be_longer_than_a_socket_holds(tmp_path: Path) -> None:
    hosts = ",".join(f"host{number}.corp.example" for number in range(40_000))
    (tmp_path / "px.ini").write_text(f"[proxy]\nnoproxy = *,{hosts}\n")
    with running_origin() as origin, PxProcess(tmp_path, workers=2) as px:
        workers_of(px)
        assert get(px, origin) == b"ok"


def test_no_fork_keeps_the_launcher_of_a_px_in_the_background(tmp_path: Path) -> None:
    port = free_port()
    done = subprocess.run(
        [sys.executable, "-c", _BACKGROUND, f"--port={port}", "--noproxy=*"],
        cwd=tmp_path,
        env=clean_environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=30,  # the launcher waits until nobody can write to its pipe
        check=True,
    )
    px = PxProcess(tmp_path, port=port)
    try:
        assert done.stdout.startswith("0 Px runs in the background, pid ")
        assert len(workers_of(px)) == 2
    finally:
        assert px.command("--quit").returncode == 0
