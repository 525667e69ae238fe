"""The proxies that are compared, each a process started in its own directory.

A peer makes its command line; a route says where the peer sends its requests:

    direct  to the origin itself
    open    to an upstream that lets everybody in
    ntlm    to an upstream that wants NTLMv2
"""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from bench import process_cost
from bench.tools import BUILD, MeasureError, Server

DIRECT, OPEN, NTLM = "direct", "open", "ntlm"
PX, ORIGINAL, CNTLM, SQUID, TINYPROXY, GO = "Px", "original px", "cntlm", "squid", "tinyproxy", "Go net/http"
#: No proxy at all.
NONE = "no proxy"

START_SECONDS = 20.0


@dataclass(frozen=True)
class Place:
    """Where one peer runs.

    Attributes:
        directory: Its own; gone afterwards.
        port: To listen on, at 127.0.0.1.
        upstream: Where it sends everything; None: to the origins.
    """

    directory: Path
    port: int
    upstream: Server | None

    def write(self, name: str, text: str) -> str:
        """Write a file of the peer's and return its path."""
        path = self.directory / name
        path.write_text(text)
        path.chmod(0o600)
        return str(path)


@dataclass(frozen=True)
class Peer:
    """A proxy.

    Attributes:
        program: The file that exists if the peer is installed.
        routes: The routes that it can use.
        command: Makes its command line, and what that refers to.
        environment: Variables it needs, beside a bare environment.
    """

    program: Path
    routes: frozenset[str]
    command: Callable[[Place], Sequence[str]]
    environment: Callable[[Place], Mapping[str, str]] = field(default=lambda _: {})

    @property
    def exists(self) -> bool:
        """Whether it is installed."""
        return self.program.exists()


