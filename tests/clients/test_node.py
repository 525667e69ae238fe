"""Node.js: its HTTP client, and fetch in versions that support a proxy."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.clients.program import Place, need
from tests.clients.way import Way
from tests.corpnet.payload import payload_sha256

CLIENT = Path(__file__).with_name("node_client.mjs")
LENGTHS = [1_000_003 + number for number in range(4)]


def _need_proxy_support(place: Place) -> None:
    """Skip the test if the fetch of this Node.js supports no proxy (before 22.21 and 24)."""
    command = ["node", "--use-env-proxy", "-e", "0"]
    done = subprocess.run(command, env=place.environment(), capture_output=True, timeout=20, check=False)
    if done.returncode != 0:
        pytest.skip("this Node.js cannot use a proxy for fetch (needs 22.21 or 24)")


@pytest.mark.parametrize("kind", ["raw", "fetch"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_concurrent_downloads_of_node_arrive_whole(way: Way, place: Place, scheme: str, kind: str) -> None:
    need("node")
    env = {"NODE_EXTRA_CA_CERTS": str(way.network.ca_file)}
    if kind == "fetch":
        _need_proxy_support(place)
        env |= {**way.proxy_env, "NODE_USE_ENV_PROXY": "1"}
    make = {"http": way.network.origin.url, "https": way.network.origin.tls_url}[scheme]
    urls = [make(f"/bytes/{length}", host="origin.test") for length in LENGTHS]
    answers = json.loads(place.run("node", CLIENT, kind, way.px.url, *urls, env=env))
    assert answers == [[200, payload_sha256(length)] for length in LENGTHS]
    tunnel = f"CONNECT origin.test:{way.network.origin.tls_port}"
    way.arrived(*([tunnel] * len(urls) if scheme == "https" else [f"GET {url}" for url in urls]))
