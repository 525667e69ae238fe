"""Who may steer a Px, and what else ends it."""

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
from tests.e2e.peers import read_all
from tests.px_process import PxProcess, until

from .origin import Client, Origin, get, running_origin
from .test_processes import are_ready, for_one_and_two, posix_only

_SECONDS = 15.0


@pytest.fixture
def origin() -> Iterator[Origin]:
    with running_origin() as running:
        yield running


def record(px: PxProcess) -> dict[str, Any]:
    """Return what Px has left of itself for those who want to speak to it."""
    (path,) = px.directory.rglob(f"px-{px.port}.json")
    stored: dict[str, Any] = json.loads(path.read_text())
    return stored


def say(port: int, data: bytes) -> bytes:
    """Return all that comes for some bytes; a reset is nothing, too."""
    with socket.create_connection(("127.0.0.1", port), _SECONDS) as sock:
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
                assert said.startswith(b"HTTP/1.1 400 ") if port == px.port else said == b""
        assert get(px, origin) == b"ok"
        assert px.status()["pid"] == px.pid


def test_only_who_has_the_token_is_obeyed(tmp_path: Path) -> None:
    with PxProcess(tmp_path, "--noproxy=*") as px:
        known = record(px)
        for token in ("", known["token"][:-1], known["token"].swapcase()):
            assert say(known["control_port"], format_line({"do": "quit", "token": token})) == b""
        assert px.status()["pid"] == px.pid
        said = json.loads(say(known["control_port"], format_line({"do": "quit", "token": known["token"]})))
        assert said == {"pid": px.pid}
        assert px.wait() == 0


@posix_only
def test_no_other_user_can_read_how_to_steer_px(tmp_path: Path) -> None:
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
def test_status_tells_what_px_has_done(tmp_path: Path, origin: Origin, workers: int) -> None:
    flags = (f"--proxy=127.0.0.1:{origin.port},127.0.0.1:1", "--username=CORP\\alice")
    with (
        PxProcess(tmp_path, *flags, workers=workers, environment={"PX_PASSWORD": "s3cret"}) as px,
        Client(px.port, origin) as client,
    ):
        assert [client.get() for _ in range(3)] == [b"ok"] * 3
        status = px.status()
        assert (status["pid"], status["listen"]) == (px.pid, [f"127.0.0.1:{px.port}"])
        assert status["open_connections"] == 1
        counters = status["counters"]
        assert (counters["connections"], counters["requests"], counters["errors"]) == (1, 3, 0)
        assert counters["sent_bytes"] > 3 * len("HTTP/1.1 200 OK")
        states = [(upstream["state"], upstream["identity"]) for upstream in status["upstreams"]]
        assert states == [("in use", "CORP\\alice"), ("ready", "CORP\\alice")]
        text = px.command("--status").stdout
        assert f"upstream    http://127.0.0.1:{origin.port} in use" in text
        assert "s3cret" not in text + json.dumps(status)


@posix_only
def test_counters_outlive_the_worker_that_counted(tmp_path: Path, origin: Origin) -> None:
    (tmp_path / "px.ini").write_text("[proxy]\nnoproxy = *\n")
    with PxProcess(tmp_path, workers=2) as px:
        assert [get(px, origin) for _ in range(5)] == [b"ok"] * 5
        assert px.command("--reload").returncode == 0
        until(lambda: len(px.status()["workers"]) == 2)
        assert px.status()["counters"]["requests"] == 5


def test_status_of_no_px_is_exit_3(tmp_path: Path) -> None:
    px = PxProcess(tmp_path)
    for action in ("--status", "--reload", "--quit"):
        done = px.command(action)
        assert (done.returncode, done.stdout) == (3, "")
        assert done.stderr == f"px: Px is not running on port {px.port}\n"


def test_a_px_ini_that_cannot_be_read_keeps_nobody_from_quitting(tmp_path: Path) -> None:
    with PxProcess(tmp_path, "--noproxy=*") as px:
        (tmp_path / "px.ini").write_text(f"[proxy]\nport = {px.port}\nidle = soon\nnonsense = 1\n")
        done = px.command("--quit", names_port=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert px.wait() == 0


@posix_only
def test_px_can_be_steered_where_its_state_directory_cannot_be_written(
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
def test_a_px_that_does_not_get_on_is_named(tmp_path: Path) -> None:
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
    os.close(ours)  # the window is closed
    os.kill(px.pid, signal.SIGHUP)
    assert px.wait() == 0
    assert px.stop() == 0


# A binary: a script that says it is one, and is started as one.

_BINARY = f"""\
#!{sys.executable}
import sys
sys.frozen, sys.executable = True, __file__
from px.cli import main
main()
"""


class Binary:
    """A Px that was frozen, and its private directory."""

    def __init__(self, directory: Path) -> None:
        self.px = PxProcess(directory)
        self.path = directory / "px"
        self.path.write_text(_BINARY)
        self.path.chmod(0o700)

    def run(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run it as a person does, until there is a prompt again."""
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
def test_a_binary_gives_the_prompt_back_when_px_listens(tmp_path: Path, origin: Origin, workers: int) -> None:
    binary = Binary(tmp_path)
    done = binary.run("--noproxy=*", f"--workers={workers}")
    pid = binary.px.status()["pid"]
    try:
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == (
            f"Px runs in the background, pid {pid}, and listens on 127.0.0.1:{binary.px.port} for this"
            " computer. Upstream: none, direct connections only. px --quit ends it.\n"
        )
        assert get(binary.px, origin) == b"ok"
        assert os.getsid(pid) == pid  # no terminal's
    finally:
        assert binary.run("--quit").stdout == f"Px, pid {pid}, has ended.\n"


@posix_only
def test_a_binary_that_cannot_listen_says_so_before_the_prompt(tmp_path: Path) -> None:
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
def test_restart_of_a_binary_gives_the_prompt_back(tmp_path: Path, origin: Origin) -> None:
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
@pytest.mark.shows("--foreground")
@pytest.mark.parametrize(
    ("flags", "environ"),
    [(["--foreground"], {}), (["--verbose"], {}), ([], {"INVOCATION_ID": "1f"})],
    ids=["foreground", "verbose", "service manager"],
)
def test_a_binary_stays_where_it_is_if_that_is_wanted(
    tmp_path: Path, origin: Origin, flags: list[str], environ: dict[str, str]
) -> None:
    binary = Binary(tmp_path)
    with PxProcess(
        tmp_path, "--noproxy=*", *flags, program=(str(binary.path),), environment=environ, workers=2
    ) as px:
        assert get(px, origin) == b"ok"
        assert px.status()["pid"] == px.pid
