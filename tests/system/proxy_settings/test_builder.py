"""Entries of a system's settings: those used, those left out, and the warnings."""

from __future__ import annotations

import logging

import pytest

from px.core.secret import Secret
from px.system.proxy_settings.builder import ProxySettingsBuilder, split_entries
from tests.places import is_px_itself, shown


def builder(source: str = "some place") -> ProxySettingsBuilder:
    return ProxySettingsBuilder(source, is_px_itself)


@pytest.mark.parametrize(
    ("text", "upstream"),
    [
        ("proxy.corp.example", "http://proxy.corp.example:80"),
        ("proxy.corp.example:8080", "http://proxy.corp.example:8080"),
        (" http://10.1.2.3:8080/ ", "http://10.1.2.3:8080"),
        ("https://proxy.corp.example", "https://proxy.corp.example:443"),
        ("[2001:db8::1]:8080", "http://[2001:db8::1]:8080"),
        ("a:1,b:2", "http://a:1,http://b:2"),
    ],
)
def test_an_upstream_is_parsed_as_written(text: str, upstream: str) -> None:
    new = builder()
    new.add_upstream("https", text, "entry")
    assert shown(new.finish()) == {"https": upstream}


@pytest.mark.parametrize(
    ("text", "default", "upstream"),
    [
        ("socks5://proxy", "http", "socks5://proxy:1080"),
        ("socks5h://proxy:1081", "http", "socks5://proxy:1081"),
        ("SOCKS4a://proxy", "http", "socks4://proxy:1080"),
        ("socks://proxy", "http", "socks5://proxy:1080"),
        ("proxy:1081", "socks4", "socks4://proxy:1081"),
    ],
)
def test_all_spellings_of_the_socks_versions_are_known(text: str, default: str, upstream: str) -> None:
    new = builder()
    new.add_upstream("", text, "entry", default=default)
    assert shown(new.finish()) == {"": upstream}


@pytest.mark.parametrize(
    ("host", "port", "upstream"),
    [
        ("proxy", "8080", "http://proxy:8080"),
        (" proxy ", "0", "http://proxy:80"),
        ("proxy", "", "http://proxy:80"),
        ("2001:db8::1", "8080", "http://[2001:db8::1]:8080"),
        ("[2001:db8::1]", "8080", "http://[2001:db8::1]:8080"),
        ("proxy:3128", "8080", "http://proxy:3128"),
        ("https://proxy/", "8443", "https://proxy:8443"),
        ("http://[2001:db8::1]:3128", "8080", "http://[2001:db8::1]:3128"),
    ],
)
def test_host_and_port_may_be_separate_fields(host: str, port: str, upstream: str) -> None:
    new = builder()
    new.add_host("http", host, port, "entry", login="alice:p%40ss")
    (found,) = new.finish().upstreams["http"]
    assert (str(found), found.username, found.password) == (upstream, "alice", Secret("p@ss"))


def test_an_entry_without_a_host_is_no_upstream() -> None:
    new = builder()
    new.add_host("http", "", "8080", "entry", login="alice:secret")
    assert not new.finish()


def test_several_entries_for_a_scheme_keep_their_order_without_duplicates() -> None:
    new = builder()
    for text in ("b:2", "a:1", "b:2"):
        new.add_upstream("http", text, "entry")
    assert shown(new.finish()) == {"http": "http://b:2,http://a:1"}


@pytest.mark.parametrize("text", ["", "  "])
def test_an_empty_entry_adds_nothing(text: str) -> None:
    new = builder()
    new.add_upstream("http", text, "entry")
    new.set_pac(text, "entry")
    assert not new.finish()


def test_a_bad_entry_of_a_list_is_left_out_and_the_others_stay() -> None:
    new = builder()
    new.add_upstream("http", "a:99999, b:1,socks5://c:2", "http_proxy")
    settings = new.finish()
    assert [str(each) for each in settings.upstreams["http"]] == ["http://b:1", "socks5://c:2"]
    assert len(settings.skipped) == 1


def test_a_list_with_a_password_is_not_split_at_commas() -> None:
    new = builder()
    new.add_upstream("http", "http://u:pass,word@b:1", "http_proxy")
    assert not new.finish()


@pytest.mark.parametrize(
    "text", ["127.0.0.1:3128", "http://localhost:3128", "[::1]:3128", "u:p@localhost:3128"]
)
def test_an_entry_that_names_px_itself_is_dropped_without_a_warning(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    new = builder()
    new.add_upstream("http", text, "entry")
    new.set_pac(f"http://{text.removeprefix('http://')}/proxy.pac", "entry")
    assert not new.finish()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_another_port_of_this_computer_is_not_px(caplog: pytest.LogCaptureFixture) -> None:
    new = builder()
    new.add_upstream("http", f"{'127.0.0.1'}:3129,127.0.0.1:3128", "entry")
    new.set_pac("http://127.0.0.1/proxy.pac", "entry")
    settings = new.finish()
    assert shown(settings) == {"http": "http://127.0.0.1:3129"}
    assert settings.pac == "http://127.0.0.1/proxy.pac"


@pytest.mark.parametrize("location", [r"C:\proxy.pac", "file:///etc/proxy.pac", "/etc/proxy.pac", "data:,x"])
def test_a_script_may_be_a_url_or_a_file(location: str) -> None:
    new = builder()
    new.set_pac(location, "entry")
    assert new.finish().pac == location


def test_a_broken_entry_is_left_out_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        new = builder("the broken place")
        new.add_upstream("http", "proxy:99999", "the first entry")
        new.add_upstream("http", "good:1", "the second entry")
        new.set_pac("http://[::1/proxy.pac", "the script")
        new.add_bypass(["10.1.2.0/99", "good.example"], "the exceptions")
        settings = new.finish()
        assert shown(settings) == {"http": "http://good:1"}
        assert settings.pac == ""
        assert str(settings.bypass) == "good.example"
    messages = [record.getMessage() for record in caplog.records]
    assert [message.partition(" is left out")[0] for message in messages] == [
        "the broken place: the first entry",
        "the broken place: the script",
        "the broken place: the exceptions",
    ]
    assert "no valid port" in messages[0]
    assert "'10.1.2.0/99'" in messages[2]


@pytest.mark.parametrize(
    "text",
    [
        "http://alice:hunter2@proxy:99999",
        "http://alice:hunter2",
        "alice:hunter2",
        "http://alice:hunter2/x@proxy:99999",
    ],
)
def test_a_warning_has_no_secret(text: str, caplog: pytest.LogCaptureFixture) -> None:
    new = builder(f"the place of the secret {len(text)}")
    new.add_upstream("http", text, "entry")
    new.set_pac(f"http://{text.removeprefix('http://')}", "script")
    assert not new.finish()
    assert len(caplog.records) == 2
    assert "hunter2" not in caplog.text


def test_lists_are_split_at_commas_semicolons_and_white_space() -> None:
    assert split_entries(" a;b, c\td\n;;") == ["a", "b", "c", "d"]
