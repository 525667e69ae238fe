"""curl and wget."""

from __future__ import annotations

import hashlib
import json
from typing import NamedTuple

import pytest

from tests.clients.program import Place, need
from tests.clients.way import KERBEROS, NTLM, STRONGEST, Login, Way
from tests.corpnet.payload import payload_bytes, payload_sha256

LENGTH = 3_000_017
LOGINS = [NTLM, KERBEROS, STRONGEST]

pytestmark = pytest.mark.parametrize("login", LOGINS, ids=lambda login: login.upstream)


class Download(NamedTuple):
    """A way to get a file; `{url}`, `{tls_url}` and `{ca}` are filled in."""

    program: str
    arguments: str


DOWNLOADS = [
    Download("curl", "-sS --fail -o got {url}"),
    Download("curl", "-sS --fail -o got --cacert {ca} {tls_url}"),
    Download("curl", "-sS --fail -o got --proxytunnel {url}"),
    Download("curl", "-sS --fail -o got --http1.0 {url}"),
    Download("wget", "-q -O got {url}"),
    Download("wget", "-q -O got --ca-certificate={ca} {tls_url}"),
]


@pytest.mark.parametrize("download", DOWNLOADS, ids=" ".join)
def test_download_arrives_whole(way: Way, place: Place, login: Login, download: Download) -> None:
    need(download.program)
    origin = way.network.origin
    path = f"/bytes/{LENGTH}"
    url, tls_url = origin.url(path, host="origin.test"), origin.tls_url(path, host="origin.test")
    arguments = download.arguments.format(url=url, tls_url=tls_url, ca=way.network.ca_file).split()
    place.run(download.program, *arguments, env=way.proxy_env)
    got = (place.directory / "got").read_bytes()
    assert hashlib.sha256(got).hexdigest() == payload_sha256(LENGTH)
    if "--proxytunnel" in arguments:
        asked = f"CONNECT origin.test:{origin.port}"
    else:
        asked = f"GET {url}" if url in arguments else f"CONNECT origin.test:{origin.tls_port}"
    assert len(way.arrived(asked)) == 1
    assert way.count_407() == 0  # either a GET or a tunnel uses the connection of the first contact


@pytest.mark.parametrize("options", ["", "-H Transfer-Encoding:chunked"], ids=["length", "chunked"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_curl_upload_arrives_whole(way: Way, place: Place, login: Login, scheme: str, options: str) -> None:
    need("curl")
    origin = way.network.origin
    url = {"http": origin.url, "https": origin.tls_url}[scheme]("/upload", host="origin.test")
    command = ["curl", "-sS", "--cacert", str(way.network.ca_file), *options.split(), "-T", "-", url]
    answer = json.loads(place.run(*command, env=way.proxy_env, stdin=payload_bytes(LENGTH)))
    assert answer["method"] == "PUT"
    assert answer["length"] == LENGTH
    assert answer["sha256"] == payload_sha256(LENGTH)
    way.arrived(f"PUT {url}" if scheme == "http" else f"CONNECT origin.test:{origin.tls_port}")


def test_parallel_transfers_of_curl_cost_one_login_for_each_new_connection(
    way: Way, place: Place, login: Login
) -> None:
    need("curl")
    origin = way.network.origin
    urls = [origin.url(f"/bytes/{LENGTH + number}", host="origin.test") for number in range(6)]
    urls += [origin.tls_url(f"/bytes/{LENGTH + number}", host="origin.test") for number in range(6, 8)]
    outputs = [part for number, url in enumerate(urls) for part in ("-o", f"got{number}", url)]
    options = ["-sS", "--fail", "--cacert", str(way.network.ca_file), "--parallel", "--parallel-immediate"]
    place.run("curl", *options, *outputs, env=way.proxy_env)
    for number in range(8):
        got = (place.directory / f"got{number}").read_bytes()
        assert hashlib.sha256(got).hexdigest() == payload_sha256(LENGTH + number), number
    seen = way.arrived(*(f"GET {url}" for url in urls[:6]), f"CONNECT origin.test:{origin.tls_port}")
    assert len({entry.client for entry in seen}) > 1


def test_px_serves_many_concurrent_requests_after_a_cold_start(
    cold_way: Way, place: Place, login: Login
) -> None:
    need("curl")
    urls = [cold_way.network.origin.url(f"/bytes/{number}", host="origin.test") for number in range(1, 11)]
    outputs = [part for number, url in enumerate(urls) for part in ("-o", f"got{number}", url)]
    options = ["-sS", "--fail", "--parallel", "--parallel-immediate"]
    place.run("curl", *options, *outputs, env=cold_way.proxy_env)
    got = [(place.directory / f"got{number}").read_bytes() for number in range(10)]
    assert got == [payload_bytes(length) for length in range(1, 11)]
    cold_way.arrived(*(f"GET {url}" for url in urls))
    assert cold_way.count_407() >= 1