class Running:
    """A peer that listens; a context manager that ends it.

    Args:
        peer: What to start.
        place: Where.
        options: Put behind its command line.
        environment: More variables.
    """

    def __init__(
        self,
        peer: Peer,
        place: Place,
        options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.port = place.port
        self._log = place.directory / "output.log"
        command = [*peer.command(place), *options]
        variables = {**_environment(place.directory), **peer.environment(place), **(environment or {})}
        self._directory, self._variables = place.directory, variables
        self._began = time.perf_counter()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=place.directory,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.seconds_to_listen = self._wait()

    @property
    def pid(self) -> int:
        """Id of its first process."""
        return self._process.pid

    def _wait(self) -> float:
        while time.perf_counter() - self._began < START_SECONDS and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
            except OSError:
                time.sleep(0.001)
            else:
                return time.perf_counter() - self._began
        self.stop()
        raise MeasureError(f"{self._process.args!r} does not listen: {self._log.read_text()[-500:]}")

    def seconds_to_answer(self) -> float:
        """Send a request; return the seconds from the start to the first byte of an answer, or to its end."""
        with socket.create_connection(("127.0.0.1", self.port), START_SECONDS) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            client.recv(1)
            return time.perf_counter() - self._began

    def command(self, *arguments: str) -> str:
        """Run another ``px`` with the same port and environment, and return its output."""
        command = [sys.executable, "-m", "px", f"--port={self.port}", *arguments]
        done = subprocess.run(
            command, cwd=self._directory, env=self._variables, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise MeasureError(f"{arguments}: {done.stderr}")
        return done.stdout

    def cpu_seconds(self) -> float:
        """CPU time used so far."""
        return process_cost.cpu_seconds(self.pid)

    def memory(self) -> process_cost.Memory:
        """Memory now."""
        return process_cost.memory(self.pid)

    def stop(self) -> None:
        """End it."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def best_route(peer: Peer, route: str) -> str:
    """Return the route itself if the peer can use it, else the route to an open upstream."""
    return route if route in peer.routes else OPEN


def free_port() -> int:
    """Return a free port of 127.0.0.1."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _environment(directory: Path) -> dict[str, str]:
    """Return an environment without the user's own settings."""
    names = ("PATH", "LANG", "LD_LIBRARY_PATH")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    state = {"XDG_STATE_HOME": str(directory / "state"), "XDG_CONFIG_HOME": str(directory / "config")}
    return {**kept, **state, "HOME": str(directory)}


def _px_options(place: Place) -> list[str]:
    """Return the options that the original Px and this one share."""
    if place.upstream is None:
        return [f"--port={place.port}", "--noproxy=*.*.*.*"]
    options = [f"--port={place.port}", f"--proxy=127.0.0.1:{place.upstream.port}"]
    if place.upstream.user is None:
        return [*options, "--auth=NONE"]
    user = place.upstream.user
    return [*options, "--auth=NTLM", f"--username={user.domain}\\{user.name}"]


def _px(place: Place) -> list[str]:
    return [sys.executable, "-m", "px", *_px_options(place), "--workers=1"]


def _original_px(place: Place) -> list[str]:
    return [str(BUILD / "original-px" / "bin" / "px"), *_px_options(place), "--workers=1"]


def _px_password(place: Place) -> dict[str, str]:
    upstream = place.upstream
    if upstream is None or upstream.user is None:
        return {}
    return {"PX_PASSWORD": upstream.user.password}


def _cntlm(place: Place) -> list[str]:
    upstream = place.upstream
    user = upstream.user if upstream else None
    lines = [
        f"Listen 127.0.0.1:{place.port}",
        f"Proxy 127.0.0.1:{upstream.port if upstream else 9}",
        f"Username {user.name if user else 'nobody'}",
        f"Domain {user.domain if user else 'NONE'}",
        f"Password {user.password if user else 'none'}",
        "Auth NTLMv2",
        *([] if upstream else ["NoProxy *"]),
    ]
    return [str(_CNTLM), "-f", "-c", place.write("cntlm.conf", "\n".join(lines) + "\n")]


def _squid(place: Place) -> list[str]:
    lines = [
        f"http_port 127.0.0.1:{place.port}",
        "http_access allow all",
        "cache deny all",
        "access_log none",
        f"cache_log {place.directory}/cache.log",
        f"pid_filename {place.directory}/squid.pid",
        f"coredump_dir {place.directory}",
        "visible_hostname bench.invalid",
        "pinger_enable off",
        "netdb_filename none",
        "shutdown_lifetime 0 seconds",
        "max_filedescriptors 20000",
        "dns_nameservers 127.0.0.1",
    ]
    if place.upstream is not None:
        lines += [
            f"cache_peer 127.0.0.1 parent {place.upstream.port} 0 no-query default",
            "never_direct allow all",
        ]
    configuration = place.write("squid.conf", "\n".join(lines) + "\n")
    if os.geteuid() == 0:  # then it makes itself an account of its own
        account = pwd.getpwnam("proxy")
        for path in (place.directory, Path(configuration)):
            os.chown(path, account.pw_uid, account.pw_gid)
    return [str(_SQUID), "-N", "-n", f"bench{place.port}", "-f", configuration]


def _tinyproxy(place: Place) -> list[str]:
    lines = [
        f"Port {place.port}",
        "Listen 127.0.0.1",
        "Timeout 600",
        "MaxClients 10000",
        "LogLevel Critical",
        f'LogFile "{place.directory}/tinyproxy.log"',
        *([f"Upstream http 127.0.0.1:{place.upstream.port}"] if place.upstream else []),
    ]
    return [str(_TINYPROXY), "-d", "-c", place.write("tinyproxy.conf", "\n".join(lines) + "\n")]


def _go(place: Place) -> list[str]:
    upstream = [str(place.upstream.port)] if place.upstream else []
    return [str(BUILD / "relay"), str(place.port), *upstream]


_CNTLM = BUILD / "debian" / "usr" / "sbin" / "cntlm"
_TINYPROXY = BUILD / "debian" / "usr" / "bin" / "tinyproxy"
_SQUID = Path("/usr/sbin/squid")

_WITHOUT_LOGIN = frozenset((DIRECT, OPEN))
PEERS = {
    PX: Peer(Path(sys.executable), frozenset((DIRECT, OPEN, NTLM)), _px, _px_password),
    ORIGINAL: Peer(
        BUILD / "original-px" / "bin" / "px", frozenset((DIRECT, NTLM)), _original_px, _px_password
    ),
    CNTLM: Peer(_CNTLM, frozenset((DIRECT, NTLM)), _cntlm),
    SQUID: Peer(_SQUID, _WITHOUT_LOGIN, _squid),
    TINYPROXY: Peer(_TINYPROXY, _WITHOUT_LOGIN, _tinyproxy),
    GO: Peer(BUILD / "relay", _WITHOUT_LOGIN, _go),
}
