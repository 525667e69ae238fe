"""Each installed proxy serves requests on every route on which the bench measures it."""

from __future__ import annotations

import pytest

from bench.lab import Lab
from bench.peers import NTLM, PEERS, PX, TINYPROXY, best_route
from bench.tools import run_load

WAYS = [(name, route) for name, peer in PEERS.items() for route in sorted(peer.routes)]


@pytest.mark.parametrize(("name", "route"), WAYS)
def test_a_peer_answers_requests_and_opens_tunnels(name, route):
    if not PEERS[name].exists:
        pytest.skip(f"{name} is not installed (make bench does it)")
    with Lab() as lab:
        peer = lab.start(name, route)
        assert run_load("gets", peer.port, lab.origin.port, 3, 0.2).done > 0
        assert run_load("tunnels", peer.port, lab.origin.port, 3, 0.2).done > 0
        assert lab.origin.counters()["requests"] > 0
        if route == NTLM:
            assert lab.ntlm_upstream.counters()["logins"] > 0
        assert peer.cpu_seconds() > 0
        assert peer.memory().pss > 100_000


def test_a_peer_goes_another_way_where_it_cannot_log_in():
    assert best_route(PEERS[PX], NTLM) == NTLM
    assert best_route(PEERS[TINYPROXY], NTLM) == "open"
