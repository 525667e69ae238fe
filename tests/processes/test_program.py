"""Commands to a running Px, the callers that it obeys, and other ways in which Px ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from px.core.message_line import format_line
from px.system.state.control_socket import connect_control
from tests.e2e.peers import read_all
from tests.loopback import loopback_places
from tests.px_process import PxProcess, until

from .origin import Client, Origin, get, running_origin
from .test_processes import are_ready, for_one_and_two, posix_only

_SECONDS = 15.0


@pytest.fixture
def origin() -> Iterator[Origin]:
    with running_origin() as running:
        yield running


def record(px: PxProcess) -> dict[str, Any]:
    """Return the record of the running Px: its address and its token."""
    (path,) = px.directory.rglob(f"px-{px.port}.json")
    stored: dict[str, Any] = json.loads(path.read_text())
    return stored


def say(address: int | str, data: bytes) -> bytes:
    """Send some bytes to a port or a Unix socket; return all bytes that come back, none after a reset."""
    with connect_control(address, _SECONDS) as sock:
        try:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            return read_all(sock)
        except ConnectionError:
            return b""


def test_no_web_page_can_end_px(tmp_path: Path, origin: Origin) -> None:
    with PxProcess(tmp_path, "--noproxy=*", workers=2) as px:
        for port, host in ((px.port, f"127.0.0.1:{px.port}"), (record(px)["control_port"], "evil.example")):
            for method, path in (("GET", "/PxQuit"), ("POST", "/quit"), ("POST", "/")):
                body = '{"do":"quit","token":""}\n'
                said = say(
                    port,
                    f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://evil.example\r\n"
                    f"Content-Length: {len(body)}\r\n\r\n{body}".encode(),
                )
                assert said.startswith(b"HTTP/1.1 403 ") if port == px.port else said == b""
        assert get(px, origin) == b"ok"
        assert px.status()["pid"] == px.pid


def test_px_obeys_only_a_caller_with_the_token(tmp_path: Path) -> None:
    with PxProcess(tmp_path, "--noproxy=*") as px:
        known = record(px)
        for token in ("", known["token"][:-1], known["token"].swapcase()):
            assert say(known["control_port"], format_line({"do": "quit", "token": token})) == b""
        assert px.status()["pid"] == px.pid
        said = json.loads(say(known["control_port"], format_line({"do": "quit", "token": known["token"]})))
        assert said == {"pid": px.pid}
        assert px.wait() == 0


@posix_only
def test_no_other_user_can_read_the_record_of_the_running_px(tmp_path: Path) -> None:
    with PxProcess(tmp_path, "--noproxy=*") as px:
        files = list(tmp_path.rglob(f"px-{px.port}.*"))
        assert {path.suffix for path in files} == {".lock", ".json"}
        for path in files:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert record(px)["token"] not in px.output
        arguments = Path(f"/proc/{px.pid}/cmdline")
        if arguments.exists():
            assert record(px)["token"] not in arguments.read_text()
    assert list(tmp_path.rglob("px-*.json")) == []


@for_one_and_two
def test_status_shows_the_counters_of_px(tmp_path: Path, origin: Origin, workers: int) -> None:
    flags = (f"--proxy=127.0.0.1:{origin.port},127.0.0.1:1", "--username=CORP\\alice")
    with (
        PxProcess(tmp_path, *flags, workers=workers, environment={"PX_PASSWORD": "s3cret"}) as px,
        Client(px.port, origin) as client,
    ):
        assert [client.get() for _ in range(3)] == [b"ok"] * 3
        status = px.status()
        assert (status["pid"], status["listen"]) == (px.pid, loopback_places(px.port))
        assert status["is_running"] is True
        assert status["open_connections"] == 1
        counters = status["counters"]
        assert (counters["connections"], counters["requests"], counters["errors"]) == (1, 3, 0)
        assert counters["sent_bytes"] > 3 * len("HTTP/1.1 200 OK")
        states = [(upstream["state"], upstream["identity"]) for upstream in status["upstreams"]]
        assert states == [("in use", "CORP\\alice"), ("ready", "CORP\\alice")]
        text = px.command("--status").stdout
        assert f"upstream    http://127.0.0.1:{origin.port} in use" in text
        assert "s3cret" not in text + json.dumps(status)


def test_a_px_that_drains_tells_its_status_and_refuses_a_reload(tmp_path: Path, origin: Origin) -> None:
    with PxProcess(tmp_path, "--noproxy=*") as px, Client(px.port, origin) as client:
        client.ask("/held")
        with px.start_command("--quit") as quitting:
            px.wait_for_output("Px ends; what is under way")
            assert px.status()["listen"] == loopback_places(px.port)
            assert "not reloaded: Px is ending" in px.command("--reload").stderr
            origin.release()
            assert "has ended" in quitting.communicate(timeout=_SECONDS)[0]


@posix_only
def test_counters_outlive_their_worker(tmp_path: Path, origin: Origin) -> None:
    (tmp_path / "px.ini").write_text("[proxy]\nnoproxy = *\n")
    with PxProcess(tmp_path, workers=2) as px:
        assert [get(px, origin) for _ in range(5)] == [b"ok"] * 5
        assert px.command("--reload").returncode == 0
        until(lambda: len(px.status()["workers"]) == 2)
        assert px.status()["counters"]["requests"] == 5


def test_status_without_a_running_px_exits_with_3(tmp_path: Path) -> None:
    px = PxProcess(tmp_path)
    for action in ("--status", "--reload", "--quit"):
        done = px.command(action)
        assert (done.returncode, done.stdout) == (3, "")
        assert done.stderr == f"px: Px is not running on port {px.port}\n"


@pytest.mark.parametrize(
    ("flags", "ini", "code", "is_running"),
    [
        ([], "", 3, False),
        (["--port=x"], "", 2, None),
        ([], "port = x", 2, None),
        (["--nonsense"], "", 2, None),
    ],
)
def test_status_without_a_running_px_prints_json_for_programs(
    tmp_path: Path, flags: list[str], ini: str, code: int, is_running: bool | None
) -> None:
    px = PxProcess(tmp_path)
    (tmp_path / "px.ini").write_text(f"[proxy]\n{ini}\n")
    done = px.command("--status", "--json", *flags, names_port=not ini and not flags)
    status = json.loads(done.stdout)
    assert (done.returncode, status["exit_code"], status["is_running"]) == (code, code, is_running)
    assert done.stderr == f"px: {status['error']}\n"


def test_quit_works_with_an_unreadable_px_ini(tmp_path: Path) -> None:
    with PxProcess(tmp_path, "--noproxy=*") as px:
        (tmp_path / "px.ini").write_text(f"[proxy]\nport = {px.port}\nidle = soon\nnonsense = 1\n")
        done = px.command("--quit", names_port=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert px.wait() == 0


@posix_only
def test_px_obeys_commands_even_if_its_state_directory_cannot_be_written(
    tmp_path: Path, origin: Origin
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "temporary").mkdir()
    nowhere = {"XDG_STATE_HOME": str(tmp_path / "file"), "TMPDIR": str(tmp_path / "temporary")}
    with PxProcess(tmp_path, "--noproxy=*", workers=2, environment=nowhere) as px:
        assert get(px, origin) == b"ok"
        assert px.command("--quit").returncode == 0
        assert px.wait() == 0


@posix_only
def test_the_error_names_a_px_that_does_not_answer(tmp_path: Path) -> None:
    with PxProcess(tmp_path, "--noproxy=*") as px:
        os.kill(px.pid, signal.SIGSTOP)
        try:
            done = px.command("--status")
        finally:
            os.kill(px.pid, signal.SIGCONT)
        assert done.returncode == 1
        assert f"Px, pid {px.pid}, has port {px.port} and does not answer" in done.stderr


@posix_only
def test_px_ends_with_its_terminal(tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    px = PxProcess(tmp_path, "--noproxy=*", workers=2, stdin=theirs).start()
    os.close(theirs)
    until(lambda: are_ready(px, 2))
    os.close(ours)  # this closes the terminal's window
    os.kill(px.pid, signal.SIGHUP)
    assert px.wait() == 0
    assert px.stop() == 0


# A binary: a script that claims to be frozen and is started like a binary.

_BINARY = f"""\
#!{sys.executable}
import sys
sys.frozen, sys.executable = True, __file__
from px.cli.main import main
main()
"""


class Binary:
    """A frozen Px, and its private directory."""

    def __init__(self, directory: Path) -> None:
        self.px = PxProcess(directory)
        self.path = directory / "px"
        self.path.write_text(_BINARY)
        self.path.chmod(0o700)

    def run(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run it as a person would, until the prompt returns."""
        return subprocess.run(
            [str(self.path), f"--port={self.px.port}", *arguments],
            cwd=self.px.directory,
            env={**self.px.environment, **environ},
            capture_output=True,
            text=True,
            timeout=_SECONDS * 2,
            check=False,
        )


