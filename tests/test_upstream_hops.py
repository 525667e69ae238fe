"""The hops of upstreams, where a PAC script names ever new ones."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from px.config import default_settings
from px.core.route import UpstreamAddress
from px.core.secret import Secret
from px.net.offload import Offload
from px.system.installation import load_installation
from px.upstream_hops import MAX_HOPS, MAX_TICKET_HOSTS, UpstreamHops

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows gets the tickets itself")


@pytest.fixture
def hops(tmp_path: Path) -> UpstreamHops:
    settings = default_settings(username="alice@CORP.EXAMPLE", password=Secret("s3cret"), kerberos=True)
    threads = Offload("px-login", 1, 1)
    return UpstreamHops(settings, tmp_path, load_installation(tmp_path), threads, lambda: 0.0)


async def test_ever_new_upstreams_fill_no_memory_and_ask_the_kdc_no_more(hops: UpstreamHops) -> None:
    for number in range(2 * MAX_HOPS):
        upstream = UpstreamAddress("http", f"p{number}.corp.example", 8080, is_found=True)
        assert hops.hop_of(upstream) is hops.hop_of(upstream)
    assert len(hops.known) == MAX_HOPS
    (hosts,) = hops._ticket_hosts.values()
    assert len(hosts) == MAX_TICKET_HOSTS
