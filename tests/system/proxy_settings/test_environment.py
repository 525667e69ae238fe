"""Proxy settings in environment variables."""

from __future__ import annotations

import pytest

from px.core.secret import Secret
from px.system.proxy_settings.environment import load_environment
from tests.places import is_px_itself, shown


def upstreams_of(**environ: str) -> object:
    return shown(load_environment(environ, is_px_itself))


def test_each_variable_serves_its_scheme_and_all_proxy_the_others() -> None:
    settings = load_environment(
        {
            "http_proxy": "a:1",
            "https_proxy": "http://b:2",
            "all_proxy": "https://c:3",
            "no_proxy": "x.example",
        },
        is_px_itself,
    )
    assert settings.source == "environment"
    assert [str(settings.upstreams_for(scheme)[0]) for scheme in ("http", "https", "ws")] == [
        "http://a:1",
        "http://b:2",
        "https://c:3",
    ]
    assert str(settings.bypass) == "x.example"


def test_without_variables_there_are_no_settings() -> None:
    assert not load_environment({"PATH": "/bin", "no_proxy": "*"}, is_px_itself)


def test_the_versions_of_socks_are_spelled_as_curl_does() -> None:
    assert upstreams_of(http_proxy="socks5h://a", all_proxy="socks4a://b:1081") == {
        "http": "socks5://a:1080",
        "": "socks4://b:1081",
    }


def test_lower_case_wins_and_an_empty_value_counts_as_not_set() -> None:
    assert upstreams_of(https_proxy="a:1", HTTPS_PROXY="b:2") == {"https": "http://a:1"}
    assert upstreams_of(HTTPS_PROXY="b:2") == {"https": "http://b:2"}
    assert upstreams_of(https_proxy="", ALL_PROXY="b:2") == {"": "http://b:2"}
    assert str(load_environment({"no_proxy": "", "NO_PROXY": "b"}, is_px_itself).bypass) == "b"


def test_http_proxy_in_upper_case_does_not_count_in_a_cgi_program() -> None:
    assert upstreams_of(HTTP_PROXY="a:1") == {"http": "http://a:1"}
    assert upstreams_of(HTTP_PROXY="a:1", REQUEST_METHOD="GET") == {}
    assert upstreams_of(http_proxy="a:1", REQUEST_METHOD="GET") == {"http": "http://a:1"}
    assert upstreams_of(HTTPS_PROXY="a:1", REQUEST_METHOD="GET") == {"https": "http://a:1"}


def test_a_login_is_for_its_upstream_only() -> None:
    settings = load_environment({"http_proxy": "http://CORP%5Calice:p%40ss@proxy:8080"}, is_px_itself)
    (upstream,) = settings.upstreams["http"]
    assert (upstream.username, upstream.password) == (r"CORP\alice", Secret("p@ss"))
    assert not upstream.is_found
    assert "p@ss" not in repr(settings)


@pytest.mark.parametrize(
    ("text", "host", "port", "is_direct"),
    [
        ("corp.example", "corp.example", 80, True),
        ("corp.example", "www.corp.example", 80, True),
        (".corp.example", "corp.example", 80, True),
        ("corp.example", "notcorp.example", 80, False),
        ("corp.example:8080", "corp.example", 8080, True),
        ("corp.example:8080", "corp.example", 80, False),
        ("10.0.0.0/8,::1", "10.1.2.3", 80, True),
        ("10.0.0.0/8, [::1]", "::1", 80, True),
        ("10.0.0.0/8", "11.1.2.3", 80, False),
        ("localhost other", "other", 80, True),
        ("*", "anything.example", 80, True),
    ],
)
def test_no_proxy_is_interpreted_as_curl_and_python_do(
    text: str, host: str, port: int, is_direct: bool
) -> None:
    settings = load_environment({"all_proxy": "a:1", "no_proxy": text}, is_px_itself)
    assert settings.bypass.matches_name(host, port) is is_direct


def test_entries_that_name_px_itself_are_dropped_and_the_others_stay() -> None:
    assert upstreams_of(http_proxy="http://localhost:3128", https_proxy="127.0.0.1:8080") == {
        "https": "http://127.0.0.1:8080"
    }


def test_the_warning_of_a_broken_value_names_the_variable(caplog: pytest.LogCaptureFixture) -> None:
    assert upstreams_of(HTTP_PROXY="http://alice:hunter2@proxy:port", https_proxy="a:1") == {
        "https": "http://a:1"
    }
    (record,) = caplog.records
    assert record.getMessage().startswith("environment: HTTP_PROXY is left out: ")
    assert "hunter2" not in caplog.text
