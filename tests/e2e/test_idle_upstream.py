"""An upstream closes idle connections after one second, possibly just as the next request arrives."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.corpnet.network import CorporateNetwork
from tests.corpnet.squid import Squid, Upstream
from tests.corpnet.squid_config import NTLM, Port, SquidSettings
from tests.px_process import PxProcess

from .exchanges import HOST, SMALL_BYTES, upload
from .http_client import Body, Client
from .squid_watch import Watch

#: Pauses before the next request: about one second.
PAUSES = (0.9, 0.97, 0.99, 1.0, 1.01, 1.05)


@pytest.fixture(scope="module")
def impatient(network: CorporateNetwork) -> dict[str, Upstream]:
    """Return two ports of a separate Squid, without a login and with NTLM; it ends with the network."""
    settings = SquidSettings(
        {NTLM: network.ad.ntlm_auth("squid-2.5-ntlmssp")}, ["client_idle_pconn_timeout 1 second"]
    )
    ports = [Port("free", ()), Port("ntlm", (NTLM,))]
    return Squid(network._processes, "impatient").start(ports, settings, network._place)


@pytest.mark.parametrize("port", ["free", "ntlm"])
def test_every_post_arrives_once_even_if_the_upstream_closes_idle_connections(
    network: CorporateNetwork, impatient: dict[str, Upstream], tmp_path: Path, port: str
) -> None:
    upstream, user = impatient[port], network.ad.alice
    watch = Watch(upstream)
    options = (f"--proxy=localhost:{upstream.port}", rf"--username=ADTEST\{user.name}")
    with PxProcess(tmp_path, *options, environment={"PX_PASSWORD": user.password}) as px:
        for pause in PAUSES:
            with Client(px.port) as first:
                assert first.get(network.origin.url("/", HOST)).status == 200
            time.sleep(pause)
            with Client(px.port) as client:
                upload(client, network, Body(SMALL_BYTES), "POST")
                time.sleep(pause)
                try:
                    upload(client, network, Body(SMALL_BYTES), "POST")
                except ConnectionError:  # Px closed it without an answer
                    with Client(px.port) as again:
                        upload(again, network, Body(SMALL_BYTES), "POST")
    posts = [
        entry for entry in watch.entries(3 * len(PAUSES)) if entry.method == "POST" and entry.status == 200
    ]
    assert len(posts) == 2 * len(PAUSES)
