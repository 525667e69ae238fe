"""Answers without a body, interim answers, trailers, upgrades: directly and through an upstream."""

from __future__ import annotations

import json
import socket
import struct
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.corpnet.network import CorporateNetwork
from tests.px_process import PxProcess

from .exchanges import HOST, SMALL_BYTES, checksum
from .http_client import Body, Client
from .logins import LOGINS
from .peers import read_head, running_peer

_DIRECT, _BY_NTLM = "direct", "ntlm"


class Way(NamedTuple):
    """A running Px and its route to the origin."""

    px: PxProcess
    host: str
    network: CorporateNetwork

    def url(self, path: str) -> str:
        """Return a URL of the origin."""
        return self.network.origin.url(path, self.host)


@pytest.fixture(params=[_DIRECT, _BY_NTLM])
def way(request: pytest.FixtureRequest, network: CorporateNetwork, tmp_path: Path):
    """Yield a Px that connects directly, and one that uses an upstream."""
    if request.param == _DIRECT:
        with PxProcess(tmp_path, "--noproxy=*", "--verbose") as px:
            yield Way(px, "127.0.0.1", network)
    else:
        with LOGINS["ntlm"].running_px(network, tmp_path) as px:
            yield Way(px, HOST, network)


@pytest.fixture
def direct(network: CorporateNetwork, tmp_path: Path):
    """Yield a Px that connects directly, because Squid forwards neither 1xx nor trailers nor upgrades."""
    with PxProcess(tmp_path, "--noproxy=*", "--verbose") as px:
        yield Way(px, "127.0.0.1", network)


def test_answers_without_a_body_keep_the_connection_usable(way: Way) -> None:
    with Client(way.px.port) as client:
        for _ in range(2):
            answer = client.request("HEAD", way.url(f"/bytes/{SMALL_BYTES}"))
            assert (answer.status, answer.header("content-length")) == (200, str(SMALL_BYTES))
            for status in (204, 304):
                answer = client.get(way.url(f"/status/{status}"))
                assert (answer.status, answer.header("transfer-encoding")) == (status, "")
            answer = client.get(way.url(f"/bytes/{SMALL_BYTES}"))
            assert answer.sha256 == checksum(SMALL_BYTES)


def test_a_body_that_ends_with_the_connection_arrives_whole(way: Way) -> None:
    with Client(way.px.port) as client:
        answer = client.get(way.url(f"/close/{SMALL_BYTES}"))
        assert (answer.status, answer.sha256) == (200, checksum(SMALL_BYTES))


def test_a_chunked_answer_arrives_whole(way: Way) -> None:
    with Client(way.px.port) as client:
        for _ in range(2):
            answer = client.get(way.url(f"/chunked/{SMALL_BYTES}"))
            assert (answer.status, answer.sha256) == (200, checksum(SMALL_BYTES))


@pytest.mark.parametrize("status", [400, 401, 404, 418, 429, 500, 503])
def test_px_forwards_an_error_of_the_origin(way: Way, status: int) -> None:
    with Client(way.px.port) as client:
        answer = client.get(way.url(f"/status/{status}"))
    assert (answer.status, answer.text) == (status, f"status {status}\n")


def test_a_client_that_expects_100_gets_the_100_of_the_origin(way: Way) -> None:
    body = Body(SMALL_BYTES)
    with Client(way.px.port) as client:
        client.send_head("PUT", way.url("/upload"), [*body.fields(), ("Expect", "100-continue")])
        head = client.read_head()
        assert head.status == 100
        for piece in body.wire():
            client.send(piece)
        assert client.read_answer("PUT").json["sha256"] == checksum(SMALL_BYTES)


def test_a_client_that_expects_100_can_get_a_refusal_instead(direct: Way) -> None:
    with Client(direct.px.port) as client:
        fields = [*Body(10**9).fields(), ("Expect", "100-continue")]
        client.send_head("PUT", direct.url("/reject"), fields)
        answer = client.read_answer("PUT")
        assert (answer.status, answer.interim) == (413, [])


def test_an_early_refusal_reaches_a_client_that_is_still_sending(way: Way) -> None:
    with Client(way.px.port) as client:
        answer = client.request("PUT", way.url("/reject"), Body(50_000_000))
        assert (answer.status, answer.text) == (413, "too much\n")


def test_px_forwards_early_hints(direct: Way) -> None:
    with Client(direct.px.port) as client:
        answer = client.get(direct.url("/early-hints"))
        assert [head.status for head in answer.interim] == [103]
        assert answer.interim[0].header("link") == "</style.css>; rel=preload"
        assert (answer.status, answer.text) == (200, "after the hints\n")


def test_px_forwards_trailers_in_both_directions(direct: Way) -> None:
    with Client(direct.px.port) as client:
        answer = client.get(direct.url(f"/chunked/{SMALL_BYTES}"), [("TE", "trailers")])
        assert answer.trailers == [("X-Checksum", checksum(SMALL_BYTES))]
        fields = [("Transfer-Encoding", "chunked"), ("Trailer", "X-Mark")]
        client.send_head("POST", direct.url("/upload"), fields)
        client.send(b"3\r\nabc\r\n0\r\nX-Mark: 42\r\n\r\n")
        got = client.read_answer("POST").json
        assert (got["length"], got["trailers"]) == (3, [["X-Mark", "42"]])


def test_fields_reach_the_origin_as_they_were_sent(direct: Way) -> None:
    sent = [("x-Test", "a"), ("X-TEST", "b"), ("Accept", "*/*"), ("Proxy-Authorization", "Basic c2VjcmV0")]
    with Client(direct.px.port) as client:
        answer = client.get(direct.url("/echo-headers"), [*sent, ("Proxy-Connection", "keep-alive")])
    got = [tuple(pair) for pair in json.loads(answer.body)["headers"]]
    assert got[:4] == [("Host", f"127.0.0.1:{direct.network.origin.port}"), *sent[:3]]
    assert [name for name, _ in got[4:]] == ["Via"]


def test_a_websocket_works_without_an_upstream(direct: Way) -> None:
    upgrade = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ]
    mask, message = b"\x01\x02\x03\x04", b"hello"
    frame = struct.pack("!BB", 0x81, 0x80 | len(message)) + mask + _masked(message, mask)
    with Client(direct.px.port) as client:
        answer = client.get(direct.url("/ws"), upgrade)
        assert (answer.status, answer.header("upgrade")) == (101, "websocket")
        assert answer.header("connection").lower() == "upgrade"
        assert answer.header("sec-websocket-accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        for _ in range(3):
            client.send(frame)
            assert client.reader.read(2 + len(message)) == b"\x81\x05" + message
        client.send(b"\x88\x80" + mask)
        assert client.read_to_end() == b"\x88\x00"


def _masked(data: bytes, mask: bytes) -> bytes:
    return bytes(byte ^ mask[place % 4] for place, byte in enumerate(data))


def test_bytes_that_follow_the_head_of_an_upgrade_reach_the_client(direct: Way) -> None:
    def serve(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nfirst"
        )

    with running_peer(serve) as peer, Client(direct.px.port) as client:
        answer = client.get(f"http://127.0.0.1:{peer.port}/", [("Connection", "upgrade"), ("Upgrade", "x")])
        assert answer.status == 101
        assert client.read_to_end() == b"first"
