"""Programs that write unusual requests, and how a Squid and an origin receive these."""

from __future__ import annotations

import json

import pytest

from tests.clients.program import Place, need
from tests.clients.way import Way
from tests.e2e.http_client import Client


def test_lftp_opens_a_tunnel_without_a_host_field(way: Way, place: Place) -> None:
    need("lftp")
    origin = way.network.origin
    url = origin.tls_url("/status/200", host="origin.test")
    commands = f"set ssl:ca-file {way.network.ca_file}; set net:max-retries 1; cat {url}"
    assert "status 200" in place.run("lftp", "-c", commands, env=way.proxy_env)
    way.arrived(f"CONNECT origin.test:{origin.tls_port}")


def test_testssl_opens_a_tunnel_with_bare_lf(way: Way) -> None:
    origin = way.network.origin
    with Client(way.px.port) as client:
        client.send(f"CONNECT origin.test:{origin.tls_port} HTTP/1.0\n\n".encode())
        assert client.read_answer("CONNECT").status == 200
        client.start_tls(str(way.network.ca_file), "origin.test")
        assert client.get(f"https://origin.test:{origin.tls_port}/status/200").text == "status 200\n"
    way.arrived(f"CONNECT origin.test:{origin.tls_port}")


def test_a_url_with_unusual_characters_from_curl_reaches_the_origin_unchanged(way: Way, place: Place) -> None:
    need("curl")
    url = way.network.origin.url("/echo-headers/{}", host="origin.test")
    answer = json.loads(place.run("curl", "-sS", url.format("über?q=ä#ö"), env=way.proxy_env))
    assert answer["request"].split(" ")[1].endswith("/echo-headers/%C3%BCber?q=%C3%A4")


@pytest.mark.parametrize("program", ["curl -sS", "wget -q -t1 -O-", "lftp"])
def test_a_login_in_an_ftp_url_reaches_the_upstream_and_no_log(way: Way, place: Place, program: str) -> None:
    """The site does not exist, so Squid answers with its own error page."""
    need(program.split(maxsplit=1)[0])
    url = "ftp://user:s3cr3t-ftp@127.0.0.1:1/f.txt"
    command = [*program.split(), url]
    if program == "lftp":
        command = ["lftp", "-c", f"set ftp:proxy {way.px.url}; set net:max-retries 1; cat {url}"]
        url += ";type=i"
    place.run(*command, env={"ftp_proxy": way.px.url}, code=0 if program.startswith("curl") else None)
    assert {entry.status for entry in way.arrived(f"GET {url}")} == {503}
    assert "GET ftp://127.0.0.1:1/f.txt" in way.px.output
    assert "s3cr3t-ftp" not in way.px.output


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        (b"Content-Length: 5\r\nContent-Length: 5", b"hello"),
        (b"content-length: 5, 5", b"hello"),
        (b"Transfer-Encoding: identity\r\nContent-Length: 5", b"hello"),
        (b"Transfer-Encoding: chunked", b"5 ; a = b\r\nhello\r\n0\r\n\r\n"),
        (b"X-Folded: a,\r\n\tb\r\nContent-Length: 5", b"hello"),
    ],
)
@pytest.mark.parametrize("version", [b"1.1", b"1.2"])
def test_an_odd_upload_arrives_whole(way: Way, fields: bytes, body: bytes, version: bytes) -> None:
    url = way.network.origin.url("/upload", host="origin.test").encode()
    head = b"PUT %b HTTP/%b\r\nHost: origin.test\r\n%b\r\n\r\n" % (url, version, fields)
    with Client(way.px.port) as client:
        for _ in range(2):
            client.send(head + body)
            answer = client.read_answer("PUT").json
            assert (answer["method"], answer["length"]) == ("PUT", 5)
            assert b"X-Folded" not in fields or ["X-Folded", "a, b"] in answer["headers"]


def test_px_answers_a_request_with_bare_lf_and_the_next_one(way: Way) -> None:
    url = way.network.origin.url("/status/200", host="origin.test")
    with Client(way.px.port) as client:
        for _ in range(2):
            client.send(f"GET {url} HTTP/1.1\nHost: origin.test\n\n".encode())
            assert client.read_answer("GET").text == "status 200\n"
