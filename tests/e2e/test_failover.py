"""Several upstreams: Px stays with one that works, and uses another when that one fails."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.corpnet.network import CorporateNetwork
from tests.corpnet.ports import reserved_ports
from tests.io.silent import Silent
from tests.px_process import PxProcess, until

from . import exchanges
from .exchanges import HOST, Exchange
from .gate import Gate
from .http_client import Body, Client

_DEADLINE_SECONDS = 15.0


@contextmanager
def _px(
    network: CorporateNetwork, directory: Path, *upstreams: int | str, socktimeout: float = 2
) -> Iterator[PxProcess]:
    """Yield a Px with these upstreams (ports or host names), at which bob logs in by NTLM."""
    bob = network.ad.bob
    proxies = ",".join(each if isinstance(each, str) else f"127.0.0.1:{each}" for each in upstreams)
    options = (f"--username=ADTEST\\{bob.name}", f"--socktimeout={socktimeout}", "--verbose")
    environment = {"PX_PASSWORD": bob.password}
    with PxProcess(directory, f"--proxy={proxies}", *options, environment=environment) as px:
        yield px


def _get(px: PxProcess, network: CorporateNetwork) -> None:
    with Client(px.port) as client:
        exchanges.get(client, network)


@pytest.mark.parametrize(
    "exchange",
    [
        pytest.param(exchanges.GET, id="GET"),
        pytest.param(exchanges.POST, id="POST"),
        pytest.param(exchanges.PUT_MEDIUM, id="PUT"),
        pytest.param(exchanges.CONNECT, id="CONNECT"),
    ],
)
@pytest.mark.shows("--proxy")
def test_px_skips_a_dead_upstream(network: CorporateNetwork, tmp_path: Path, exchange: Exchange) -> None:
    with reserved_ports(1) as (dead,), _px(network, tmp_path, dead, network.ntlm.port) as px:
        with Client(px.port) as client:
            exchange.run(client, network)
        _get(px, network)


@pytest.mark.shows("--proxy")
def test_px_skips_a_silent_upstream_long_before_the_timeout(
    network: CorporateNetwork, tmp_path: Path
) -> None:
    with (
        Silent() as hole,
        _px(network, tmp_path, hole.authority, network.ntlm.port, socktimeout=12) as px,
    ):
        started = time.monotonic()
        with Client(px.port) as client:
            exchanges.open_tunnel(client, network)
        _get(px, network)
        assert 0.9 < time.monotonic() - started < 6
        assert f"http://{hole.authority} does not answer yet" in px.output


@pytest.mark.shows("--proxy")
def test_px_stays_with_a_working_upstream_until_it_fails(network: CorporateNetwork, tmp_path: Path) -> None:
    with (
        Gate(network.ntlm.port) as first,
        Gate(network.ntlm.port) as second,
        _px(network, tmp_path, first.port, second.port) as px,
    ):
        _get(px, network)
        assert (first.connections > 0, second.connections) == (True, 0)
        first.shut()
        _get(px, network)
        _get(px, network)
        assert second.connections > 0
        before = first.connections
        first.open()
        px.wait_for_output(f"127.0.0.1:{first.port} accepts connections again")
        until(lambda: first.connections > before)  # the gate accepts the connection a moment after the system
        before = first.connections
        with Client(px.port) as client:
            exchanges.open_tunnel(client, network)
        _get(px, network)
        assert first.connections == before, "the one that works was left"
        second.shut()
        _get(px, network)
        assert first.connections > before


def test_an_upstream_that_fails_during_an_answer_breaks_only_that_answer(
    network: CorporateNetwork, tmp_path: Path
) -> None:
    with (
        Gate(network.ntlm.port) as first,
        Gate(network.ntlm.port) as second,
        _px(network, tmp_path, first.port, second.port) as px,
        ThreadPoolExecutor(1) as pool,
        Client(px.port) as client,
    ):
        _get(px, network)
        client.send_head("GET", network.origin.url("/bytes/2000000000", HOST))
        assert client.read_head().status == 200
        client.reader.read(1_000_000)
        first.shut()
        rest = pool.submit(_read_rest, client)
        _get(px, network)
        assert rest.result(_DEADLINE_SECONDS) < 1_900_000_000
        assert second.connections > 0


def _read_rest(client: Client) -> int:
    """Read until the connection closes or breaks; return the number of bytes."""
    count = 0
    try:
        while piece := client.reader.read(1 << 20):
            count += len(piece)
    except ConnectionError:
        pass
    return count


def test_a_post_that_may_have_arrived_is_not_sent_again(network: CorporateNetwork, tmp_path: Path) -> None:
    """The upstream fails while the origin works: the client gets an error, and Px asks no other upstream."""
    with (
        Gate(network.ntlm.port) as first,
        Gate(network.ntlm.port) as second,
        _px(network, tmp_path, first.port, second.port) as px,
        Client(px.port) as client,
    ):
        _get(px, network)
        path = f"/slow/3?once-{first.port}"
        body = Body(exchanges.SMALL_BYTES)
        client.send_head("POST", network.origin.url(path, HOST), body.fields())
        for piece in body.wire():
            client.send(piece)
        until(lambda: _count_at_origin(network, path))
        first.shut()
        assert client.read_answer("POST").status == 502
        assert second.connections == 0
        assert _count_at_origin(network, path) == 1


def _count_at_origin(network: CorporateNetwork, path: str) -> int:
    with Client(network.origin.port) as client:
        requests = client.get("/log", [("Host", HOST)])
    return requests.body.count(f'"path": "{path}"'.encode())


@pytest.mark.shows("--socktimeout")
def test_px_skips_an_upstream_that_stops_answering_during_a_login(
    network: CorporateNetwork, tmp_path: Path
) -> None:
    with (
        Gate(network.ntlm.port) as first,
        Gate(network.ntlm.port) as second,
        _px(network, tmp_path, first.port, second.port, socktimeout=1) as px,
    ):
        with Client(px.port) as client:
            exchanges.open_tunnel(client, network)
        first.is_mute = True
        started = time.monotonic()
        with Client(px.port) as client:
            exchanges.open_tunnel(client, network)
        assert time.monotonic() - started < 4
        assert second.connections > 0


@pytest.mark.shows("--socktimeout")
def test_px_answers_502_in_time_if_all_upstreams_are_dead(network: CorporateNetwork, tmp_path: Path) -> None:
    with reserved_ports(2) as (first, second), _px(network, tmp_path, first, second, socktimeout=1) as px:
        for method, target in (
            ("GET", network.origin.url("/", HOST)),
            ("CONNECT", f"{HOST}:{network.origin.port}"),
        ):
            started = time.monotonic()
            with Client(px.port) as client:
                answer = client.request(method, target)
            assert time.monotonic() - started < 2
            assert answer.status == 502
            assert f"127.0.0.1:{second}" in answer.text or f"127.0.0.1:{first}" in answer.text
            assert "connection_refused" in answer.header("proxy-status")
