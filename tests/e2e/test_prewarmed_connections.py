"""Prewarmed connections to a real Squid whose users are in a real domain."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from px.upstream.prewarmed import MAX_PREWARMED
from tests.corpnet.access_log import AccessLog, LogEntry
from tests.corpnet.network import CorporateNetwork
from tests.px_process import until

from . import exchanges
from .http_client import Client
from .logins import Login, only
from .squid_watch import LOGIN_REQUIRED, bad_passwords

_WAIT_SECONDS = 10.0
_TUNNELS = 6
#: Tunnels that make Px prewarm connections, and the burst that follows.
_BEFORE, _BURST, _AT_ONCE = 24, 30, 6


def open_tunnel(port: int, network: CorporateNetwork) -> None:
    """Open a tunnel, use it, and close it."""
    with Client(port) as client:
        exchanges.open_tunnel(client, network)


def wait_for(log: AccessLog, mark: int, method: str, count: int) -> list[LogEntry]:
    """Wait until Squid has answered this many requests with 200; return all entries until then."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        entries = log.entries_since(mark)
        if sum(entry.method == method and entry.status == 200 for entry in entries) >= count:
            return entries
        assert time.monotonic() < deadline, entries
        time.sleep(0.02)


@pytest.mark.parametrize("login", only("ntlm", "ntlm-tls", "negotiate-no-ticket"))
def test_a_tunnel_uses_a_prewarmed_connection_once_tunnels_are_frequent(
    network: CorporateNetwork, tmp_path: Path, login: Login
) -> None:
    log = login.upstream(network).log
    mark = log.mark()
    with (
        bad_passwords(network, login.account(network)),
        login.running_px(network, tmp_path, "--workers=1") as px,
    ):
        for _ in range(_TUNNELS):
            open_tunnel(px.port, network)
        wait_for(log, mark, "CONNECT", _TUNNELS)
        wait_for(log, mark, "TRACE", 1)
        later = log.mark()
        open_tunnel(px.port, network)
        connects = [entry for entry in wait_for(log, later, "CONNECT", 1) if entry.method == "CONNECT"]
        traces = [entry for entry in log.entries_since(mark) if entry.method == "TRACE"]
    assert [entry.status for entry in connects] == [200]
    assert connects[0].client in {entry.client for entry in traces if entry.status == 200}
    assert all(login.account(network).name in entry.user for entry in traces if entry.status == 200)


def test_px_prewarms_no_connection_for_basic(network: CorporateNetwork, tmp_path: Path) -> None:
    (basic,) = only("basic")
    login = basic.values[0]
    assert isinstance(login, Login)
    log = login.upstream(network).log
    mark = log.mark()
    with login.running_px(network, tmp_path, "--workers=1") as px:
        for _ in range(_TUNNELS):
            open_tunnel(px.port, network)
        entries = wait_for(log, mark, "CONNECT", _TUNNELS)
    assert {entry.method for entry in entries} == {"CONNECT"}
    assert sum(entry.status == LOGIN_REQUIRED for entry in entries) == 1


def test_a_burst_of_tunnels_uses_prewarmed_connections(network: CorporateNetwork, tmp_path: Path) -> None:
    (ntlm,) = only("ntlm")
    login = ntlm.values[0]
    assert isinstance(login, Login)
    log = login.upstream(network).log
    mark = log.mark()
    with (
        bad_passwords(network, login.account(network)),
        login.running_px(network, tmp_path, "--workers=1") as px,
        ThreadPoolExecutor(_AT_ONCE) as clients,
    ):
        list(clients.map(lambda _: open_tunnel(px.port, network), range(_BEFORE)))
        wait_for(log, mark, "CONNECT", _BEFORE)  # Squid logs a tunnel when it ends
        until(lambda: len(unused_connections(log.entries_since(mark))) == MAX_PREWARMED)
        burst = log.mark()
        list(clients.map(lambda _: open_tunnel(px.port, network), range(_BURST)))
        connects = [each for each in wait_for(log, burst, "CONNECT", _BURST) if each.method == "CONNECT"]
        ahead = {each.client for each in log.entries_since(mark) if each.method == "TRACE"}
    opened = [each for each in connects if each.status == 200]
    asked_twice = [each for each in connects if each.status == LOGIN_REQUIRED]
    at_once = [each for each in opened if each.client in ahead]
    assert len(opened) == _BURST
    assert len(at_once) >= MAX_PREWARMED
    assert len(asked_twice) == _BURST - len(at_once)


def unused_connections(entries: list[LogEntry]) -> set[str]:
    """Return the prewarmed connections that no tunnel has used yet."""
    made = {entry.client for entry in entries if entry.method == "TRACE" and entry.status == 200}
    return made - {entry.client for entry in entries if entry.method == "CONNECT"}
