"""The hops of upstreams, when a PAC script keeps naming new ones."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from px.app.hops import MAX_HOPS, MAX_TICKET_HOSTS, UpstreamHops
from px.config.settings import default_settings
from px.core.rules.route import UpstreamAddress
from px.core.secret import Secret
from px.io.thread_lane import ThreadLane
from px.system.state.installation import load_installation

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows gets the tickets itself")


@pytest.fixture
def hops(tmp_path: Path) -> UpstreamHops:
    settings = default_settings(username="alice@CORP.EXAMPLE", password=Secret("s3cret"), kerberos=True)
    threads = ThreadLane("px-login", 1, 1)
    return UpstreamHops(settings, tmp_path, load_installation(tmp_path), threads, lambda: 0.0)


async def test_the_number_of_hops_and_of_hosts_with_tickets_is_bounded(hops: UpstreamHops) -> None:
    for number in range(2 * MAX_HOPS):
        upstream = UpstreamAddress("http", f"p{number}.corp.example", 8080, is_found=True)
        assert hops.hop_of(upstream) is hops.hop_of(upstream)
    assert len(hops.known) == MAX_HOPS
    (hosts,) = hops._ticket_hosts.values()
    assert len(hosts) == MAX_TICKET_HOSTS
