"""URLs of the command line as the requests of a client."""

from __future__ import annotations

import pytest

from px.checks.target import parse_test_url, parse_url
from px.core.startup_errors import ConfigError


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("http://a.test/x?y", ("GET", "http://a.test/x?y", "a.test", 80)),
        ("https://a.test/x?y", ("CONNECT", "a.test:443", "a.test", 443)),
        ("http://a.test/ü#top", ("GET", "http://a.test/%C3%BC", "a.test", 80)),
        ("https://a.test#top", ("CONNECT", "a.test:443", "a.test", 443)),
        ("ftp://u:p@a.test/x", ("GET", "ftp://u:p@a.test/x", "a.test", 21)),
        ("a.test", ("CONNECT", "a.test:443", "a.test", 443)),
        ("a.test:8443/x", ("CONNECT", "a.test:8443", "a.test", 8443)),
        ("https://[2001:db8::1]/", ("CONNECT", "[2001:db8::1]:443", "2001:db8::1", 443)),
    ],
)
def test_a_url_becomes_the_request_that_a_client_would_send(
    url: str, asked: tuple[str, str, str, int]
) -> None:
    head = parse_url(url, "--explain")
    assert (head.method.decode(), head.target.decode(), *head.authority) == asked


@pytest.mark.parametrize(
    "url", ["http://", "http://a b/", "ünïcode.test", "https://a:99999/", "http://u:p@a/"]
)
def test_a_url_that_no_client_could_request_is_an_error(url: str) -> None:
    with pytest.raises(ConfigError, match="--explain=") as caught:
        parse_url(url, "--explain")
    assert "u:p@" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "get", "connect"),
    [
        ("", "http://www.example.com/", "www.example.com:443"),
        ("http://a.test/x", "http://a.test/x", "a.test:443"),
        ("http://a.test:8080/x", "http://a.test:8080/x", "a.test:8080"),
        ("https://a.test:8443/x", "http://a.test/", "a.test:8443"),
        ("a.test", "http://a.test/", "a.test:443"),
        ("https://[2001:db8::1]/", "http://[2001:db8::1]/", "[2001:db8::1]:443"),
        ("http://[2001:db8::1]:81/", "http://[2001:db8::1]:81/", "[2001:db8::1]:81"),
    ],
)
def test_a_test_asks_for_a_page_and_for_a_tunnel_of_one_site(url: str, get: str, connect: str) -> None:
    requests = parse_test_url(url, "--test")
    assert (requests.get.method, requests.get.target) == (b"GET", get.encode())
    assert (requests.connect.method, requests.connect.target) == (b"CONNECT", connect.encode())


@pytest.mark.parametrize("url", ["ftp://a.test/", "ws://a.test/", "gopher://a.test", "http://u:p@a.test/"])
def test_a_test_is_for_a_site_of_http_or_https(url: str) -> None:
    with pytest.raises(ConfigError, match="--test") as caught:
        parse_test_url(url, "--test")
    assert "u:p@" not in str(caught.value)
