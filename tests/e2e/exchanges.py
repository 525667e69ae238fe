"""Complete requests through Px, each with its own check of the answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

from tests.corpnet.network import CorporateNetwork
from tests.corpnet.payload import payload_sha256

from .http_client import Answer, Body, Client

HOST = "origin.test"
SMALL_BYTES = 1000
#: Larger than a body that Px keeps for a replay, but small enough to be fast.
MEDIUM_BYTES = 1_000_003
LARGE_BYTES = 200_000_000

checksum = cache(payload_sha256)


@dataclass(frozen=True)
class Exchange:
    """One kind of request.

    Attributes:
        run: Makes the request over a connection and checks the answer.
        is_tunnel: Whether the request uses up its connection.
    """

    run: Callable[[Client, CorporateNetwork], None]
    is_tunnel: bool = False


def get(client: Client, network: CorporateNetwork) -> None:
    """GET a body."""
    answer = client.get(network.origin.url(f"/bytes/{SMALL_BYTES}", HOST))
    assert (answer.status, answer.sha256) == (200, checksum(SMALL_BYTES)), answer
    check_no_login_shown(answer)


def upload(client: Client, network: CorporateNetwork, body: Body, method: str = "PUT") -> None:
    """Send a body; the origin answers with its length and checksum."""
    answer = client.request(method, network.origin.url("/upload", HOST), body)
    assert answer.status == 200, answer
    got = answer.json
    assert (got["method"], got["length"], got["sha256"]) == (method, body.length, checksum(body.length))
    assert "proxy-authorization" not in {name.lower() for name, _ in got["headers"]}
    check_no_login_shown(answer)


def open_tunnel(client: Client, network: CorporateNetwork) -> None:
    """CONNECT, and two requests through the tunnel."""
    answer = client.connect(f"{HOST}:{network.origin.port}")
    assert answer.status == 200, answer
    check_no_login_shown(answer)
    check_origin_is_reached(client)


def open_tls_tunnel(client: Client, network: CorporateNetwork) -> None:
    """CONNECT, TLS with the origin, and two requests through it."""
    answer = client.connect(f"{HOST}:{network.origin.tls_port}")
    assert answer.status == 200, answer
    check_no_login_shown(answer)
    client.start_tls(str(network.ca_file), HOST)
    check_origin_is_reached(client)


def check_origin_is_reached(tunnel_end: Client) -> None:
    """Check that this connection leads to the origin, and that two requests reach it over one connection."""
    answers = [tunnel_end.get("/counter", headers=[("Host", HOST)]) for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 200]
    first, second = (answer.json for answer in answers)
    assert first["connection"] == second["connection"]
    assert (first["requests"], second["requests"]) == (1, 2)


def check_no_login_shown(answer: Answer) -> None:
    """Check that the client sees nothing of the login at the upstream."""
    assert answer.header("proxy-authenticate") == ""
    assert answer.header("proxy-authentication-info") == ""


GET = Exchange(get)
POST = Exchange(partial(upload, body=Body(SMALL_BYTES), method="POST"))
PUT_MEDIUM = Exchange(partial(upload, body=Body(MEDIUM_BYTES)))
PUT_LARGE = Exchange(partial(upload, body=Body(LARGE_BYTES)))
POST_CHUNKED = Exchange(partial(upload, body=Body(SMALL_BYTES, chunked=True), method="POST"))
PUT_MEDIUM_CHUNKED = Exchange(partial(upload, body=Body(MEDIUM_BYTES, chunked=True)))
PUT_LARGE_CHUNKED = Exchange(partial(upload, body=Body(LARGE_BYTES, chunked=True)))
CONNECT = Exchange(open_tunnel, is_tunnel=True)
CONNECT_TLS = Exchange(open_tls_tunnel, is_tunnel=True)
