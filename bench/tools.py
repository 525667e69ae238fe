"""The programs that put load on proxies, in C, and how they are built and run."""

from __future__ import annotations

import http.client
import json
import subprocess
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from bench.user import NtlmUser

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build" / "bench"
_SOURCES = {"server": ["server.c", "ntlm.c"], "load": ["load.c"], "upload": ["upload.c"]}
#: Longer than anything that is measured takes, on a busy machine too.
MAX_SECONDS = 300.0


class MeasureError(Exception):
    """Something could not be measured, or what was measured was wrong; the text says what."""


@dataclass(frozen=True)
class Load:
    """The result of one run of a client.

    Attributes:
        done: Answers that were right, to the byte.
        failed: Those that were wrong.
        failure: What was wrong with the first of them.
        seconds: From its first connection to its last answer.
        bytes: Of bodies.
        held: Tunnels open at the end.
        reconnects: Connections that the proxy did not keep alive.
        p50_ms: Median time of an answer.
        p99_ms: Ninety-nine of a hundred took no longer.
    """

    done: int
    failed: int
    failure: str
    seconds: float
    bytes: int = 0
    held: int = 0
    reconnects: int = 0
    p50_ms: float = 0.0
    p99_ms: float = 0.0

    @property
    def per_second(self) -> float:
        """Answers a second."""
        return self.done / self.seconds


def build() -> None:
    """Compile the programs, if their sources are newer.

    Raises:
        MeasureError: There is no compiler, or it fails.
    """
    BUILD.mkdir(parents=True, exist_ok=True)
    directory = Path(__file__).with_name("c")
    newest = max(source.stat().st_mtime for source in directory.iterdir())
    for name, sources in _SOURCES.items():
        program = BUILD / name
        if program.exists() and program.stat().st_mtime > newest:
            continue
        paths = [str(directory / source) for source in sources]
        command = ["gcc", "-O2", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-o", str(program), *paths]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except FileNotFoundError as error:
            raise MeasureError("there is no gcc") from error
        except subprocess.CalledProcessError as error:
            raise MeasureError(f"gcc: {error.stderr}") from error


class Server:
    """A running server.c: an origin, or an upstream.

    Args:
        user: The user that clients must log in as, by NTLM; None: no login.
    """

    def __init__(self, user: NtlmUser | None = None) -> None:
        proof = [] if user is None else [user.key.hex(), user.challenge.hex()]
        command = [str(BUILD / "server"), *proof]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.user = user
        self.port = int(_readline(self._process.stdout))

    def counters(self) -> dict[str, int]:
        """Return the server's counters since its start: see server.c."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request("GET", "/counters", headers={"Connection": "close"})
            counted: dict[str, int] = json.loads(connection.getresponse().read())
        return counted

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def run_load(  # noqa: PLR0913 - the arguments of load.c
    mode: str,
    proxy: int,
    origin: int,
    count: int,
    limit_seconds: float,
    answer_bytes: int = 100,
    *,
    on_warm: Callable[[], None] = lambda: None,
) -> Load:
    """Run load.c to its end; its modes are described there.

    Args:
        mode: Of load.c.
        proxy: Port of the proxy, 0 for none.
        origin: Port of the origin.
        count: Of clients.
        limit_seconds: How long, or how long nothing may move.
        answer_bytes: Size of each answer.
        on_warm: Called when all connections are open and have been used, before the time begins.

    Raises:
        MeasureError: Something that came back was wrong.
    """
    return _check_load(_run(on_warm, "load", mode, proxy, origin, count, limit_seconds, answer_bytes))


def run_check(proxy: int, origin: int, count: int, stall_seconds: float, answer_bytes: int) -> Load:
    """Run `count` streams at once and compare each byte; return the result even if bytes were wrong."""
    return _run(None, "load", "check", proxy, origin, count, stall_seconds, answer_bytes)


def upload(kind: str, proxy: int, origin: int, count: int) -> Load:
    """POST `count` bytes, ``length`` or ``chunked``.

    Raises:
        MeasureError: The origin did not get all of it.
    """
    return _check_load(_run(None, "upload", kind, proxy, origin, count))


class Holder:
    """Opens tunnels and keeps them; a context manager that closes them.

    Args:
        proxy: Port of the proxy.
        origin: Port of the origin.
        most: Tunnels that will be asked for at most.
        stall_seconds: An order ends when nothing has moved for this time.
    """

    def __init__(self, proxy: int, origin: int, most: int, stall_seconds: float) -> None:
        command = [str(BUILD / "load"), "hold", *map(str, (proxy, origin, most, stall_seconds))]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def hold(self, count: int) -> int:
        """Open tunnels up to a total of `count`; return how many are open."""
        return int(self._order(str(count))["held"])

    def ask_all(self) -> int:
        """Get an answer through each; return how many were right."""
        return int(self._order("ask")["done"])

    def _order(self, order: str) -> dict[str, Any]:
        _stream(self._process.stdin).write(order + "\n")
        said: dict[str, Any] = json.loads(_readline(self._process.stdout))
        return said

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        _stream(self._process.stdin).close()
        _stream(self._process.stdout).close()


def _run(on_warm: Callable[[], None] | None, program: str, *arguments: object) -> Load:
    command = [str(BUILD / program), *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        watchdog = threading.Timer(MAX_SECONDS, process.kill)
        watchdog.start()
        try:
            line = _readline(process.stdout)
            if line == "warm\n":
                if on_warm is not None:
                    on_warm()
                _stream(process.stdin).write("go\n")
                _stream(process.stdin).flush()
                line = _readline(process.stdout)
        finally:
            watchdog.cancel()
    said = json.loads(line)
    return Load(**{name: said[name] for name in Load.__dataclass_fields__ if name in said})


def _check_load(load: Load) -> Load:
    if load.failed or not load.done:
        raise MeasureError(f"{load.failed} wrong, {load.done} right: {load.failure or 'no answer'}")
    return load


def _readline(stream: IO[str] | None) -> str:
    line = _stream(stream).readline()
    if not line:
        raise MeasureError("a program of the bench has ended too early")
    return line


def _stream(stream: IO[str] | None) -> IO[str]:
    assert stream is not None  # all are pipes
    return stream