@posix_only
@pytest.mark.parametrize("workers", [1, 2])
def test_a_binary_returns_to_the_prompt_when_px_listens(tmp_path: Path, origin: Origin, workers: int) -> None:
    binary = Binary(tmp_path)
    done = binary.run("--noproxy=*", f"--workers={workers}")
    pid = binary.px.status()["pid"]
    places = loopback_places(binary.px.port)
    try:
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == (
            f"Px runs in the background, pid {pid}, and listens on {', '.join(places)} for this"
            " computer. Upstream: none, direct connections only."
            f" px --quit --port={binary.px.port} ends it.\n"
        )
        assert get(binary.px, origin) == b"ok"
        assert os.getsid(pid) == pid  # not the process group of a terminal
    finally:
        assert binary.run("--quit").stdout == f"Px, pid {pid}, has ended.\n"


@posix_only
def test_a_binary_that_cannot_listen_reports_that_before_the_prompt(tmp_path: Path) -> None:
    binary = Binary(tmp_path)
    with socket.create_server(("127.0.0.1", binary.px.port)):
        done = binary.run("--noproxy=*", "--gateway")
        assert (done.returncode, done.stdout) == (5, "")
        warning, failure = done.stderr.splitlines()
        assert "warning" in warning
        assert failure.startswith(f"px: port {binary.px.port} on 0.0.0.0 is in use")
    done = binary.run("--noproxy=*", "--idle=soon")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


