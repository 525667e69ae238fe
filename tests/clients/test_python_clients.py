"""requests, httpx and aiohttp."""

from __future__ import annotations

import asyncio
import hashlib
import json
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import aiohttp
import httpx
import pytest
import requests

from tests.clients.way import KERBEROS, NTLM, Login, Way
from tests.corpnet.payload import payload_bytes

LENGTH = 1_000_003
PARALLEL = 8
SECONDS = 30

BODY = payload_bytes(LENGTH)


class Job(NamedTuple):
    """The task of a client: its proxy, the authority to trust, and the URLs to get concurrently.

    If `upload` is set, the client sends these bytes to each URL without a Content-Length.
    """

    proxy: str
    ca_file: str
    urls: list[str]
    upload: bytes = b""


def _pieces(data: bytes) -> list[bytes]:
    return [data[start : start + 100_000] for start in range(0, len(data), 100_000)]


def _by_requests(job: Job) -> list[bytes]:
    with requests.Session() as session:
        session.trust_env = False
        session.proxies = {"http": job.proxy, "https": job.proxy}
        session.verify = job.ca_file
        method = "PUT" if job.upload else "GET"

        def fetch(url: str) -> bytes:
            data = iter(_pieces(job.upload)) if job.upload else None
            with session.request(method, url, data=data, timeout=SECONDS) as response:
                response.raise_for_status()
                return response.content

        with ThreadPoolExecutor(PARALLEL) as pool:
            return list(pool.map(fetch, job.urls))


def _by_httpx(job: Job) -> list[bytes]:
    trust = ssl.create_default_context(cafile=job.ca_file)
    with httpx.Client(proxy=job.proxy, verify=trust, trust_env=False, timeout=SECONDS) as client:
        method = "PUT" if job.upload else "GET"

        def fetch(url: str) -> bytes:
            content = iter(_pieces(job.upload)) if job.upload else None
            return client.request(method, url, content=content).raise_for_status().content

        with ThreadPoolExecutor(PARALLEL) as pool:
            return list(pool.map(fetch, job.urls))


def _by_aiohttp(job: Job) -> list[bytes]:
    async def run() -> list[bytes]:
        trust = ssl.create_default_context(cafile=job.ca_file)
        timeout = aiohttp.ClientTimeout(SECONDS)
        async with aiohttp.ClientSession(timeout=timeout, raise_for_status=True) as session:
            return await asyncio.gather(*(fetch(session, trust, url) for url in job.urls))

    async def fetch(session: aiohttp.ClientSession, trust: ssl.SSLContext, url: str) -> bytes:
        async def pieces():
            for piece in _pieces(job.upload):
                yield piece

        method, data = ("PUT", pieces()) if job.upload else ("GET", None)
        async with session.request(method, url, data=data, proxy=job.proxy, ssl=trust) as response:
            return await response.read()

    return asyncio.run(run())


CLIENTS = pytest.mark.parametrize(
    "client", [_by_requests, _by_httpx, _by_aiohttp], ids=["requests", "httpx", "aiohttp"]
)
SCHEMES = pytest.mark.parametrize("scheme", ["http", "https"])
Client = Callable[[Job], list[bytes]]


def _urls(way: Way, scheme: str, *paths: str) -> list[str]:
    make = {"http": way.network.origin.url, "https": way.network.origin.tls_url}[scheme]
    return [make(path, host="origin.test") for path in paths]


def _expected(way: Way, method: str, urls: list[str]) -> list[str]:
    if urls[0].startswith("https"):
        return [f"CONNECT origin.test:{way.network.origin.tls_port}"]
    return [f"{method} {url}" for url in urls]


@CLIENTS
@SCHEMES
@pytest.mark.parametrize("login", [NTLM, KERBEROS], ids=lambda login: login.upstream)
def test_concurrent_downloads_arrive_whole(way: Way, login: Login, client: Client, scheme: str) -> None:
    lengths = [LENGTH + number for number in range(PARALLEL)]
    urls = _urls(way, scheme, *(f"/bytes/{length}" for length in lengths))
    bodies = client(Job(way.px.url, str(way.network.ca_file), urls))
    digests = [hashlib.sha256(body).digest() for body in bodies]
    assert digests == [hashlib.sha256(payload_bytes(length)).digest() for length in lengths]
    way.arrived(*_expected(way, "GET", urls))


@CLIENTS
@SCHEMES
def test_concurrent_uploads_arrive_whole(way: Way, client: Client, scheme: str) -> None:
    urls = _urls(way, scheme, *(f"/upload?{number}" for number in range(3)))
    answers = [json.loads(body) for body in client(Job(way.px.url, str(way.network.ca_file), urls, BODY))]
    assert [answer["sha256"] for answer in answers] == [hashlib.sha256(BODY).hexdigest()] * 3
    fields = [{name.lower(): value for name, value in answer["headers"]} for answer in answers]
    assert {field.get("transfer-encoding") for field in fields} == {"chunked"}
    way.arrived(*_expected(way, "PUT", urls))
    if scheme == "http":
        assert all("proxy.test" in field["via"] for field in fields)
        assert all("proxy-authorization" not in field for field in fields)


@CLIENTS
def test_consecutive_requests_share_one_login(way: Way, client: Client) -> None:
    fetch = partial(Job, way.px.url, str(way.network.ca_file))
    urls = _urls(way, "http", *(f"/bytes/{number}" for number in range(10, 20)))
    for url in urls:
        assert client(fetch([url])) == [payload_bytes(int(url.rpartition("/")[2]))]
    assert len({entry.client for entry in way.arrived(*_expected(way, "GET", urls))}) == 1
    assert way.count_407() == 0
