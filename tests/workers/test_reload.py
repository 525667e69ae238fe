"""Reload: another configuration for the next request, and nothing lost of the last."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.free_ports import free_port
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
    """Return what the last request said."""
    lines = origin.heads[-1].decode().split("\r\n")
    return next(line.removeprefix("User-Agent: ") for line in lines if line.startswith("User-Agent: "))


@for_one_and_two
def test_reload_takes_a_changed_px_ini_and_drops_neither_tunnel_nor_request(
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


@for_one_and_two
def test_a_stop_bounds_what_a_reload_has_left_running(tmp_path: Path, origin: Origin, workers: int) -> None:
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
        assert px.status()["listen"] == [f"127.0.0.1:{other}"]
        assert px.command("--status", f"--port={old}").returncode == 3


@pytest.mark.skipif(sys.platform == "win32", reason="there the two addresses cannot meet on one port")
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
        assert px.status()["listen"] == [f"127.0.0.1:{px.port}"]
        assert get(px, origin) == b"ok"
        tunnel.echo(b"still here")


def test_reload_changes_the_upstream_and_what_goes_around_it(tmp_path: Path, origin: Origin) -> None:
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
def test_a_configuration_that_cannot_work_changes_nothing(
    tmp_path: Path, origin: Origin, workers: int
) -> None:
    write_ini(tmp_path, "noproxy = *", "useragent = old")
    with PxProcess(tmp_path, workers=workers) as px:
        before = px.worker_pids()
        for lines, reason in (
            (["noproxy = *", "[settings]", "idle = soon"], "idle=soon"),
            ([], "no upstream proxy is known"),
            (["noproxy = *", "listen = 192.0.2.1"], "--listen=192.0.2.1: cannot listen there"),
            ([f"server = localhost:{px.port}"], "that is where this Px itself listens"),
        ):
            write_ini(tmp_path, *lines)
            done = px.command("--reload")
            assert (done.returncode, done.stdout) == (2, "")
            assert done.stderr.startswith("px: not reloaded: ")
            assert reason in done.stderr
        assert get(px, origin) == b"ok"
        assert user_agent(origin) == "old"
        assert px.worker_pids() == before


def test_workers_that_cannot_begin_leave_the_old_ones_at_work(tmp_path: Path, origin: Origin) -> None:
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


def test_a_port_of_somebody_else_is_not_moved_to(tmp_path: Path, origin: Origin) -> None:
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


@posix_only
def test_the_signal_hup_reloads(tmp_path: Path, origin: Origin) -> None:
    write_ini(tmp_path, "noproxy = *", "useragent = old")
    with PxProcess(tmp_path, workers=2) as px:
        until(lambda: are_ready(px, 2))
        before = px.worker_pids()
        write_ini(tmp_path, "noproxy = *", "useragent = new")
        for pid in (px.pid, *before):  # as a terminal does, to all
            os.kill(pid, signal.SIGHUP)
        until(lambda: not set(before) & set(px.worker_pids()))
        assert get(px, origin) == b"ok"
        assert user_agent(origin) == "new"


def test_flags_that_a_reload_does_not_take_are_named(tmp_path: Path) -> None:
    write_ini(tmp_path, "noproxy = *")
    with PxProcess(tmp_path) as px:
        done = px.command("--reload", "--useragent=x", "--idle=7")
        assert done.returncode == 0
        assert done.stderr == (
            "px: warning: --useragent, --idle: --reload takes no new flags; --restart does\n"
        )


def test_reload_says_what_a_start_would_warn_of(tmp_path: Path) -> None:
    write_ini(tmp_path, "noproxy = *")
    with PxProcess(tmp_path) as px:
        write_ini(tmp_path, "noproxy = *", "prot = 1")
        done = px.command("--reload")
        assert done.returncode == 0
        assert "unknown key [proxy] prot" in done.stderr