@posix_only
def test_restart_of_a_binary_returns_to_the_prompt(tmp_path: Path, origin: Origin) -> None:
    binary = Binary(tmp_path)
    pids = []
    for number in range(2):
        done = binary.run("--restart", "--noproxy=*", f"--useragent={number}")
        assert (done.returncode, done.stderr) == (0, "")
        pids.append(binary.px.status()["pid"])
        assert get(binary.px, origin) == b"ok"
        assert f"User-Agent: {number}".encode() in origin.heads[-1]
        assert len(pids) == 1 or f"Px, pid {pids[0]}, has ended.\n" in done.stdout
    assert binary.run("--quit").returncode == 0


@posix_only
def test_restart_without_flags_keeps_a_px_in_the_background(tmp_path: Path, origin: Origin) -> None:
    binary = Binary(tmp_path)
    assert binary.run("--noproxy=*", "--useragent=kept").returncode == 0
    first = binary.px.status()["pid"]
    done = binary.px.command("--restart")  # started by a program that would stay at the console itself
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Px, pid {first}, has ended.\nPx runs in the background, pid " in done.stdout
    assert get(binary.px, origin) == b"ok"
    assert b"User-Agent: kept" in origin.heads[-1]
    assert binary.run("--quit").returncode == 0


@posix_only
@pytest.mark.shows("--foreground")
@pytest.mark.parametrize(
    ("flags", "environ"),
    [(["--foreground"], {}), (["--verbose"], {}), ([], {"INVOCATION_ID": "1f"})],
    ids=["foreground", "verbose", "service manager"],
)
def test_a_binary_stays_in_the_foreground_on_request(
    tmp_path: Path, origin: Origin, flags: list[str], environ: dict[str, str]
) -> None:
    binary = Binary(tmp_path)
    with PxProcess(
        tmp_path, "--noproxy=*", *flags, program=(str(binary.path),), environment=environ, workers=2
    ) as px:
        assert get(px, origin) == b"ok"
        assert px.status()["pid"] == px.pid
