"""Several workers at a real upstream share the port, the login gate and the account's login attempts."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.corpnet.network import CorporateNetwork
from tests.px_process import PxProcess, until

from . import exchanges
from .concurrency import at_once
from .exchanges import HOST
from .http_client import Client
from .logins import Login
from .squid_watch import bad_passwords

WRONG = "Wr0ng-Secret-5c7d"
_NTLM = Login("ntlm", "ntlm", 2, 1, "ad.carol", "ADTEST\\{name}")
_MIX = (exchanges.GET, exchanges.POST, exchanges.PUT_MEDIUM_CHUNKED, exchanges.CONNECT, exchanges.CONNECT_TLS)
_CLIENTS = 30
_SECONDS = 20.0


@pytest.fixture
def px(network: CorporateNetwork, tmp_path: Path) -> Iterator[PxProcess]:
    with _NTLM.running_px(network, tmp_path, "--workers=2") as running:
        until(lambda: len(running.worker_pids()) == 2)
        yield running


def _connections(px: PxProcess) -> dict[int, int]:
    """Return the number of clients of each worker, by its process id."""
    return {worker["pid"]: worker["open_connections"] for worker in px.status()["workers"]}


def test_workers_serve_any_mix_of_requests(network: CorporateNetwork, px: PxProcess) -> None:
    def work(number: int) -> None:
        for turn in range(len(_MIX)):
            with Client(px.port) as client:
                _MIX[(number + turn) % len(_MIX)].run(client, network)

    at_once([partial(work, number) for number in range(_CLIENTS)])
    counters = px.status()["counters"]
    assert counters["requests"] == counters["connections"] == _CLIENTS * len(_MIX)
    assert (counters["errors"], counters["logins_refused"]) == (0, 0)
    assert counters["logins_accepted"] >= 2


class _Steady:
    """A client that repeats requests over one connection until the test or Px ends the connection."""

    def __init__(self, client: Client, network: CorporateNetwork) -> None:
        self.is_lost = False
        self.answers = 0
        self._client = client
        self._network = network
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def _ask(self) -> None:
        while not self._stopped.is_set():
            try:
                exchanges.get(self._client, self._network)
            except OSError:
                self.is_lost = True
                return
            self.answers += 1

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(_SECONDS)


def _steady_clients(stack: contextlib.ExitStack, px: PxProcess, network: CorporateNetwork) -> list[_Steady]:
    """Return new clients that have each received an answer."""
    clients = [_Steady(stack.enter_context(Client(px.port)), network) for _ in range(_CLIENTS)]
    until(lambda: all(client.answers for client in clients))
    return clients


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_worker_killed_under_load_loses_only_its_own_clients(
    network: CorporateNetwork, px: PxProcess
) -> None:
    with contextlib.ExitStack() as stack:
        clients: list[_Steady] = []
        before: dict[int, int] = {}
        while not before or 0 in before.values():  # a worker without processor time has no clients yet
            assert len(clients) < 10 * _CLIENTS
            clients += _steady_clients(stack, px, network)
            before = _connections(px)
        killed, count = max(before.items(), key=lambda worker: worker[1])
        assert 0 < count < len(clients)
        os.kill(killed, signal.SIGKILL)
        for _ in range(20):  # while Px replaces the worker
            with Client(px.port) as newcomer:
                exchanges.get(newcomer, network)
        until(lambda: sum(client.is_lost for client in clients) == count)
        others = {client: client.answers for client in clients if not client.is_lost}
        until(lambda: all(client.answers > answers + 5 for client, answers in others.items()))
        until(lambda: len(px.worker_pids()) == 2 and killed not in px.worker_pids())
        for client in clients:
            client.stop()
        assert sum(client.is_lost for client in clients) == count


def test_a_wrong_password_is_tried_twice_at_most_by_all_workers(
    network: CorporateNetwork, tmp_path: Path
) -> None:
    with (
        bad_passwords(network, _NTLM.account(network), at_least=1, at_most=2),
        _NTLM.running_px(network, tmp_path, "--workers=2", PX_PASSWORD=WRONG) as px,
    ):
        until(lambda: len(px.worker_pids()) == 2)

        def ask() -> int:
            with Client(px.port) as client:
                return client.get(network.origin.url("/", HOST)).status

        assert at_once([ask] * 20) == [502] * 20
        assert px.status()["upstreams"][0]["blocked"]
        assert 1 <= px.status()["counters"]["logins_refused"] <= 2
