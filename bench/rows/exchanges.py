"""How many HTTP exchanges with the upstream a new tunnel takes, counted there."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from contextlib import closing
from http import HTTPStatus

from bench.figures import Metric, most_target
from bench.lab import Lab, Row, check
from bench.peers import CNTLM, NTLM, ORIGINAL, PEERS, PX
from bench.rounds import Measure
from bench.tools import MeasureError
from tests.corpnet.network import CorporateNetwork
from tests.corpnet.packages import missing_packages

COUNT = "exchanges"
_TUNNELS = 5


def _prepare(lab: Lab) -> Mapping[str, Measure]:
    measures: dict[str, Measure] = {}
    for name in (PX, CNTLM, ORIGINAL):
        if PEERS[name].exists:
            measures |= _ntlm(lab, name)
    if not missing_packages():
        network = lab.keep(CorporateNetwork())
        for name in (PX, ORIGINAL):
            if PEERS[name].exists:
                measures[f"{name}, Kerberos"] = _kerberos(lab, network, name)
    return measures


def _ntlm(lab: Lab, name: str) -> dict[str, Measure]:
    port, origin = lab.start(name, NTLM).port, lab.origin.port
    open_tunnel(port, origin)  # now it knows what the upstream wants

    def count(before: Callable[[], object]) -> Measure:
        def run() -> dict[str, float]:
            exchanges = 0
            for _ in range(_TUNNELS):
                before()
                seen = lab.ntlm_upstream.counters()["requests"]
                open_tunnel(port, origin)
                exchanges += lab.ntlm_upstream.counters()["requests"] - seen
            return {COUNT: exchanges / _TUNNELS}

        return run

    return {
        f"{name}, NTLM, new connection": count(lambda: None),
        f"{name}, NTLM, connection kept from a GET": count(lambda: _get(port, origin)),
    }


def _kerberos(lab: Lab, network: CorporateNetwork, name: str) -> Measure:
    upstream, user = network.kerberos, network.mit.alice
    place = lab.place()
    options = [f"--proxy=localhost:{upstream.port}", "--auth=NEGOTIATE", "--noproxy="]
    ticket = network.mit.realm.kinit(user, place.directory / "ccache")
    if name == ORIGINAL:
        options.append(f"--username={user.name}@{network.mit.realm.name}")

    def run() -> dict[str, float]:
        mark = upstream.log.mark()
        running = lab.start(name, options=options, environment=ticket)
        open_tunnel(running.port, lab.origin.port)
        while not any(entry.status == HTTPStatus.OK for entry in upstream.log.wait_for(1, mark)):
            pass  # Squid notes a tunnel when it has ended
        mark = upstream.log.mark()
        for _ in range(_TUNNELS):
            open_tunnel(running.port, lab.origin.port)
        return {COUNT: len(upstream.log.wait_for(_TUNNELS, mark)) / _TUNNELS}

    return run


def _get(proxy: int, origin: int) -> None:
    with closing(socket.create_connection(("127.0.0.1", proxy), 10)) as client:
        _ask(client, f"GET http://127.0.0.1:{origin}/100 HTTP/1.1\r\nHost: 127.0.0.1:{origin}\r\n\r\n", 100)


def open_tunnel(proxy: int, origin: int) -> None:
    """Open a tunnel, get an answer through it, and close it."""
    with closing(socket.create_connection(("127.0.0.1", proxy), 10)) as client:
        _ask(client, f"CONNECT 127.0.0.1:{origin} HTTP/1.1\r\nHost: 127.0.0.1:{origin}\r\n\r\n", 0)
        _ask(client, f"GET /100 HTTP/1.1\r\nHost: 127.0.0.1:{origin}\r\n\r\n", 100)


def _ask(client: socket.socket, head: str, body_bytes: int) -> None:
    client.sendall(head.encode())
    received = b""
    try:
        while (end := received.find(b"\r\n\r\n")) < 0 or len(received) < end + 4 + body_bytes:
            if not (data := client.recv(65536)):
                break
            received += data
    except TimeoutError as error:
        raise MeasureError(f"no answer to {head.split(maxsplit=1)[0]}") from error
    check(holds=received[8:12] == b" 200", text=f"{head.split(maxsplit=1)[0]}: {received[:60]!r}")


EXCHANGES = Row(
    "exchanges",
    "HTTP exchanges with the upstream for a new tunnel",
    "After the first contact. NTLM at this bench's own upstream, Kerberos at Squid with an MIT KDC.",
    (Metric(COUNT, 1, less_is_better=True),),
    _prepare,
    (
        most_target(f"{PX}, Kerberos", COUNT, 1, digits=1, named=True),
        most_target(f"{PX}, NTLM, new connection", COUNT, 2, digits=1, named=True),
        most_target(f"{PX}, NTLM, connection kept from a GET", COUNT, 1, digits=1, named=True),
    ),
    rounds=1,
)
