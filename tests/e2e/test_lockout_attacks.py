"""Attacks that once locked accounts, and the logins that each costs at the domain, Squid or SOCKS server."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil
import pytest

from px.core.login.token_budget import LOST_BEFORE_BLOCK, REFUSALS_BEFORE_BLOCK
from px.upstream.login_gate import MAX_JUST_ACCEPTED_SECONDS
from tests.corpnet.network import CorporateNetwork
from tests.px_process import PxProcess, until

from . import exchanges
from .concurrency import at_once
from .gate import Gate
from .http_client import Answer, Client
from .lockout_runs import note_figure
from .logins import LOGINS
from .squid_watch import Watch, bad_passwords

pytestmark = pytest.mark.lockout

WRONG = "Wr0ng-Secret-5c7d"
_WORKERS = 2
_NTLM = LOGINS["ntlm"]
_CUT_OFF = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset
#: The beginning of an NTLM login's last message in a request.
_LAST_TOKEN = b" TlRMTVNTUAAD"
#: Runs a program that cannot write to any file, neither on disk nor in memory.
_LIMIT = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))"
_WITHOUT_FILES = ("-c", f"{_LIMIT}; from px.cli.main import main; main()")


class VerdictGate(Gate):
    """A relay that withholds the answers to the last messages of NTLM logins from the client.

    Args:
        target_port: The port of the server behind it.
        on_verdict: Called with the client's socket when the server has sent such an answer.

    Attributes:
        verdicts: The number of such answers.
        changed_at: The time of the latest last message or answer to one, in monotonic seconds.
    """

    def __init__(self, target_port: int, on_verdict: Callable[[socket.socket], object]) -> None:
        self._on_verdict = on_verdict
        self._judging: set[socket.socket] = set()
        self.verdicts = 0
        self.changed_at = time.monotonic()
        super().__init__(target_port)

    def is_quiet_for(self, seconds: float) -> bool:
        """Tell whether no login has been on the wire for this time."""
        return not self._judging and time.monotonic() - self.changed_at > seconds

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(262_144):
                if _LAST_TOKEN in data:
                    self._judging.add(sink)
                    self.changed_at = time.monotonic()
                elif source in self._judging:
                    self.verdicts += 1
                    self._on_verdict(sink)
                    self._judging.discard(source)
                    self.changed_at = time.monotonic()
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


def _reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _CUT_OFF)
    client.shutdown(socket.SHUT_RD)  # ends the receiving thread, so that the close takes effect
    client.close()


def _connect(port: int, network: CorporateNetwork, number: int = 0) -> Answer | None:
    """Ask for a tunnel to one of several targets; return None if the worker ended meanwhile."""
    host = ("origin.test", "www.origin.test", "intranet.test")[number % 3]
    with contextlib.suppress(ConnectionError), Client(port) as client:
        return client.connect(f"{host}:{network.origin.port}")
    return None


def _connect_all(px: PxProcess, network: CorporateNetwork, count: int) -> set[int]:
    answers = at_once([partial(_connect, px.port, network, number) for number in range(count)])
    return {answer.status for answer in answers if answer is not None}


@contextmanager
def _px_behind(
    network: CorporateNetwork, directory: Path, gate: Gate, *arguments: str, password: str = WRONG
) -> Iterator[PxProcess]:
    proxied = replace(_NTLM, options=(f"--proxy=localhost:{gate.port}",))
    with proxied.running_px(network, directory, *arguments, PX_PASSWORD=password) as px:
        until(px.worker_pids)
        yield px


@contextmanager
def _px_without_files(network: CorporateNetwork, directory: Path, **secret: str) -> Iterator[PxProcess]:
    environment = {**_NTLM.environment(network, directory), **secret}
    arguments = _NTLM.arguments(network)
    with PxProcess(directory, *arguments, environment=environment, workers=4, program=_WITHOUT_FILES) as px:
        yield px


def _workers_of(px: PxProcess) -> list[int]:
    """Return the ids of the workers: where they are forked, their parent is a process between."""
    parents: dict[int, int] = {}
    for each in psutil.Process(px.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended just now
            parents[each.pid] = each.ppid()
    return [pid for pid in parents if pid not in parents.values()]


def _replace_worker(px: PxProcess) -> None:
    before = _workers_of(px)
    os.kill(before[0], signal.SIGKILL)
    until(lambda: len(_workers_of(px)) == len(before) and before[0] not in _workers_of(px))


def test_each_start_without_a_lockout_record_costs_one_login(
    network: CorporateNetwork, tmp_path: Path
) -> None:
    """No second worker, replacement of a worker or reload adds another login."""
    with bad_passwords(network, _NTLM.account(network), at_least=3, at_most=3):
        for _ in range(3):
            with _px_without_files(network, tmp_path, PX_PASSWORD=WRONG) as px:
                assert _connect_all(px, network, 12) == {502}
                _replace_worker(px)
                assert _connect_all(px, network, 12) == {502}
                os.kill(px.pid, signal.SIGHUP)
                px.wait_for_output("reloaded")
                assert _connect_all(px, network, 12) == {502}
                with Client(px.port) as client:
                    assert "cannot write its record" in client.connect("origin.test:1").text


def test_a_right_password_works_in_all_workers_without_a_lockout_record(
    network: CorporateNetwork, tmp_path: Path
) -> None:
    with (
        bad_passwords(network, _NTLM.account(network)),
        _px_without_files(network, tmp_path) as px,
    ):
        for _ in range(3):
            assert _connect_all(px, network, 24) == {200}
        assert "so Px sends one login that may fail" in px.output


@pytest.mark.parametrize("verdict_seconds", [0.0, 0.6])
def test_a_password_changed_at_the_domain_costs_two_refusals_at_most(
    network: CorporateNetwork, tmp_path: Path, verdict_seconds: float
) -> None:
    """The upstream accepted the old password in each worker a moment before; the verdicts may be slow."""
    user = _NTLM.account(network)
    gate = VerdictGate(_NTLM.upstream(network).port, lambda _: time.sleep(verdict_seconds))
    with gate, _px_behind(network, tmp_path, gate, f"--workers={_WORKERS}", password=user.password) as px:
        until(lambda: len(px.worker_pids()) == _WORKERS)
        assert _connect_all(px, network, 20) == {200}
        until(lambda: gate.is_quiet_for(MAX_JUST_ACCEPTED_SECONDS))  # Px prewarms connections
        network.ad.set_password(user, "Another-5c7d-Secret")
        try:
            with bad_passwords(network, user, at_least=1, at_most=REFUSALS_BEFORE_BLOCK):
                assert _connect_all(px, network, 50) <= {200, 403, 502}
                assert _connect_all(px, network, 10) == {502}
        finally:
            network.ad.set_password(user, user.password)


def test_a_password_changed_while_many_connections_log_in_costs_two_and_one_for_each_worker(
    network: CorporateNetwork, tmp_path: Path
) -> None:
    """Refused are the login without a charge in each worker, and the two that may be charged then."""
    user, ended = _NTLM.account(network), threading.Event()

    def connect_again_and_again(port: int, number: int) -> int:
        while not ended.is_set():
            _connect(port, network, number)
        return number

    with _NTLM.running_px(network, tmp_path, f"--workers={_WORKERS}") as px, ThreadPoolExecutor(20) as pool:
        until(lambda: len(px.worker_pids()) == _WORKERS)
        asked = [pool.submit(connect_again_and_again, px.port, number) for number in range(20)]
        until(lambda: px.status()["counters"]["logins_accepted"] > 20)
        try:
            with bad_passwords(network, user, at_least=1, at_most=_WORKERS + REFUSALS_BEFORE_BLOCK):
                network.ad.set_password(user, "Another-5c7d-Secret")
                until(lambda: any(upstream["blocked"] for upstream in px.status()["upstreams"]))
                ended.set()
                assert sorted(each.result() for each in asked) == list(range(20))
        finally:
            ended.set()
            network.ad.set_password(user, user.password)


def test_workers_killed_during_logins_do_not_lock_the_account(
    network: CorporateNetwork, tmp_path: Path
) -> None:
    held = threading.Event()
    with (
        bad_passwords(network, _NTLM.account(network), at_least=1, at_most=LOST_BEFORE_BLOCK),
        VerdictGate(_NTLM.upstream(network).port, lambda _: held.wait(30)) as gate,
        _px_behind(network, tmp_path, gate, f"--workers={_WORKERS}") as px,
        ThreadPoolExecutor(8) as pool,
    ):
        for _ in range(3):
            until(lambda: len(px.worker_pids()) == _WORKERS)
            seen, asked = gate.verdicts, [pool.submit(_connect, px.port, network) for _ in range(2)]
            until(lambda: gate.verdicts > seen or all(each.done() for each in asked))  # noqa: B023
            for pid in px.worker_pids():
                os.kill(pid, signal.SIGKILL)
            for each in asked:
                each.result()
        held.set()
        assert 1 <= gate.verdicts <= LOST_BEFORE_BLOCK


def test_resets_instead_of_verdicts_do_not_lock_the_account(
    network: CorporateNetwork, tmp_path: Path
) -> None:
    with (
        bad_passwords(network, _NTLM.account(network), at_least=1, at_most=LOST_BEFORE_BLOCK),
        VerdictGate(_NTLM.upstream(network).port, _reset) as gate,
        _px_behind(network, tmp_path, gate, f"--workers={_WORKERS}") as px,
    ):
        for _ in range(3):
            assert _connect_all(px, network, 10) <= {502, 504}


def test_verdicts_after_the_timeout_do_not_lock_the_account(
    network: CorporateNetwork, tmp_path: Path
) -> None:
    with (
        bad_passwords(network, _NTLM.account(network), at_least=1, at_most=LOST_BEFORE_BLOCK),
        VerdictGate(_NTLM.upstream(network).port, lambda _: time.sleep(3)) as gate,
        _px_behind(network, tmp_path, gate, f"--workers={_WORKERS}", "--socktimeout=1") as px,
    ):
        for _ in range(3):
            assert _connect_all(px, network, 10) <= {502, 504}


class SlowSocks:
    """A SOCKS 5 server that refuses each password, but only after the timeout of Px."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listening.getsockname()[1]
        self.passwords = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._refuse, args=(client,), daemon=True).start()

    def _refuse(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError, IndexError), client, client.makefile("rb") as sent:
            sent.read(sent.read(2)[1])  # Px may send the greeting and the login in one piece
            client.sendall(b"\x05\x02")  # choose the method "username and password"
            sent.read(sent.read(2)[1])  # the user name
            self.passwords += sent.read(sent.read(1)[0]) == WRONG.encode()
            time.sleep(self._seconds)
            client.sendall(b"\x01\x01")

    def close(self) -> None:
        """Accept no more connections."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


def test_socks_verdicts_after_the_timeout_do_not_lock_the_account(
    network: CorporateNetwork, tmp_path: Path
) -> None:
    with contextlib.closing(SlowSocks(3)) as socks:
        environment = {"PX_PROXY": f"socks5h://alice:{WRONG}@127.0.0.1:{socks.port}"}
        with PxProcess(tmp_path, "--socktimeout=1", environment=environment, workers=_WORKERS) as px:
            for _ in range(3):
                assert _connect_all(px, network, 10) <= {502, 504}
        note_figure(socks.passwords)
        assert 1 <= socks.passwords <= LOST_BEFORE_BLOCK


class StaleGate(Gate):
    """A relay in front of a proxy that adds "stale=true" to each Digest challenge."""

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(262_144):
                sink.sendall(data.replace(b"stale=false", b"stale=true"))
            sink.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("kind", [Gate, StaleGate], ids=["plain", "stale"])
def test_a_wrong_password_in_digest_does_not_lock_the_account(
    network: CorporateNetwork, tmp_path: Path, kind: type[Gate]
) -> None:
    login = LOGINS["digest"]
    watch = Watch(login.upstream(network))
    with ExitStack() as stack:
        gate = stack.enter_context(kind(login.upstream(network).port))
        proxied = replace(login, options=(f"--proxy=localhost:{gate.port}",))
        for _ in range(2):
            px = stack.enter_context(
                proxied.running_px(network, tmp_path, f"--workers={_WORKERS}", PX_PASSWORD=WRONG)
            )
            for _ in range(2):
                assert _connect_all(px, network, 12) == {502}
        sent = watch.schemes().count("digest")
    note_figure(sent)
    assert 1 <= sent <= REFUSALS_BEFORE_BLOCK
    with login.running_px(network, tmp_path) as px, Client(px.port) as client:
        exchanges.get(client, network)
