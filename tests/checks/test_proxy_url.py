"""The URL of a proxy in a variable."""

from __future__ import annotations

import pytest

from px.checks.proxy_url import read_proxy, split_login


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        ("http://proxy.test:8080", ("http://", "", "proxy.test:8080")),
        ("bob:s3cret@proxy.test", ("", "bob:s3cret", "proxy.test")),
        ("http://bob:p#a/s?s@w@proxy.test:1/", ("http://", "bob:p#a/s?s@w", "proxy.test:1/")),
        ("bob:a://b@proxy.test", ("", "bob:a://b", "proxy.test")),
    ],
)
def test_the_login_ends_at_the_last_at(value: str, parts: tuple[str, str, str]) -> None:
    assert split_login(value) == parts


@pytest.mark.parametrize(
    ("value", "scheme", "place"),
    [
        ("proxy.test", "http", "proxy.test:80"),
        ("https://bob:1#2@[::1]", "https", "[::1]:443"),
        ("socks5h://proxy.test", "socks5h", "proxy.test:1080"),
        ("http://[::1", "", "None"),
        ("http://", "http", "None"),
    ],
)
def test_a_value_names_a_proxy_or_none(value: str, scheme: str, place: str) -> None:
    read = read_proxy(value)
    assert (read[0], str(read[1])) == (scheme, place)
